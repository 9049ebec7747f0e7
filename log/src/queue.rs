//! How lines reach their sink without ever holding up whoever logs: they gather in a bounded buffer, and a thread of its own
//! writes what has gathered.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Most bytes of lines that wait for the thread; as many may be on their way.
const QUEUED_BYTES: usize = 2 * 1024 * 1024;

/// How long after a write that failed the next one is tried.
const RETRY: Duration = Duration::from_millis(100);

/// How long the end of the log waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where lines are put. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Shared>);

/// The thread that writes. Dropping it writes what is queued, for which it waits a second at most; lines that come later are
/// lost.
#[derive(Debug)]
pub struct Writing {
    queue: Queue,
    ended: mpsc::Receiver<Infallible>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that found no room after those.
    dropped: usize,
    /// Whether one of them is to be written at once.
    urgent: bool,
    ending: bool,
}

/// Starts the thread. A line that is not urgent waits for others for as long as `gather`. Where lines were left out, the
/// thread writes what `notice` says about so many.
///
/// # Errors
/// Where the system has no thread left.
pub(super) fn start(
    sink: impl Write + Send + 'static,
    gather: Duration,
    notice: impl Fn(usize) -> Vec<u8> + Send + 'static,
) -> io::Result<(Queue, Writing)> {
    let queue = Queue(Arc::default());
    let (end, ended) = mpsc::sync_channel(0);
    let shared = Arc::clone(&queue.0);
    thread::Builder::new().name("log".into()).spawn(move || {
        let _end: mpsc::SyncSender<Infallible> = end;
        shared.write_to(sink, gather, notice);
    })?;
    Ok((queue.clone(), Writing { queue, ended }))
}

impl Shared {
    fn write_to(&self, mut sink: impl Write, gather: Duration, notice: impl Fn(usize) -> Vec<u8>) {
        let mut taken = Vec::new();
        let mut ending = false;
        while !ending {
            let dropped;
            (dropped, ending) = self.take(&mut taken, gather);
            if dropped > 0 {
                taken.extend_from_slice(&notice(dropped));
            }
            while write(&mut sink, &mut taken).is_err() {
                if self.ends_within(RETRY) {
                    return;
                }
            }
        }
    }

    /// Waits for lines, and takes them with the number of those that found no room. Whether the log ends is the other
    /// thing that it says.
    fn take(&self, taken: &mut Vec<u8>, gather: Duration) -> (usize, bool) {
        let mut waiting = self.waiting.lock();
        self.changed.wait_while(&mut waiting, |waiting| waiting.is_empty() && !waiting.ending);
        self.changed.wait_while_for(&mut waiting, |waiting| !waiting.urgent && !waiting.ending, gather);
        waiting.urgent = false;
        mem::swap(&mut waiting.lines, taken);
        (mem::take(&mut waiting.dropped), waiting.ending)
    }

    fn ends_within(&self, limit: Duration) -> bool {
        let mut waiting = self.waiting.lock();
        self.changed.wait_while_for(&mut waiting, |waiting| !waiting.ending, limit);
        waiting.ending
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}

/// Takes from `bytes` what the sink took, also where it fails then.
fn write(sink: &mut impl Write, bytes: &mut Vec<u8>) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => drop(bytes.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    sink.flush()
}

impl Queue {
    /// Puts a line at the end; what is urgent is written at once. A line that finds no room is left out and counted.
    pub(super) fn put(&self, line: &[u8], urgent: bool) {
        let mut waiting = self.0.waiting.lock();
        let wakes = waiting.is_empty() || (urgent && !waiting.urgent);
        waiting.urgent |= urgent;
        if waiting.lines.len() + line.len() <= QUEUED_BYTES {
            waiting.lines.extend_from_slice(line);
        } else {
            waiting.dropped += 1;
        }
        drop(waiting);
        if wakes {
            self.0.changed.notify_one();
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queue.0.waiting.lock().ending = true;
        self.queue.0.changed.notify_one();
        let _ = self.ended.recv_timeout(LAST_LINES);
    }
}
