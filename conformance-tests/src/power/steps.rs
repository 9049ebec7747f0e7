//! The steps of a workload, which name deliveries by their place in what a store holds.

use slipstream_store::{DeadLetterReason, Horizon, Operation, PeerId, Sequence};

use crate::fixture::t;
use crate::power::view::View;

/// One step of a workload.
#[derive(Debug)]
pub(super) enum Step {
    Commit(Vec<Change>),
    Purge(Horizon),
    /// Closes the store and opens it again.
    Reopen,
}

/// An operation that names deliveries by their place among those that can be seen.
#[derive(Debug)]
pub(super) enum Change {
    Fixed(Operation),
    Settle { way: Way, peer: usize, place: usize, at: u64 },
    Redrive(usize),
    Discard(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Acknowledge,
    Supersede,
    Attempt(u32),
    GiveUp,
}

/// The operation on a store that holds what is in the view; `None` if nothing is at its place.
pub(super) fn operation(change: &Change, view: &View) -> Option<Operation> {
    let dead = |place: usize| {
        let dead = view.dead.get(place % view.dead.len().max(1))?;
        Some((dead.peer.clone(), dead.sequence))
    };
    match change {
        Change::Fixed(operation) => Some(operation.clone()),
        Change::Redrive(place) => dead(*place).map(|(peer, sequence)| Operation::Redrive { peer, sequence }),
        Change::Discard(place) => dead(*place).map(|(peer, sequence)| Operation::Discard { peer, sequence }),
        Change::Settle { way, peer, place, at } => {
            let (peer, backlog) = &view.pending[*peer];
            let sequence = backlog.get(place % backlog.len().max(1))?.sequence;
            Some(settle(*way, peer.clone(), sequence, *at))
        }
    }
}

fn settle(way: Way, peer: PeerId, sequence: Sequence, at: u64) -> Operation {
    let at = t(at);
    match way {
        Way::Acknowledge => Operation::Acknowledge { peer, sequence, at },
        Way::Supersede => Operation::Supersede { peer, sequence, at },
        Way::Attempt(number) => Operation::Attempt { peer, sequence, number, at },
        Way::GiveUp => {
            Operation::DeadLetter { peer, sequence, reason: DeadLetterReason::Unacknowledged, attempts: 3, at }
        }
    }
}
