//! What a peer sends: how much it was, and how fast it may.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::PeerId;

use crate::relay::rate::Rate;

/// What the peers send that have linked, for as long as they are known.
#[derive(Debug)]
pub(in crate::relay) struct Inflows {
    limit: Option<NonZeroU32>,
    peers: Mutex<HashMap<PeerId, Arc<Inflow>>>,
}

impl Inflows {
    /// With a limit of so many messages a second from each peer, if there is one.
    pub(in crate::relay) fn new(limit: Option<NonZeroU32>) -> Self {
        Self { limit, peers: Mutex::default() }
    }

    /// What this peer sends, on whatever links.
    pub(in crate::relay) fn of(&self, peer: &PeerId) -> Arc<Inflow> {
        let new = || Arc::new(Inflow { rate: self.limit.map(Rate::new), messages: AtomicU64::new(0) });
        Arc::clone(self.peers.lock().entry(peer.clone()).or_insert_with(new))
    }

    /// How many messages were let in from this peer since the start of the relay.
    pub(in crate::relay) fn messages(&self, peer: &PeerId) -> u64 {
        self.peers.lock().get(peer).map_or(0, |inflow| inflow.messages.load(Ordering::Relaxed))
    }

    /// The peer is not known any more.
    pub(in crate::relay) fn forget(&self, peer: &PeerId) {
        self.peers.lock().remove(peer);
    }
}

/// What one peer sends.
#[derive(Debug)]
pub(in crate::relay) struct Inflow {
    rate: Option<Rate>,
    messages: AtomicU64,
}

impl Inflow {
    /// Lets a message in that comes now, or answers how many may come in a second. What is not let in does not count.
    /// `now` is on the clock's own scale.
    pub(in crate::relay) fn permits(&self, now: Duration) -> Result<(), NonZeroU32> {
        self.rate.as_ref().map_or(Ok(()), |rate| rate.permits(now))?;
        self.messages.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
