//! The writing half of a link: from what there is to send to as few writes as possible.

use std::future::Future;
use std::io;

use tokio::io::AsyncWriteExt as _;

use super::control::{Closing, Wants};
use super::sent::Sent;
use super::{FrameBatch, LinkControl};

/// Where a link's writer gets what it sends. Nothing is queued in the link beyond one batch.
pub trait Outbound: Send + Sync {
    /// Adds messages until there are none or the batch is full. When this is called everything that it added before
    /// has been handed to the operating system.
    ///
    /// It is called again until it adds nothing; only then the writer waits for [`ready`](Self::ready).
    fn fill(&self, frames: &mut FrameBatch);

    /// Returns when [`fill`](Self::fill) may have something to add. What comes up between the two must not be lost:
    /// a `Notify` with `notify_one` keeps it.
    ///
    /// # Cancellation
    /// The future is dropped and made anew at will.
    fn ready(&self) -> impl Future<Output = ()> + Send;
}

/// Most batches that are sent before the Close: answers first, if the [`Outbound`] brings them first.
const PARTING_BATCHES: usize = 16;

/// Sends what there is until a Close is out.
///
/// # Errors
/// Where the stream fails.
pub(super) async fn write<O: Outbound>(
    mut stream: Sent,
    mut batch: FrameBatch,
    outbound: &O,
    control: &LinkControl,
) -> io::Result<()> {
    loop {
        batch.clear();
        // Control frames go first, so that they never wait for bulk data beyond the batch that is being written.
        let closing = control_frames(&mut batch, control.take_wants());
        if let Some(closing) = closing {
            return part(stream, batch, outbound, control, closing).await;
        }
        outbound.fill(&mut batch);
        if batch.is_empty() {
            batch.release();
            tokio::select! {
                biased;
                () = control.wanted() => {}
                () = outbound.ready() => {}
            }
        } else {
            send(&mut stream, &batch).await?;
        }
    }
}

fn control_frames(batch: &mut FrameBatch, wants: Wants) -> Option<Closing> {
    if wants.ping {
        batch.ping();
    }
    if let Some(payload) = wants.pong {
        batch.pong(&payload);
    }
    wants.close
}

async fn send(stream: &mut Sent, batch: &FrameBatch) -> io::Result<()> {
    stream.write_all(batch.wire()).await?;
    stream.flush().await
}

/// Sends the Close, and before it what there is to send where this end wishes to part.
async fn part<O: Outbound>(
    mut stream: Sent,
    mut batch: FrameBatch,
    outbound: &O,
    control: &LinkControl,
    closing: Closing,
) -> io::Result<()> {
    let (code, reason) = match closing {
        Closing::Local { code, reason, .. } => {
            for _ in 0..PARTING_BATCHES {
                outbound.fill(&mut batch);
                if !batch.is_full() {
                    break;
                }
                send(&mut stream, &batch).await?;
                batch.clear();
            }
            (Some(code), reason)
        }
        Closing::Violation(violation) => (Some(violation.code), violation.what.into()),
        Closing::Peer { code, .. } => (code, "".into()),
    };
    batch.close(code, &reason);
    control.close_sent();
    send(&mut stream, &batch).await
}
