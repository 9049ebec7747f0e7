//! The store that is filled, and whom it remembers meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use slipstream_store::{Batch, HeldOnce, MessageStore, Operation, Outcome, Peer, PeerId, Result, Sequence, Timestamp};

use crate::marks::unexpected;
use crate::operations::passing;

/// Most operations of a batch that settles.
const SETTLED: usize = 4096;

/// The target.
pub(crate) struct Target<'t> {
    pub(crate) store: &'t dyn MessageStore,
    /// Those whom it remembers now.
    peers: HashMap<PeerId, Peer>,
    /// Those whom it is to remember in the end.
    lasting: HashSet<PeerId>,
}

impl<'t> Target<'t> {
    /// Has the store remember what there is once.
    pub(crate) async fn begin(store: &'t dyn MessageStore, once: HeldOnce) -> Result<Self> {
        let relay = once.relay.into_iter().map(|id| Operation::NameRelay { id });
        let peers = once.peers.iter().map(|peer| Operation::RememberPeer(Box::new(peer.clone())));
        let operations = relay.chain(peers).collect();
        let peers: HashMap<_, _> = once.peers.into_iter().map(|peer| (peer.id.clone(), peer)).collect();
        let target = Self { store, lasting: peers.keys().cloned().collect(), peers };
        target.commit_all(operations).await?;
        Ok(target)
    }

    /// What is said of a peer.
    pub(crate) fn described(&self, peer: &PeerId) -> Peer {
        self.peers.get(peer).cloned().unwrap_or_else(|| passing(peer.clone()))
    }

    /// An alias is adopted.
    pub(crate) fn loses(&mut self, alias: &PeerId) {
        self.peers.remove(alias);
    }

    /// Has the store forget whoever is not to stay.
    pub(crate) async fn end(&self) -> Result<()> {
        let leaving = self.peers.keys().filter(|peer| !self.lasting.contains(*peer));
        let forget = leaving.map(|peer| Operation::ForgetPeer { peer: peer.clone(), at: Timestamp::ZERO });
        self.commit_all(forget.collect()).await
    }

    /// Records or imports messages, for which all peers are remembered that have a delivery of one.
    pub(crate) async fn bring(&mut self, messages: Vec<Operation>) -> Result<Vec<Sequence>> {
        let mut operations = Vec::new();
        for message in &messages {
            let peers = match message {
                Operation::Record(record) => &record.route.recipients[..],
                Operation::ImportDeadLetter { peer, .. } => std::slice::from_ref(peer),
                _ => &[],
            };
            for peer in peers {
                if !self.peers.contains_key(peer) {
                    let passing = passing(peer.clone());
                    operations.push(Operation::RememberPeer(Box::new(passing.clone())));
                    self.peers.insert(peer.clone(), passing);
                }
            }
        }
        self.commit_all(operations).await?;
        self.commit(messages).await
    }

    /// Commits operations of which each that is to give a sequence must; returns these.
    pub(crate) async fn commit(&self, operations: Vec<Operation>) -> Result<Vec<Sequence>> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Arc::new(Batch::from(operations));
        let outcomes = self.store.commit(Arc::clone(&batch)).await?;
        let mut sequences = Vec::new();
        for (operation, outcome) in batch.operations.iter().zip(outcomes) {
            match (operation, outcome) {
                (Operation::Record(_), Outcome::Recorded { sequence })
                | (Operation::ImportDeadLetter { .. }, Outcome::Imported { sequence })
                | (Operation::Redrive { .. }, Outcome::Redriven { sequence }) => sequences.push(sequence),
                (Operation::Acknowledge { .. }, Outcome::AcknowledgedLate) | (_, Outcome::Applied) => {}
                (operation, outcome) => return Err(unexpected(operation, outcome)),
            }
        }
        Ok(sequences)
    }

    /// Commits operations in batches of bounded size.
    pub(crate) async fn commit_all(&self, operations: Vec<Operation>) -> Result<()> {
        let mut left = operations.into_iter().peekable();
        while left.peek().is_some() {
            self.commit(left.by_ref().take(SETTLED).collect()).await?;
        }
        Ok(())
    }
}
