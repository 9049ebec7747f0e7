//! The threads that read. Each has a reader of the engine; they share a bounded queue and never wait for the writer.

use std::sync::{Arc, Mutex, PoisonError};

use slipstream_store::{Result, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Reader, Tables};

/// Something to do with a reader.
pub(crate) type Job<R> = Box<dyn FnOnce(&mut R) + Send>;

/// The end of the queue that the reading threads share.
pub(crate) type Jobs<R> = Arc<Mutex<mpsc::Receiver<Job<R>>>>;

/// Does jobs until nobody can send one any more.
pub(crate) fn run<R: Reader>(mut reader: R, jobs: &Jobs<R>) {
    loop {
        // Threads wait in turn: one in the queue, the others for its place.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = next else { return };
        job(&mut reader);
    }
}

/// A job that reads one snapshot and sends the answer.
pub(crate) fn reading<R: Reader, T: Send + 'static>(
    read: impl Fn(&dyn Tables) -> Result<T> + Send + 'static,
    reply: oneshot::Sender<Result<T>>,
) -> Job<R> {
    Box::new(move |reader| {
        let mut answer = None;
        let done = reader.read(&mut |tables| {
            answer = Some(read(tables)?);
            Ok(())
        });
        let nothing = || StoreError::Busy("the engine gave no view to read".to_owned());
        // Whoever asked may be gone (clause C8).
        drop(reply.send(done.and_then(|()| answer.ok_or_else(nothing))));
    })
}
