//! What a store goes through: steps drawn from a seed, and what it must hold after each, by the model.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{
    Batch, Fingerprint, Horizon, MessageStore, Operation, Outcome, Peer, PeerId, Record, Result, Route, Sequence,
};

use super::view::View;
use crate::ModelStore;
use crate::fixture::{application, message, peer, put, stamp, t, tags};

/// Remembered peers are among the first of these; the last is never remembered.
pub(super) const PEERS: [&str; 4] = ["a", "B", "c-1", "stranger"];

/// The time of the first step, in seconds.
const BEGINNING: u64 = 1000;

/// How many steps back a message is still sent again, and what a purge leaves.
const RECENT: u64 = 5;

/// Most that a purge removes at once.
const BUDGET: NonZeroU32 = NonZeroU32::new(7).unwrap();

/// One step of a story.
#[derive(Debug)]
enum Step {
    Commit(Vec<Change>),
    Purge(Horizon),
    /// Closes the store and opens it again.
    Reopen,
}

/// An operation that names deliveries by their place among those that can be seen.
#[derive(Debug)]
enum Change {
    Fixed(Operation),
    Settle { way: Way, peer: usize, place: usize, at: u64 },
    Redrive(usize),
    Discard(usize),
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Acknowledge,
    Supersede,
    Attempt(u32),
    GiveUp,
}

/// What a store is asked for, ready to be asked again.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Commit(Arc<Batch>),
    Purge(Horizon),
    Reopen,
}

/// What must be readable after a step.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) lines: BTreeSet<String>,
    /// Messages whose traces the store need not have any more.
    pub(super) forgotten: BTreeSet<u32>,
}

#[derive(Debug)]
pub(super) struct Story {
    steps: Vec<Step>,
    /// How many messages there are in all; the names of messages are numbers.
    messages: u32,
    /// After so many steps.
    pub(super) expected: Vec<Expected>,
}

impl Story {
    /// The story of this seed. Every other has megabytes of messages and few closings, so that engines move their logs
    /// while they work.
    pub(super) async fn draw(seed: u64, length: usize) -> Self {
        let mut teller = Teller { chance: fastrand::Rng::with_seed(seed), recorded: Vec::new(), large: seed % 2 == 1 };
        let steps: Vec<(Step, u32)> = (0..length).map(|number| teller.step(number as u64)).collect();
        let messages = teller.recorded();
        let model = ModelStore::in_memory();
        let mut story = Self { steps: Vec::new(), messages, expected: Vec::new() };
        story.expected.push(story.expect(&model, 0).await);
        for (step, recorded) in steps {
            story.steps.push(step);
            let view = View::read(&model, 0..0).await.expect("the model reads");
            let request = story.request(story.steps.len() - 1, &view);
            perform(&model, &request).await.expect("the model does every step");
            story.expected.push(story.expect(&model, recorded).await);
        }
        story
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The messages whose traces are compared.
    pub(super) fn messages(&self) -> std::ops::Range<u32> {
        0..self.messages
    }

    async fn expect(&self, model: &ModelStore, recorded: u32) -> Expected {
        let view = View::read(model, self.messages()).await.expect("the model reads");
        let forgotten = view.forgotten(recorded);
        Expected { lines: view.lines(&forgotten), forgotten }
    }

    /// What the step asks a store for that holds what is in the view.
    pub(super) fn request(&self, step: usize, view: &View) -> Request {
        match &self.steps[step] {
            Step::Purge(horizon) => Request::Purge(*horizon),
            Step::Reopen => Request::Reopen,
            Step::Commit(changes) => {
                let operations: Vec<_> = changes.iter().filter_map(|change| operation(change, view)).collect();
                Request::Commit(Arc::new(operations.into()))
            }
        }
    }
}

/// Does what is asked for on an open store, apart from reopening it; answers the sequences that were given.
pub(super) async fn perform<S: MessageStore>(store: &S, request: &Request) -> Result<Vec<Sequence>> {
    match request {
        Request::Reopen => Ok(Vec::new()),
        Request::Purge(horizon) => {
            while store.purge(*horizon, BUDGET).await?.more {}
            Ok(Vec::new())
        }
        Request::Commit(batch) => {
            let outcomes = store.commit(Arc::clone(batch)).await?;
            let given = outcomes.into_iter().filter_map(|outcome| match outcome {
                Outcome::Recorded { sequence } | Outcome::Redriven { sequence } => Some(sequence),
                _ => None,
            });
            Ok(given.collect())
        }
    }
}

fn operation(change: &Change, view: &View) -> Option<Operation> {
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
        Way::GiveUp => Operation::DeadLetter { peer, sequence, reason: "unacknowledged".to_owned(), attempts: 3, at },
    }
}

/// Draws steps.
struct Teller {
    chance: fastrand::Rng,
    /// At which step each message was recorded first.
    recorded: Vec<u64>,
    large: bool,
}

impl Teller {
    /// A step, and how many messages there were by its end.
    fn step(&mut self, number: u64) -> (Step, u32) {
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

    fn recorded(&self) -> u32 {
        u32::try_from(self.recorded.len()).expect("a story has few messages")
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
            12..18 => Way::Acknowledge,
            18 => Way::Supersede,
            19..22 => Way::Attempt(self.chance.u32(1..4)),
            _ => Way::GiveUp,
        };
        Change::Settle { way, peer, place, at }
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
