//! Wakes who waits for sled in vain.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sled::Db;
use slipstream_store::{Result, StoreError};

use crate::fault;

/// How often it looks whether sled has failed.
const EVERY: Duration = Duration::from_millis(250);

/// A thread that wakes the writer if a write of sled's has failed. Sled notes the error, and does not always tell
/// those who wait for the write; whoever asks sled anew is told, and the others with them.
#[derive(Debug)]
pub(crate) struct Wake {
    /// The thread ends when it is dropped.
    running: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Wake {
    /// Starts it.
    ///
    /// # Errors
    /// `Busy` if there is no thread to be had.
    pub(crate) fn start(db: Db) -> Result<Self> {
        let (running, stopped) = sync_channel::<()>(0);
        let thread = thread::Builder::new().name("store-wake".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
                if db.context.global_error().is_err() {
                    // It answers the error at once.
                    drop(fault::caught(|| db.context.pagecache.log.make_stable(i64::MAX)));
                }
            }
        });
        let thread = thread.map_err(|error| StoreError::Busy(format!("starting the thread store-wake: {error}")))?;
        Ok(Self { running: Some(running), thread: Some(thread) })
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked; if it has, nobody waits for it any more.
            drop(thread.join());
        }
    }
}
