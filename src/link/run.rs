//! A running link: reader, writer and keepalive together.

use std::io;
use std::sync::Arc;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

use super::close::Ended;
use super::control::Closing;
use super::reader::read as read_frames;
use super::silence::{Heard, Silence, keep_alive};
use super::{FrameBatch, Inbox, LinkControl, LinkLimits, Outbound, Role, Socket, writer};

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
    let reading = ReaderTask(tokio::spawn(read_frames(heard, role, inbox, limits.clone(), control.clone())));
    let batch = FrameBatch::new(role, limits.write_batch_bytes);
    let writing = writer::write(write, batch, &*outbound, &control);
    let overdue = async {
        control.closing().await;
        sleep(limits.close_timeout).await;
    };
    // Each half returns when its Close is through; together they are the closing handshake.
    let failure = tokio::select! {
        biased;
        both = async { tokio::try_join!(reading.join(), async { writing.await.map_err(Failure::Stream) }) } => both.err(),
        () = overdue => Some(Failure::Overdue),
        () = keep_alive(&silence, &control, &limits) => Some(Failure::Silent),
    };
    ended(control.why_closing(), failure)
}

/// What kept the closing handshake from being whole.
#[derive(Debug)]
enum Failure {
    Stream(io::Error),
    Panicked,
    Overdue,
    Silent,
}

/// Once a close was asked for, that is how the link ended, whatever else happened on the way.
fn ended(closing: Option<Closing>, failure: Option<Failure>) -> Ended {
    match (closing, failure) {
        (_, Some(Failure::Panicked)) => Ended::Panicked,
        (Some(Closing::Local { code, .. }), failure) => Ended::Local { code, answered: failure.is_none() },
        (Some(Closing::Violation(violation)), _) => Ended::Violation { code: violation.code, what: violation.what },
        (Some(Closing::Peer { code, reason }), _) => Ended::Peer { code, reason },
        (None, Some(Failure::Stream(error))) => Ended::Lost(error),
        // Without a wish to close the halves only end by failing, and nothing is overdue.
        (None, Some(Failure::Silent | Failure::Overdue) | None) => Ended::Silent,
    }
}

/// The reader's task, which ends with the link.
struct ReaderTask(JoinHandle<io::Result<()>>);

impl ReaderTask {
    async fn join(mut self) -> Result<(), Failure> {
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
