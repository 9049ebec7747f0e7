//! Drawing the steps of a workload from a seed.

use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{Fingerprint, Horizon, Operation, Peer, Record, Route};

use crate::fixture::{application, import, message, peer, put, stamp, t, tags};
use crate::power::steps::{Change, Step, Way};
use crate::power::view::PEERS;

/// The time of the first step, in seconds.
const BEGINNING: u64 = 1000;

/// How many steps back a message is still sent again, and what a purge leaves.
const RECENT: u64 = 5;

/// Draws steps from a seed.
pub(super) struct Generator {
    chance: fastrand::Rng,
    /// At which step each message was recorded first.
    recorded: Vec<u64>,
    large: bool,
}

impl Generator {
    /// The generator of this seed. `large` has it draw megabytes of messages and few closings.
    pub(super) fn new(seed: u64, large: bool) -> Self {
        Self { chance: fastrand::Rng::with_seed(seed), recorded: Vec::new(), large }
    }

    /// A step, and how many messages there were by its end.
    pub(super) fn step(&mut self, number: u64) -> (Step, u32) {
        let now = BEGINNING + number;
        let step = match (number, self.chance.u32(..20)) {
            // Without somebody to owe to, little happens.
            (0, _) => Step::Commit((0..3).map(|at| self.remember(at, now)).collect()),
            (_, 0) => Step::Reopen,
            (_, 1) if !self.large => Step::Reopen,
            (_, 2..4) => Step::Purge(Horizon {
                now: t(now),
                expiries: t(now),
                identities: t(now - RECENT - 1),
                stamps: t(now - RECENT - 1),
                traces: t(now - RECENT),
                ..Horizon::NOTHING
            }),
            (_, 4) => Step::Commit(vec![self.roster_change(now)]),
            _ => {
                let changes = self.chance.usize(1..=10);
                Step::Commit((0..changes).map(|_| self.change(number, now)).collect())
            }
        };
        (step, self.recorded())
    }

    /// How many messages there are.
    pub(super) fn recorded(&self) -> u32 {
        u32::try_from(self.recorded.len()).expect("a workload has few messages")
    }

    fn roster_change(&mut self, at: u64) -> Change {
        let which = self.chance.usize(..3);
        match self.chance.u32(..4) {
            0 => Change::Fixed(Operation::ForgetPeer { peer: peer(PEERS[which]), at: t(at) }),
            1 => Change::Fixed(Operation::NameRelay { id: peer(PEERS[which]) }),
            _ => self.remember(which, at),
        }
    }

    fn remember(&mut self, which: usize, at: u64) -> Change {
        let tags = tags(&["x", "y"][..self.chance.usize(..3)]);
        let peer = Peer { tags, last_seen: t(at), ..application(PEERS[which]) };
        Change::Fixed(Operation::RememberPeer(Box::new(peer)))
    }

    fn change(&mut self, step: u64, at: u64) -> Change {
        let (peer, place) = (self.chance.usize(..3), self.chance.usize(..8));
        let way = match self.chance.u32(..24) {
            0..10 => return self.record(step, at),
            10 => return Change::Redrive(place),
            11 => return Change::Discard(place),
            12 => return Change::Fixed(self.import(peer, at)),
            13..18 => Way::Acknowledge,
            18 => Way::Supersede,
            19..22 => Way::Attempt(self.chance.u32(1..4)),
            _ => Way::GiveUp,
        };
        Change::Settle { way, peer, place, at }
    }

    /// Imports one of few dead letters, so that many are there already. No other message has their identities.
    fn import(&mut self, which: usize, at: u64) -> Operation {
        let name = format!("imported-{}", self.chance.u32(..4));
        import(PEERS[which], Record { received_at: t(at), ..message(&name, &[]) })
    }

    fn record(&mut self, step: u64, at: u64) -> Change {
        let recent: Vec<usize> =
            (0..self.recorded.len()).filter(|number| self.recorded[*number] + RECENT > step).collect();
        let again = self.chance.u32(..8) == 0 && !recent.is_empty();
        let number = if again { recent[self.chance.usize(..recent.len())] } else { self.recorded.len() };
        if !again {
            self.recorded.push(step);
        }
        let recipients = PEERS.into_iter().filter(|_| self.chance.u32(..3) > 0).map(peer).collect();
        let size = match self.chance.u32(..8) {
            0 | 1 if self.large => self.chance.usize(..1_000_000),
            0 => self.chance.usize(..20_000),
            _ => self.chance.usize(..300),
        };
        let mut text = vec![0; size];
        self.chance.fill(&mut text);
        let template = message(&number.to_string(), &[]);
        Change::Fixed(put(Record {
            fingerprint: Fingerprint::from_u64(if again { self.chance.u64(..2) } else { 0 }),
            route: Arc::new(Route { recipients, ..(*template.route).clone() }),
            stamp: self.chance.bool().then(|| stamp(1 + self.chance.u64(..2), number as u64)),
            expires_at: (self.chance.u32(..4) == 0).then(|| t(at + self.chance.u64(1..10))),
            received_at: t(at),
            text: Bytes::from(text),
            ..template
        }))
    }
}
