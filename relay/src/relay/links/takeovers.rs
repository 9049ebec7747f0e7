//! How often links of one id have thrown each other out of late. Pure.
//!
//! A peer that lost its link without a trace takes its place over once. Two programs with one id do so again and
//! again, and share what both of them should get.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use slipstream_store::PeerId;

/// Take-overs of one id within this time are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// So many of them are more than lost links explain.
const SEVERAL: usize = 4;

/// Most ids whose take-overs are remembered at a time; of more the stalest goes.
const MAX_PEERS: usize = 1_024;

/// The take-overs of late.
#[derive(Debug, Default)]
pub(in crate::relay) struct TakeOvers(BTreeMap<PeerId, VecDeque<Duration>>);

impl TakeOvers {
    /// Notes one; `now` is on the clock's own scale. Returns whether there were several of late.
    pub(in crate::relay) fn note(&mut self, peer: &PeerId, now: Duration) -> bool {
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(peer) {
            let stalest = self.0.iter().min_by_key(|(_, times)| times.back().copied()).map(|(peer, _)| peer.clone());
            stalest.map(|peer| self.0.remove(&peer));
        }
        let times = self.0.entry(peer.clone()).or_default();
        times.retain(|at| now.saturating_sub(*at) < WINDOW);
        times.push_back(now);
        if times.len() > SEVERAL {
            times.pop_front();
        }
        times.len() == SEVERAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PeerId {
        PeerId::new(text).unwrap()
    }

    #[test]
    fn several_in_a_short_time_are_told_and_a_lost_link_now_and_then_is_not() {
        let mut take_overs = TakeOvers::default();
        for minute in 0..100 {
            assert!(!take_overs.note(&id("mobile"), WINDOW * minute / 3), "three a minute");
        }
        for second in 0..3 {
            assert!(!take_overs.note(&id("twins"), Duration::from_secs(second)));
        }
        assert!(take_overs.note(&id("twins"), Duration::from_secs(3)));
        assert!(take_overs.note(&id("twins"), Duration::from_secs(4)));
        assert!(!take_overs.note(&id("twins"), Duration::from_secs(4) + WINDOW));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut take_overs = TakeOvers::default();
        for number in 0..3 * MAX_PEERS {
            for _ in 0..10 {
                take_overs.note(&id(&number.to_string()), Duration::from_millis(number as u64));
            }
        }
        assert_eq!(take_overs.0.len(), MAX_PEERS);
        assert!(take_overs.0.values().all(|times| times.len() <= SEVERAL));
    }
}
