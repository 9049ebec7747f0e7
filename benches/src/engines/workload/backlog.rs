//! What a peer that was away reads when it comes back.

use std::sync::Arc;

use slipstream_store::{MessageStore, PageLimit, PeerId, Sequence, StoreError};

/// What a peer is owed, to be read beside a [`Generator`](super::Generator).
#[derive(Debug, Clone)]
pub struct BacklogReader {
    store: Arc<dyn MessageStore>,
    peer: PeerId,
}

impl BacklogReader {
    pub(super) fn new(store: Arc<dyn MessageStore>, peer: PeerId) -> Self {
        Self { store, peer }
    }

    /// Reads what is owed after `after`, page by page, to the end or until `most` were read.
    /// Answers how many there were, and where to go on if there may be more.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn read(
        &self,
        after: Option<Sequence>,
        limit: PageLimit,
        most: u64,
    ) -> Result<(u64, Option<Sequence>), StoreError> {
        let (mut after, mut read) = (after, 0);
        loop {
            let page = self.store.pending(&self.peer, after, limit).await?;
            read += page.items.len() as u64;
            after = page.items.last().map(|item| item.sequence);
            if !page.more {
                return Ok((read, None));
            }
            if read >= most {
                return Ok((read, after));
            }
        }
    }
}
