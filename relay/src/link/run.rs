//! A running link: reader, writer and keepalive together.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::{JoinError, JoinHandle};

use super::close::{Ended, Violation};
use super::control::Closing;
use super::keepalive::{Lifeless, keep_alive};
use super::reader::{discard, read as read_frames};
use super::sent::Sent;
use super::silence::{Heard, Silence};
use super::{FrameBatch, Inbox, LinkControl, LinkLimits, Outbound, Role, Socket, awake, writer};

/// Runs a link until it has ended. The stream is closed when this returns.
///
/// The reader is a task of its own, the writer runs in this future: so a panic of `inbox` ends this link and nothing
/// else.
///
/// # Cancellation
/// Dropping the future drops the link where it stands; no Close is sent.
pub async fn run<I, O>(
    socket: Socket,
    role: Role,
    inbox: I,
    outbound: Arc<O>,
    limits: LinkLimits,
    control: LinkControl,
) -> Ended
where
    I: Inbox + 'static,
    O: Outbound + 'static,
{
    let silence = Silence::new();
    let (read, write) = socket.stream.halves();
    let heard = Heard::new(socket.ahead, read, Arc::clone(&silence));
    let mut sent = Sent::new(write);
    let reading = ReaderTask(tokio::spawn(read_frames(heard, role, inbox, limits.clone(), control.clone())));
    let batch = FrameBatch::new(role, limits.write_batch_bytes);
    let writing = writer::write(sent.clone(), batch, &*outbound, &control);
    let overdue = async {
        let within = control.closing().await;
        awake::sleep(within.unwrap_or(limits.close_timeout)).await;
    };
    // Each half returns when its Close is through; together they are the closing handshake.
    let halves = tokio::select! {
        biased;
        both = async { tokio::try_join!(reading.join(), async { writing.await.map_err(Failure::Stream) }) } => both,
        () = overdue => Err(Failure::Overdue),
        lifeless = keep_alive(&silence, &sent, &control, &limits) => Err(Failure::Lifeless(lifeless)),
    };
    let failure = match halves {
        Ok((heard, ())) => {
            end_stream(heard, &mut sent).await;
            None
        }
        Err(failure) => Some(failure),
    };
    match ended(control.why_closing(), failure) {
        Ended::Peer { code, reason } => Ended::Peer { code, reason: socket.shown.hidden_in(reason) },
        ended => ended,
    }
}

/// Ends the stream after both have said goodbye: this end first, as RFC 6455 has it of a server, and the peer within a
/// while. Until then what still comes is read, because unread bytes would turn the end into a reset, and the Close
/// might be lost in it.
async fn end_stream(mut heard: Heard, sent: &mut Sent) {
    let ending = async {
        sent.shutdown().await?;
        discard(&mut heard, None).await
    };
    // However it ends: everything is said.
    let _ = awake::timeout(LINGER, ending).await;
}

/// How long the peer may take to end its side of the stream.
const LINGER: Duration = Duration::from_secs(1);

/// What kept the closing handshake from being whole.
#[derive(Debug)]
enum Failure {
    Stream(io::Error),
    Panicked,
    Overdue,
    Lifeless(Lifeless),
}

/// Once a close was asked for, that is how the link ended, whatever else happened on the way.
fn ended(closing: Option<Closing>, failure: Option<Failure>) -> Ended {
    match (closing, failure) {
        (_, Some(Failure::Panicked)) => Ended::Panicked,
        (Some(Closing::Local { code, .. }), failure) => Ended::Local { code, answered: failure.is_none() },
        (Some(Closing::Violation(Violation { code, what, counted_as })), _) => {
            Ended::Violation { code, what, counted_as }
        }
        (Some(Closing::Peer { code, reason }), _) => Ended::Peer { code, reason },
        (None, Some(Failure::Stream(error))) => Ended::Lost(error),
        // Without a wish to close the halves only end by failing, and nothing is overdue.
        (None, Some(Failure::Lifeless(Lifeless::Silent) | Failure::Overdue) | None) => Ended::Silent,
        (None, Some(Failure::Lifeless(Lifeless::Stalled))) => Ended::Stalled,
    }
}

/// The reader's task, which ends with the link.
struct ReaderTask(JoinHandle<io::Result<Heard>>);

impl ReaderTask {
    async fn join(mut self) -> Result<Heard, Failure> {
        match (&mut self.0).await {
            Ok(read) => read.map_err(Failure::Stream),
            Err(error) => Err(panicked(&error)),
        }
    }
}

fn panicked(error: &JoinError) -> Failure {
    tracing::error!(%error, "a link's reader ended abnormally; only this link ends");
    Failure::Panicked
}

impl Drop for ReaderTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
