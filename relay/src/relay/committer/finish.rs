//! What follows a commit: senders are answered, and what was recorded is forwarded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{DuplicateBy, MessageStore, Operation, Outcome, PeerId, Record, Route, Sequence, StoreError};
use tracing::info;

use super::Committer;
use super::batch::{Committed, Reply, Rest};
use super::queue::Arrival;
use crate::metrics::Recorded;
use crate::protocol::{self, Code, Rejection};
use crate::relay::dispatcher::{CommitNumber, Forward, Metadata};
use crate::relay::links::{Answer, Answers};
use crate::relay::runs::Runs;
use crate::relay::spans;

/// Most recipients that the line of a message names.
const NAMED_RECIPIENTS: usize = 8;

/// What is done once for a commit, or for neighbours that are alike.
struct Finishing<'a> {
    commit: CommitNumber,
    /// The neighbours with this route, which are forwarded together.
    route: Option<&'a Arc<Route>>,
    forwards: Vec<Arc<Forward>>,
    recorded: Recorded,
    /// How long the confirmed ones took.
    took: Runs<Duration>,
    answers: Answers,
}

impl Finishing<'_> {
    fn of(commit: CommitNumber) -> Self {
        Self {
            commit,
            route: None,
            forwards: Vec::new(),
            recorded: Recorded::default(),
            took: Runs::default(),
            answers: Answers::default(),
        }
    }
}

impl<S: MessageStore + ?Sized> Committer<S> {
    pub(super) fn finish(&self, committed: Committed) {
        let Committed { number, batch, waiting, result, rest, .. } = committed;
        drop(waiting.share);
        match result {
            Ok(outcomes) => self.succeed(number, &batch.operations, &outcomes, waiting.replies),
            Err(error) => {
                self.refuse(&batch.operations, &error, waiting.replies);
                if let Some(Rest { batch, result: Ok(outcomes) }) = rest {
                    self.succeed(number, &batch.operations, &outcomes, Vec::new());
                }
            }
        }
        for barrier in waiting.barriers {
            let _ = barrier.send(());
        }
    }

    fn succeed(&self, commit: CommitNumber, operations: &[Operation], outcomes: &[Outcome], replies: Vec<Reply>) {
        let decided = replies.len();
        let mut finishing = Finishing::of(commit);
        let now = self.clock.elapsed();
        for ((operation, outcome), reply) in operations.iter().zip(outcomes).zip(replies) {
            match (operation, reply) {
                (Operation::Record(record), Reply::Sender(mut arrival)) => {
                    self.release(record);
                    if let Outcome::Recorded { sequence } = *outcome {
                        self.recorded(record, sequence, &mut arrival, &mut finishing);
                        self.tap.passes(record, sequence, now);
                    }
                    self.answer(record, *outcome, arrival, now, &mut finishing);
                }
                (Operation::Recognise(record), Reply::Refused(arrival, refusal)) => match *outcome {
                    Outcome::Unchanged => self.turn_away(record, arrival, *refusal, &mut finishing.answers),
                    known => self.answer(record, known, arrival, now, &mut finishing),
                },
                (operation, Reply::Caller(caller)) => {
                    if let (Operation::Redrive { peer, .. }, Outcome::Redriven { .. }) = (operation, outcome) {
                        self.dispatcher.redriven(peer);
                    }
                    drop(caller.send(Ok(*outcome)));
                }
                (_, Reply::Sender(_) | Reply::Refused(..)) => {}
            }
        }
        self.forward(&mut finishing);
        self.metrics.recorded(&finishing.recorded);
        finishing.took.end(|took, messages| self.metrics.confirmed(took, messages));
        drop(finishing.answers);
        self.decided(&operations[decided..], &outcomes[decided..]);
    }

    /// Tells the lanes what became of their decisions. A lane's stand together.
    fn decided(&self, operations: &[Operation], outcomes: &[Outcome]) {
        let mut run: Option<(&PeerId, usize, u64)> = None;
        let mut endings = Runs::default();
        for (operation, outcome) in operations.iter().zip(outcomes) {
            let Some((peer, settles)) = decision(operation) else { continue };
            let settled = settles.filter(|_| *outcome == Outcome::Applied);
            // A dead letter was counted when it was given up, and is not owed any more.
            let late = settles.filter(|_| *outcome == Outcome::AcknowledgedLate);
            if let Some(how) = settled.or(late) {
                endings.next(how, |how, deliveries| self.metrics.settled(how, deliveries));
            }
            if let (Operation::DeadLetter { sequence, reason, attempts, .. }, Some(_)) = (operation, settled) {
                self.metrics.dead_letter(reason);
                self.notices.dead_letter(peer, *sequence, *attempts, reason);
            }
            match &mut run {
                Some((same, decisions, sum)) if *same == peer => {
                    *decisions += 1;
                    *sum += u64::from(settled.is_some());
                }
                other => {
                    if let Some((peer, decisions, settled)) = other.replace((peer, 1, u64::from(settled.is_some()))) {
                        self.dispatcher.committed(peer, decisions, settled);
                    }
                }
            }
        }
        endings.end(|how, deliveries| self.metrics.settled(how, deliveries));
        if let Some((peer, decisions, settled)) = run {
            self.dispatcher.committed(peer, decisions, settled);
        }
    }

