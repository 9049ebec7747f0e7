//! What nobody counts as it changes: it is sampled when a metrics page is asked for.

use slipstream_store::{PeerKind, Timestamp};

use super::observation::{DialState, Observation, PeerObservation};
use crate::metrics::table::{
    ACTIVE_CONNECTIONS, BACKLOG, BUILD_INFO, CIRCUIT_OPEN, DEAD_LETTERS, DEDUP_IDENTITIES, IN_FLIGHT, IN_FLIGHT_BYTES,
    OLDEST_DELIVERY_AGE, RECONNECTS, REPUBLISHES, STORE_BYTES, STORE_FREE_BYTES, describe_sampled,
};
use crate::metrics::{ANONYMOUS, kind_label};

/// The sampled metrics of a relay at one moment.
#[derive(Debug)]
pub struct Sample {
    pub(super) observation: Observation,
    pub(super) free_bytes: Option<u64>,
    pub(super) at: Timestamp,
}

impl Sample {
    /// Records the sample with the recorder of this thread. What the store did not tell is not recorded.
    pub fn record(&self) {
        describe_sampled();
        let Observation { guarantee, store, peers, dials, .. } = &self.observation;
        BUILD_INFO.gauge([env!("CARGO_PKG_VERSION"), guarantee.engine]).set(1.0);
        for kind in [PeerKind::Application, PeerKind::Relay] {
            let links = peers.iter().filter(|peer| peer.linked_from.is_some() && peer.peer.kind == kind).count();
            ACTIVE_CONNECTIONS.gauge([kind_label(kind)]).set(float(links as u64));
        }
        for dial in dials {
            let open = dial.state == DialState::CircuitOpen;
            CIRCUIT_OPEN.gauge([dial.peer.as_str()]).set(f64::from(u8::from(open)));
            RECONNECTS.counter([dial.peer.as_str()]).absolute(dial.reconnects);
        }
        let (durable, anonymous): (Vec<_>, Vec<_>) = peers.iter().partition(|peer| peer.peer.durable);
        for peer in durable {
            self.record_peers(peer.peer.id.as_str(), &[peer]);
        }
        if !anonymous.is_empty() {
            self.record_peers(ANONYMOUS, &anonymous);
        }
        if let Ok(stats) = store {
            DEDUP_IDENTITIES.gauge([]).set(float(stats.identities));
            DEAD_LETTERS.gauge([]).set(float(stats.dead_letters));
            STORE_BYTES.gauge([]).set(float(stats.bytes));
        }
        if let Some(free) = self.free_bytes {
            STORE_FREE_BYTES.gauge([]).set(float(free));
        }
    }

    /// Records peers that share one label.
    fn record_peers(&self, label: &str, peers: &[&PeerObservation]) {
        let sum = |each: fn(&PeerObservation) -> u64| peers.iter().map(|peer| each(peer)).sum::<u64>();
        BACKLOG.gauge([label]).set(float(sum(|peer| peer.backlog)));
        IN_FLIGHT.gauge([label]).set(float(sum(|peer| peer.in_flight as u64)));
        IN_FLIGHT_BYTES.gauge([label]).set(float(sum(|peer| peer.in_flight_bytes as u64)));
        REPUBLISHES.counter([label]).absolute(sum(|peer| peer.republishes));
        let oldest: Result<Vec<_>, _> = peers.iter().map(|peer| peer.oldest.as_ref()).collect();
        if let Ok(oldest) = oldest {
            let oldest = oldest.into_iter().flatten().min();
            let age = oldest.map_or(0, |oldest| self.at.as_millis().saturating_sub(oldest.as_millis()));
            OLDEST_DELIVERY_AGE.gauge([label]).set(float(age) / 1000.0);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts beyond 2^52 do not occur")]
fn float(count: u64) -> f64 {
    count as f64
}
