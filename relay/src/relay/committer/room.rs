//! How much may wait for a commit: so many submissions, and so many bytes of messages.

use std::sync::Arc;

use slipstream_store::{Result, StoreError};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::relay::settings::StageLimits;

/// The room of the queue.
#[derive(Debug)]
pub(super) struct Room {
    places: Semaphore,
    bytes: Semaphore,
    most_bytes: usize,
}

impl Room {
    pub(super) fn new(limits: &StageLimits) -> Self {
        let most_bytes = limits.commit_queue_bytes as usize;
        Self { places: Semaphore::new(limits.commit_queue), bytes: Semaphore::new(most_bytes), most_bytes }
    }

    /// The committer has ended: nobody waits for it any more.
    pub(super) fn close(&self) {
        self.places.close();
        self.bytes.close();
    }

    /// What a text of this length takes; one that is larger than the room takes all of it.
    fn wanted(&self, length: usize) -> u32 {
        u32::try_from(length.min(self.most_bytes)).unwrap_or(u32::MAX)
    }
}

/// A part of the room. What is in it is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    places: usize,
    bytes: usize,
}

impl Share {
    /// Nothing yet.
    pub(super) fn new(room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), places: 0, bytes: 0 }
    }

    /// Takes a place and room for a text of this length, if there is.
    pub(super) fn try_grow(&mut self, length: usize) -> bool {
        let wanted = self.room.wanted(length);
        let room = self.room.bytes.try_acquire_many(wanted).ok().zip(self.room.places.try_acquire().ok());
        let has_room = room.map(both).is_some();
        if has_room {
            self.add(wanted);
        }
        has_room
    }

    /// Waits for a place and for room for a text of this length.
    ///
    /// # Errors
    /// `Closed` if the committer has ended.
    ///
    /// # Cancellation
    /// Nothing is taken.
    pub(super) async fn grow(&mut self, length: usize) -> Result<()> {
        let wanted = self.room.wanted(length);
        let bytes = self.room.bytes.acquire_many(wanted).await.map_err(|_| StoreError::Closed)?;
        let place = self.room.places.acquire().await.map_err(|_| StoreError::Closed)?;
        both((bytes, place));
        self.add(wanted);
        Ok(())
    }

    fn add(&mut self, bytes: u32) {
        self.places += 1;
        self.bytes += bytes as usize;
    }

    /// Hands over the room of a text.
    pub(super) fn hand_over(&mut self, length: usize, to: &mut Self) {
        let bytes = self.room.wanted(length) as usize;
        self.bytes -= bytes;
        to.bytes += bytes;
    }

    /// Gives the places back.
    pub(super) fn leave(&mut self) {
        self.room.places.add_permits(std::mem::take(&mut self.places));
    }
}

/// From now on a share has them.
fn both((bytes, place): (SemaphorePermit<'_>, SemaphorePermit<'_>)) {
    bytes.forget();
    place.forget();
}

impl Drop for Share {
    fn drop(&mut self) {
        self.leave();
        self.room.bytes.add_permits(self.bytes);
    }
}
