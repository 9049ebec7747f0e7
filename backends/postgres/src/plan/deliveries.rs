//! Operations on deliveries, as masks: of a pack those of a peer that ended in one way at one time.

use std::collections::{BTreeMap, HashMap};

use slipstream_store::{DeadLetterReason, Operation, PeerId, Result, Sequence, Timestamp};

use super::planned::{Asked, Plan};
use super::steps::{Step, count};
use crate::bits::Bits;
use crate::sequences;

/// What happens to a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    peer: &'a PeerId,
    sequence: Sequence,
    at: Timestamp,
    kind: Kind<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    Acknowledged,
    Superseded,
    Expired,
    Dead(&'a DeadLetterReason, u32),
    Attempt(u32),
}

/// The state of what was acknowledged, which counts from whoever brings it.
const ACKNOWLEDGED: i16 = 1;

impl Kind<'_> {
    /// Its number among the states, as the schema has them; none for an attempt.
    fn state(self) -> Option<i16> {
        match self {
            Self::Acknowledged => Some(ACKNOWLEDGED),
            Self::Superseded => Some(2),
            Self::Expired => Some(3),
            Self::Dead(..) => Some(4),
            Self::Attempt(_) => None,
        }
    }
}

/// The change that an operation makes to a delivery that must be pending, if it is one of those.
pub(super) fn change(operation: &Operation) -> Option<Change<'_>> {
    let (peer, sequence, at, kind) = match operation {
        Operation::Acknowledge { peer, sequence, at } => (peer, sequence, at, Kind::Acknowledged),
        Operation::Supersede { peer, sequence, at } => (peer, sequence, at, Kind::Superseded),
        Operation::Expire { peer, sequence, at } => (peer, sequence, at, Kind::Expired),
        Operation::DeadLetter { peer, sequence, reason, attempts, at } => {
            (peer, sequence, at, Kind::Dead(reason, *attempts))
        }
        Operation::Attempt { peer, sequence, number, at } => (peer, sequence, at, Kind::Attempt(*number)),
        _ => return None,
    };
    Some(Change { peer, sequence: *sequence, at: *at, kind })
}

/// Operations on deliveries that are taken together.
#[derive(Debug, Default)]
pub(super) struct Deliveries<'a> {
    layers: Vec<Vec<(usize, Change<'a>)>>,
    /// In how many layers each delivery is.
    depth: HashMap<(&'a PeerId, Sequence), usize>,
}

impl<'a> Deliveries<'a> {
    pub(super) fn take(&mut self, at: usize, change: Change<'a>) {
        let depth = self.depth.entry((change.peer, change.sequence)).or_default();
        if self.layers.len() == *depth {
            self.layers.push(Vec::new());
        }
        if let Some(layer) = self.layers.get_mut(*depth) {
            layer.push((at, change));
        }
        *depth += 1;
    }

    pub(super) fn plan(self, plan: &mut Plan<'a>) -> Result<()> {
        for layer in self.layers {
            let (attempts, settled): (Vec<_>, Vec<_>) =
                layer.into_iter().partition(|(_, change)| matches!(change.kind, Kind::Attempt(_)));
            settle(plan, &settled)?;
            attempt(plan, &attempts)?;
        }
        Ok(())
    }
}

/// In the order in which rows are locked, so that two processes do not wait for each other.
type Group<'a> = (i64, &'a str, i16, Timestamp);

/// The deliveries of a group: the place of the operation, that of the message in its pack, and the sequence.
type Members = Vec<(usize, usize, Sequence)>;

fn settle<'a>(plan: &mut Plan<'a>, changes: &[(usize, Change<'a>)]) -> Result<()> {
    let mut groups: BTreeMap<Group<'a>, (Bits, Members)> = BTreeMap::new();
    let claims = &mut plan.parameters.claims;
    let dead = &mut plan.parameters.dead;
    let first_dead = dead.seq.len();
    for &(at, change) in changes {
        let (Some((pack, index)), Some(state)) = (sequences::place(change.sequence), change.kind.state()) else {
            continue;
        };
        let group = groups.entry((pack, change.peer.as_str(), state, change.at)).or_default();
        if state != ACKNOWLEDGED {
            claims.place(change.peer.as_str())?;
        }
        group.0.set(index);
        group.1.push((at, index, change.sequence));
        if let Kind::Dead(reason, attempts) = change.kind {
            dead.peer.push(change.peer.as_str());
            dead.seq.push(sequences::number(change.sequence));
            dead.reason.push(reason.to_string().into_bytes());
            dead.class.push(reason.class());
            dead.attempts.push(i64::from(attempts));
            dead.at.push(millis(change.at));
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let reasons = [count(first_dead + 1)?, count(dead.seq.len())?];
    let settled = &mut plan.parameters.settled;
    let first = settled.pack.len();
    for ((pack, peer, state, at), (bits, members)) in groups {
        let group = settled.pack.len();
        for (operation, index, sequence) in members {
            let late = (state == ACKNOWLEDGED).then_some(sequence);
            plan.asked[operation] = Asked::Settle { group, index, late };
        }
        settled.peer.push(peer);
        settled.pack.push(pack);
        settled.state.push(state);
        settled.at.push(millis(at));
        settled.bits.push(bits);
    }
    let places = first..settled.pack.len();
    plan.parameters.step(Step::Settle, places, reasons)
}

fn attempt<'a>(plan: &mut Plan<'a>, changes: &[(usize, Change<'a>)]) -> Result<()> {
    let (attempts, claims) = (&mut plan.parameters.attempts, &mut plan.parameters.claims);
    let first = attempts.seq.len();
    for &(at, change) in changes {
        let Kind::Attempt(number) = change.kind else { continue };
        if sequences::place(change.sequence).is_some() {
            plan.asked[at] = Asked::Attempt { at: attempts.seq.len() };
            claims.place(change.peer.as_str())?;
            attempts.peer.push(change.peer.as_str());
            attempts.seq.push(sequences::number(change.sequence));
            attempts.number.push(i64::from(number));
            attempts.at.push(millis(change.at));
        }
    }
    let places = first..attempts.seq.len();
    if places.is_empty() { Ok(()) } else { plan.parameters.step(Step::Attempt, places, [0, 0]) }
}

/// A time as the database has it.
pub(crate) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
