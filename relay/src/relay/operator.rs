//! What an operator may do to a running relay.

use std::sync::Arc;

use slipstream_store::{MessageStore, Operation, Outcome, PeerId, Result, Sequence, StoreError, Timestamp};

use super::committer::WeakCommitQueue;
use super::core::Core;
use super::peers::Registry;

/// A handle on a running relay, for whoever operates it. It does not keep the relay running, and works until the relay
/// begins to end. Cloning is cheap.
///
/// Each call returns once what it did is durable. Dropping its future cancels nothing; the outcome is then unknown.
#[derive(Debug)]
pub struct Operator<S: ?Sized> {
    core: Arc<Core<S>>,
    commits: WeakCommitQueue,
}

impl<S: ?Sized> Clone for Operator<S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), commits: self.commits.clone() }
    }
}

impl<S: MessageStore + ?Sized> Operator<S> {
    pub(super) fn new(core: Arc<Core<S>>, commits: WeakCommitQueue) -> Self {
        Self { core, commits }
    }

    /// Has a dead letter delivered again, with no attempts counted. If its peer has a link, it gets the delivery at once.
    /// Returns the new sequence, or `None` if there is no such dead letter or nobody remembers the peer.
    ///
    /// # Errors
    /// `Closed` if the relay is ending; otherwise as [`MessageStore::commit`].
    pub async fn redrive(&self, peer: &PeerId, sequence: Sequence) -> Result<Option<Sequence>> {
        match self.commits.upgrade()?.apply(Operation::Redrive { peer: peer.clone(), sequence }).await? {
            Outcome::Redriven { sequence } => Ok(Some(sequence)),
            _ => Ok(None),
        }
    }

    /// Removes a dead letter for good. Returns whether it was there.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn discard(&self, peer: &PeerId, sequence: Sequence) -> Result<bool> {
        let discard = Operation::Discard { peer: peer.clone(), sequence };
        Ok(self.commits.upgrade()?.apply(discard).await? == Outcome::Applied)
    }

    /// Forgets a peer that has no link and is not configured, with all that it is owed. Its dead letters stay. Returns
    /// whether it is forgotten.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn forget(&self, peer: &PeerId) -> Result<bool, StoreError> {
        let registry = Registry { core: Arc::clone(&self.core), commits: self.commits.upgrade()? };
        registry.forget(peer, Timestamp::MAX).await?;
        Ok(self.core.topology.load().peer(peer).is_none())
    }
}
