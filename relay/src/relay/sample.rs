//! What nobody counts as it changes: it is sampled when a metrics page is asked for.

use slipstream_store::{PeerKind, Result, Stats, Timestamp};

use super::observation::{DialObservation, DialState};
use crate::metrics::kind_label;
use crate::metrics::table::{
    ACTIVE_CONNECTIONS, BACKLOG, BUILD_INFO, CIRCUIT_OPEN, CLOCK_OFFSET, DEAD_LETTERS, DEDUP_IDENTITIES, IN_FLIGHT,
    IN_FLIGHT_BYTES, OLDEST_DELIVERY_AGE, PEER_UP, PEERS, PEERS_PAUSED, READY, RECONNECTS, REPUBLISHES, STORE_BYTES,
    STORE_DISK_LOW, STORE_FAILING, STORE_FREE_BYTES, SURVIVES_POWER_CUT, describe_sampled,
};

/// The sampled metrics of a relay at one moment.
#[derive(Debug)]
pub struct Sample {
    pub(super) engine: &'static str,
    pub(super) survives_power_cut: bool,
    pub(super) store: Result<Stats>,
    pub(super) store_fails: bool,
    pub(super) disk_low: bool,
    pub(super) free_bytes: Option<u64>,
    /// Peers that have a link.
    pub(super) up: u64,
    /// Those that have none.
    pub(super) down: u64,
    /// Those whose deliveries are paused, with a link or without.
    pub(super) paused: u64,
    /// Links, by kind of peer.
    pub(super) links: [(PeerKind, u64); 2],
    pub(super) peers: Vec<PeerSample>,
    pub(super) dials: Vec<DialObservation>,
    /// The relay's time.
    pub(super) at: Timestamp,
    /// By how many milliseconds the machine's time of day is ahead of it.
    pub(super) clock_offset: i64,
}

/// A peer, or several that share a label.
#[derive(Debug)]
pub(super) struct PeerSample {
    pub(super) label: String,
    /// Whether it has a link, if it is one peer.
    pub(super) is_up: Option<bool>,
    pub(super) backlog: u64,
    pub(super) in_flight: usize,
    pub(super) in_flight_bytes: usize,
    pub(super) oldest: Result<Option<Timestamp>>,
    pub(super) republishes: u64,
}

/// Records whether the relay takes messages, with the recorder of this thread; also before there is a relay.
pub fn record_ready(is_ready: bool) {
    describe_sampled();
    READY.gauge([]).set(switch(is_ready));
}

impl Sample {
    /// Records the sample with the recorder of this thread. What the store did not tell is not recorded.
    pub fn record(&self) {
        describe_sampled();
        BUILD_INFO.gauge([env!("CARGO_PKG_VERSION"), self.engine]).set(1.0);
        SURVIVES_POWER_CUT.gauge([]).set(switch(self.survives_power_cut));
        CLOCK_OFFSET.gauge([]).set(seconds(self.clock_offset));
        self.record_store();
        for (kind, links) in self.links {
            ACTIVE_CONNECTIONS.gauge([kind_label(kind)]).set(float(links));
        }
        for (link, peers) in [("up", self.up), ("down", self.down)] {
            PEERS.gauge([link]).set(float(peers));
        }
        PEERS_PAUSED.gauge([]).set(float(self.paused));
        for dial in &self.dials {
            CIRCUIT_OPEN.gauge([dial.peer.as_str()]).set(switch(dial.state == DialState::CircuitOpen));
            RECONNECTS.counter([dial.peer.as_str()]).absolute(dial.reconnects);
        }
        for peer in &self.peers {
            peer.record(self.at);
        }
    }

    fn record_store(&self) {
        STORE_FAILING.gauge([]).set(switch(self.store_fails));
        STORE_DISK_LOW.gauge([]).set(switch(self.disk_low));
        if let Ok(stats) = &self.store {
            DEDUP_IDENTITIES.gauge([]).set(float(stats.identities));
            DEAD_LETTERS.gauge([]).set(float(stats.dead_letters));
            STORE_BYTES.gauge([]).set(float(stats.bytes));
        }
        if let Some(free) = self.free_bytes {
            STORE_FREE_BYTES.gauge([]).set(float(free));
        }
    }
}

impl PeerSample {
    fn record(&self, now: Timestamp) {
        let label = [self.label.as_str()];
        if let Some(is_up) = self.is_up {
            PEER_UP.gauge(label).set(switch(is_up));
        }
        BACKLOG.gauge(label).set(float(self.backlog));
        IN_FLIGHT.gauge(label).set(float(self.in_flight as u64));
        IN_FLIGHT_BYTES.gauge(label).set(float(self.in_flight_bytes as u64));
        REPUBLISHES.counter(label).absolute(self.republishes);
        if let Ok(oldest) = self.oldest {
            let age = oldest.map_or(0, |oldest| now.as_millis().saturating_sub(oldest.as_millis()));
            OLDEST_DELIVERY_AGE.gauge(label).set(float(age) / 1000.0);
        }
    }
}

/// 1 for yes.
fn switch(is_on: bool) -> f64 {
    f64::from(u8::from(is_on))
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; differences beyond 2^52 do not occur")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts beyond 2^52 do not occur")]
fn float(count: u64) -> f64 {
    count as f64
}
