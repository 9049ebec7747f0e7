//! What an operator may do to a running relay.

use std::sync::Arc;

use slipstream_store::{ClusterGroup, MessageStore, Operation, Outcome, Peer, PeerId, PeerKind, Result, Sequence, Tag};

use super::committer::WeakCommitQueue;
use super::core::Core;
use super::imports::{ExportedDeadLetter, Import, ImportLimits};
use super::peers::{Declared, Forgotten, Registry, Why};

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

    /// Waits until the relay has dealt with everything that was submitted before. Nothing is written for it: it is a sign
    /// of life. It takes as long as the store takes for what was submitted.
    ///
    /// # Errors
    /// `Closed` if the relay is ending.
    pub async fn answers(&self) -> Result<()> {
        self.commits.upgrade()?.drain().await;
        Ok(())
    }

    /// Has a dead letter delivered again, with no attempts counted, behind all that its peer is owed. If the peer has a
    /// link, it gets the delivery at once. It counts as no newer value of its key than any other.
    ///
    /// Returns the new sequence, or `None` if there is no such dead letter or nobody remembers the peer.
    ///
    /// # Errors
    /// `Closed` if the relay is ending; otherwise as [`MessageStore::commit`].
    pub async fn redrive(&self, peer: &PeerId, sequence: Sequence) -> Result<Option<Sequence>> {
        let one = [(peer.clone(), sequence)];
        Ok(self.redrive_each(one).await?.into_iter().next().flatten())
    }

    /// Redrives dead letters, in their order and in as few commits as they fit in. Returns for each what
    /// [`redrive`](Self::redrive) returns.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive). Some may have been redriven then.
    pub async fn redrive_each(
        &self,
        letters: impl IntoIterator<Item = (PeerId, Sequence)>,
    ) -> Result<Vec<Option<Sequence>>> {
        let redrive = |(peer, sequence)| Operation::Redrive { peer, sequence };
        let outcomes = self.commits.upgrade()?.apply_each(letters.into_iter().map(redrive).collect()).await?;
        let sequence = |outcome| match outcome {
            Outcome::Redriven { sequence } => Some(sequence),
            _ => None,
        };
        Ok(outcomes.into_iter().map(sequence).collect())
    }

    /// Removes a dead letter for good. Returns whether it was there.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn discard(&self, peer: &PeerId, sequence: Sequence) -> Result<bool> {
        let one = [(peer.clone(), sequence)];
        Ok(self.discard_each(one).await? == [true])
    }

    /// Removes dead letters for good, in as few commits as they fit in. Returns for each whether it was there.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive). Some may have been removed then.
    pub async fn discard_each(&self, letters: impl IntoIterator<Item = (PeerId, Sequence)>) -> Result<Vec<bool>> {
        let discard = |(peer, sequence)| Operation::Discard { peer, sequence };
        let outcomes = self.commits.upgrade()?.apply_each(letters.into_iter().map(discard).collect()).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome == Outcome::Applied).collect())
    }

    /// Puts dead letters that were exported into the store, under new sequences and in as few commits as they fit in. Nothing
    /// is delivered: [`redrive`](Self::redrive) does that. It is no matter whether their peers are remembered, nor whether
    /// the messages are. Returns for each what came of it.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive). Some may have been imported then; doing it again imports the rest.
    pub async fn import_each(&self, letters: Vec<ExportedDeadLetter>) -> Result<Vec<Import>> {
        let (now, max_bytes) = (self.core.clock.now(), self.max_import_bytes());
        let limits = ImportLimits { max_bytes, max_depth: self.core.settings.max_depth };
        let (mut operations, mut imports) = (Vec::with_capacity(letters.len()), Vec::with_capacity(letters.len()));
        for letter in letters {
            imports.push(match letter.operation(limits, now) {
                Ok(operation) => {
                    operations.push(operation);
                    Import::Skipped
                }
                Err(refusal) => Import::Refused(refusal),
            });
        }
        let outcomes = self.commits.upgrade()?.apply_each(operations).await?;
        let taken = imports.iter_mut().filter(|import| **import == Import::Skipped);
        for (import, outcome) in taken.zip(outcomes) {
            if let Outcome::Imported { sequence } = outcome {
                *import = Import::Imported(sequence);
            }
        }
        Ok(imports)
    }

    /// The longest message that a dead letter may have that is imported, in bytes: what this relay takes from another.
    #[must_use]
    pub fn max_import_bytes(&self) -> usize {
        self.core.settings.link.clone().with(PeerKind::Relay).max_message_bytes
    }

    /// Forgets a peer that has no link and is not configured, with all that it is owed.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn forget(&self, peer: &PeerId) -> Result<Forgotten> {
        self.registry()?.forget(peer, Why::Wanted).await
    }

    /// Remembers an application that may never have linked: from now on messages are held for it. What it says of itself
    /// once it links holds instead, as for any other.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn declare(&self, id: PeerId, tags: Arc<[Tag]>, group: ClusterGroup) -> Result<Declared> {
        let (kind, last_seen) = (PeerKind::Application, self.core.clock.now());
        let peer = Peer { id, kind, group, tags, durable: true, last_seen, alias: None, paused: false };
        self.registry()?.declare(peer).await
    }

    /// Has nothing be delivered to a peer, whether or not it has a link, until [`resume`](Self::resume), also across
    /// restarts. What it is owed is held; what is in flight may still be acknowledged. Returns whether there is such a
    /// peer.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn pause(&self, peer: &PeerId) -> Result<bool> {
        self.registry()?.pause(peer, true).await
    }

    /// Has deliveries to a paused peer go on, in order. Returns whether there is such a peer.
    ///
    /// # Errors
    /// As [`redrive`](Self::redrive).
    pub async fn resume(&self, peer: &PeerId) -> Result<bool> {
        self.registry()?.pause(peer, false).await
    }

    /// Ends the link of a peer with 1001. It may link again at once, and is dialled again if it is configured so. Returns
    /// whether it had a link.
    #[must_use]
    pub fn disconnect(&self, peer: &PeerId) -> bool {
        self.core.links.disconnect(peer, "disconnected by an operator")
    }

    fn registry(&self) -> Result<Registry<S>> {
        Ok(Registry { core: Arc::clone(&self.core), commits: self.commits.upgrade()? })
    }
}