    fn recorded<'a>(
        &self,
        record: &'a Record,
        sequence: Sequence,
        arrival: &mut Arrival,
        finishing: &mut Finishing<'a>,
    ) {
        let Record { identity, message_type, key, expires_at, route, text, .. } = record;
        finishing.recorded.add(message_type, arrival.from_relay, route.recipients.is_empty());
        if let Some(tags) = &arrival.unrouted {
            self.notices.unrouted(&route.received_from, tags);
        }
        info!(
            target: "slipstream::message",
            sequence = sequence.get(),
            message_id = %identity.id,
            cluster_group = %identity.group,
            r#type = %message_type,
            key = key.as_ref().map(slipstream_store::Key::as_str),
            from = %route.received_from,
            to = %Named(&route.recipients),
            recipients = route.recipients.len(),
            trace_id = arrival.trace.as_ref().map(|trace| display(trace.trace_id)),
            "accepted"
        );
        if !finishing.route.is_some_and(|current| Arc::ptr_eq(current, route)) {
            self.forward(finishing);
            finishing.route = Some(route);
        }
        let metadata = Metadata {
            identity: identity.clone(),
            sets: key.clone().filter(|_| protocol::sets_a_key(message_type)),
            read_at: Some(arrival.read_at),
            trace: spans::kept(|| arrival.trace.as_deref().copied()),
        };
        finishing.forwards.push(Arc::new(Forward {
            sequence,
            metadata: Arc::new(metadata),
            instances: std::mem::take(&mut arrival.instances),
            expires_at: *expires_at,
            text: text.clone(),
        }));
    }

    fn forward(&self, finishing: &mut Finishing<'_>) {
        if let Some(route) = finishing.route {
            self.dispatcher.forward(finishing.commit, &route.recipients, &finishing.forwards);
        }
        finishing.forwards.clear();
    }

    fn answer(
        &self,
        record: &Record,
        outcome: Outcome,
        arrival: Arrival,
        now: Duration,
        finishing: &mut Finishing<'_>,
    ) {
        let took = now.saturating_sub(arrival.read_at);
        finishing.took.next(took, |took, messages| self.metrics.confirmed(took, messages));
        match outcome {
            Outcome::Conflict => {
                let reason = "this identity was accepted with another type, key or value";
                let refusal = Rejection::of(Code::IdentityConflict, reason, &record.identity);
                self.turn_away(record, arrival, refusal, &mut finishing.answers);
            }
            Outcome::Unchanged => {
                let reason = "another process serves this peer now";
                let refusal = Rejection::of(Code::StorageUnavailable, reason, &record.identity);
                self.turn_away(record, arrival, refusal, &mut finishing.answers);
            }
            outcome => {
                if let Outcome::Duplicate { by } = outcome {
                    // A stamped one that another relay passes on came by a second way, also while its identity is known.
                    let stamped = arrival.from_relay && record.stamp.is_some();
                    self.metrics.duplicate(if stamped { DuplicateBy::Stamp } else { by });
                }
                if let Some(trace) = &arrival.trace {
                    let outcome = if matches!(outcome, Outcome::Duplicate { .. }) { "duplicate" } else { "recorded" };
                    spans::accepted(trace, record, outcome, took);
                }
                finishing.answers.give(arrival.reply, Answer::Confirm(record.identity.clone()));
            }
        }
    }

    fn refuse(&self, operations: &[Operation], error: &StoreError, replies: Vec<Reply>) {
        let mut answers = Answers::default();
        for (operation, reply) in operations.iter().zip(replies) {
            match (operation, reply) {
                (Operation::Record(record), Reply::Sender(arrival)) => {
                    self.release(record);
                    let refusal = Rejection::of(Code::StorageUnavailable, error.to_string(), &record.identity);
                    self.turn_away(record, arrival, refusal, &mut answers);
                }
                (Operation::Recognise(record), Reply::Refused(arrival, refusal)) => {
                    self.turn_away(record, arrival, *refusal, &mut answers);
                }
                (_, Reply::Caller(caller)) => drop(caller.send(Err(error.clone()))),
                (_, Reply::Sender(_) | Reply::Refused(..)) => {}
            }
        }
    }

    fn turn_away(&self, record: &Record, arrival: Arrival, refusal: Rejection, answers: &mut Answers) {
        self.metrics.rejected(refusal.code());
        self.notices.refused(&record.route.received_from, &refusal, arrival.trace.as_deref());
        answers.give(arrival.reply, Answer::Refuse(refusal));
    }
}

/// The recipients of a message in its line: the first [`NAMED_RECIPIENTS`], and how many others there are.
struct Named<'a>(&'a [PeerId]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (named, others) = self.0.split_at(self.0.len().min(NAMED_RECIPIENTS));
        for (at, peer) in named.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            f.write_str(peer.as_str())?;
        }
        match others {
            [] => Ok(()),
            others => write!(f, " and {} more", others.len()),
        }
    }
}

/// Whose decision an operation is, and how it settles a delivery, if it does.
fn decision(operation: &Operation) -> Option<(&PeerId, Option<&'static str>)> {
    match operation {
        Operation::Acknowledge { peer, .. } => Some((peer, Some("acknowledged"))),
        Operation::Supersede { peer, .. } => Some((peer, Some("superseded"))),
        Operation::Expire { peer, .. } => Some((peer, Some("expired"))),
        Operation::DeadLetter { peer, .. } => Some((peer, Some("dead"))),
        Operation::Attempt { peer, .. } => Some((peer, None)),
        _ => None,
    }
}
