//! The sender's side: what is confirmed is kept, what is recorded was sent, once, in order.

use std::sync::Arc;

use slipstream::store::{
    Batch, DuplicateBy, Identity, MessageStore as _, Operation, Outcome, PeerId, Record, Sequence, Trace,
};
use tokio::time::Instant;

use super::facts::{Facts, Message};
use super::{Oracle, known};
use crate::application::Sent;
use crate::disk::{Disk, at_once};

impl Oracle {
    /// An application sends a message, for the first time or again.
    pub(crate) fn sending(&self, message: &Sent) {
        let mut facts = self.facts.lock();
        let origin = known(&mut facts.applications, &message.origin);
        origin.sent_on_link += 1;
        let place = (origin.link, origin.sent_on_link);
        if let Some(known) = facts.messages.get_mut(&message.identity) {
            known.sends.insert(place);
            return;
        }
        let expected = facts.applications.iter().filter(|(id, application)| {
            let tagged = message.tags.is_empty() || message.tags.iter().any(|tag| application.tags.contains(tag));
            let named = message.instances.is_empty() || message.instances.contains(id);
            application.durable && application.remembered && **id != message.origin && tagged && named
        });
        let expected = expected.map(|(id, _)| id.clone()).collect();
        let known = Message {
            sent: message.clone(),
            first_sent: Instant::now(),
            sends: [place].into(),
            confirmed: false,
            expected,
        };
        facts.messages.insert(message.identity.clone(), known);
    }

    /// An application is told that its message is durable.
    pub(crate) fn confirmed(&self, application: &PeerId, identity: &Identity, disk: &Disk) {
        let mut facts = self.facts.lock();
        let Some(message) = facts.messages.get_mut(identity) else {
            return self
                .world
                .violated("confirms are true", format!("{application} is confirmed {identity}, which nobody sent"));
        };
        message.confirmed = true;
        self.is_kept(&facts, &known_home(&facts, application), identity, disk);
    }

    /// An application is told that its message was not taken.
    pub(crate) fn refused(&self, application: &PeerId, identity: &Identity, code: &str) {
        let mut facts = self.facts.lock();
        let link = known(&mut facts.applications, application).link;
        if let Some(message) = facts.messages.get_mut(identity) {
            message.sends.retain(|(on, _)| *on != link);
        }
        let expected = matches!(code, "storage_unavailable" | "backlog_full" | "rate_limited");
        self.world.holds("refusals are due", expected, || format!("{application} is refused {identity} with {code}"));
    }

    /// A relay has opened its store again: what it had confirmed is still there.
    pub(crate) fn reopened(&self, relay: &PeerId, disk: &Disk) {
        let facts = self.facts.lock();
        let confirmed = facts
            .messages
            .iter()
            .filter(|(_, message)| message.confirmed && known_home(&facts, &message.sent.origin) == *relay);
        let handed_over = facts.relays.get(relay).into_iter().flat_map(|relay| &relay.handed_over);
        for identity in confirmed.map(|(identity, _)| identity).chain(handed_over) {
            self.is_kept(&facts, relay, identity, disk);
        }
    }

    /// What is confirmed stands in the store, and is or was owed to everyone here who must get it.
    fn is_kept(&self, facts: &Facts, relay: &PeerId, identity: &Identity, disk: &Disk) {
        let trace: Option<Trace> =
            disk.look(|store| at_once(store.deliveries(identity))).expect("the model can be read");
        let Some(trace) = trace else {
            return self
                .world
                .violated("what is confirmed is kept", format!("{relay} confirmed {identity} and does not have it"));
        };
        let Some(message) = facts.messages.get(identity) else { return };
        let here = message.expected.iter().filter(|id| facts.applications[*id].home == *relay);
        let neighbours = self.plan.neighbours(relay).filter(|id| !trace.path.contains(id));
        for peer in here.chain(neighbours) {
            self.world.holds(
                "what is confirmed is owed or settled",
                trace.deliveries.iter().any(|it| it.peer == *peer),
                || format!("{relay} confirmed {identity} and owes it not to {peer}"),
            );
        }
    }

    /// A relay's store has applied a batch.
    pub(crate) fn committed(&self, relay: &PeerId, batch: &Arc<Batch>, outcomes: &[Outcome]) {
        self.world.note(relay, format_args!("committed {}", Summary(batch, outcomes)));
        let mut facts = self.facts.lock();
        for (operation, outcome) in batch.operations.iter().zip(outcomes) {
            match (operation, outcome) {
                (Operation::Record(record), Outcome::Recorded { sequence }) => {
                    self.recorded(&mut facts, relay, record, *sequence);
                }
                (
                    Operation::Record(record) | Operation::Recognise(record),
                    Outcome::Duplicate { by: DuplicateBy::Stamp },
                ) => {
                    let here = facts.relays[relay].recorded.contains_key(&record.identity);
                    self.world.holds("duplicates are duplicates", here, || {
                        format!("{relay} takes {} for one whose stamp it saw, and never had it", record.identity)
                    });
                }
                (Operation::Record(record) | Operation::Recognise(record), Outcome::Conflict) => {
                    self.world
                        .violated("identities are kept apart", format!("{relay}: {} is a conflict", record.identity));
                }
                (_, Outcome::Applied) => self.settled(&mut facts, relay, operation),
                (Operation::Acknowledge { peer, sequence, .. }, Outcome::Unchanged) => {
                    self.acknowledged_late(&mut facts, relay, peer, *sequence);
                }
                _ => {}
            }
        }
    }

    fn recorded(&self, facts: &mut Facts, relay: &PeerId, record: &Record, sequence: Sequence) {
        let Record { identity, route, .. } = record;
        let here = known(&mut facts.relays, relay);
        let before = here.recorded.insert(identity.clone(), sequence);
        here.by_sequence.insert(sequence, identity.clone());
        self.world.holds("nothing is recorded twice", before.is_none(), || {
            format!("{relay} recorded {identity} as {sequence}, and before as {before:?}")
        });
        let Some(message) = facts.messages.get(identity) else {
            return self.world.violated("what is recorded was sent", format!("{relay} recorded {identity}"));
        };
        // In order: the first place on a link, after that of the message before, at which it may have come.
        let sender = &route.received_from;
        if *sender == message.sent.origin {
            let last = here.last_from.get(sender).copied().unwrap_or_default();
            match message.sends.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next() {
                Some(place) => drop(here.last_from.insert(sender.clone(), *place)),
                None => self.world.violated(
                    "messages are accepted in order",
                    format!(
                        "{relay} recorded {identity}, sent at {:?}, after what was sent at {last:?}",
                        message.sends
                    ),
                ),
            }
        }
    }
}

fn known_home(facts: &Facts, application: &PeerId) -> PeerId {
    facts.applications[application].home.clone()
}

/// A batch in one line.
struct Summary<'a>(&'a Batch, &'a [Outcome]);

impl std::fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (operation, outcome) in self.0.operations.iter().zip(self.1) {
            match operation {
                Operation::Record(record) => {
                    write!(f, "[record {} from {} for ", record.identity, record.route.received_from)?;
                    for recipient in &record.route.recipients {
                        write!(f, "{recipient} ")?;
                    }
                    write!(f, "{outcome:?}]")?;
                }
                Operation::Acknowledge { peer, sequence, .. } => write!(f, "[ack {peer} {sequence} {outcome:?}]")?,
                other => write!(f, "[{other:?} {outcome:?}]")?,
            }
        }
        Ok(())
    }
}
