//! The receiver's side: what is delivered was sent, is stored, comes in order, once, by a real path, and within the
//! window.

use std::time::Duration;

use slipstream::store::{Identity, PeerId, Sequence};
use tokio::time::Instant;

use super::facts::{Application, Facts, Handled, Message, Received};
use super::{Oracle, known};
use crate::application::Delivered;

/// How many links must be lost without an acknowledgement before deliveries may be held back. The relay wants three; of
/// one it may not have heard yet.
const LOST_LINKS: u32 = 2;

/// What a receipt is to the application that gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// How often the message has come, with this time.
    pub(crate) times: u32,
}

impl Oracle {
    /// An application has a new link.
    pub(crate) fn linked(&self, application: &PeerId, link: u64) {
        let mut facts = self.facts.lock();
        let home = facts.applications[application].home.clone();
        let newest = facts.relays[&home].by_sequence.keys().next_back().copied();
        let known = known(&mut facts.applications, application);
        known.lost_links += u32::from(known.remembered);
        if known.lost_links >= LOST_LINKS {
            known.held_through = known.held_through.max(newest);
        }
        known.remembered = true;
        known.link = link;
        known.link_began = Instant::now();
        known.unanswered.clear();
        known.sent_on_link = 0;
        known.newest_on_link.clear();
        if !known.durable {
            // On each link it is another peer.
            known.received.clear();
            known.newest = None;
            known.handled.clear();
        }
    }

    /// Whether every durable application was welcomed once.
    pub(crate) fn all_are_remembered(&self) -> bool {
        self.facts.lock().applications.values().all(|application| application.remembered)
    }

    /// A message comes to an application. `in_trouble` tells whether answers of the application may have been lost or
    /// late, within some time.
    pub(crate) fn delivered(
        &self,
        application: &PeerId,
        message: &Delivered,
        in_trouble: impl Fn(Duration) -> bool,
    ) -> Receipt {
        let mut facts = self.facts.lock();
        let Delivered { identity, .. } = message;
        self.was_sent(&facts, application, message);
        self.took_a_real_path(&facts, application, message);
        let home = facts.applications[application].home.clone();
        let Some(sequence) = facts.relays[&home].recorded.get(identity).copied() else {
            self.world.violated(
                "what is delivered is stored",
                format!("{application} gets {identity}, which {home} has not stored"),
            );
            return Receipt { times: 1 };
        };
        self.does_not_go_back(&facts, application, identity);
        self.keeps_the_order_of_values(&mut facts, application, identity, sequence);
        let ack_timeout = self.plan.settings.delivery.ack_timeout;
        let window = self.plan.settings.delivery.window.get() as usize;
        // It was passed over as expired, but before that was committed the relay and its clock were set back.
        let (_, may_have_expired) = facts.expiry(&self.world, &home, identity);
        let known = known(&mut facts.applications, application);
        let times = match known.received.get_mut(identity) {
            None => {
                let newest = known.newest;
                let in_order = newest.is_none_or(|newest| newest < sequence)
                    || Some(sequence) <= known.held_through
                    || may_have_expired;
                self.world.holds("deliveries come in order", in_order, || {
                    format!("{application} first gets {identity} ({sequence}) after {newest:?}")
                });
                known.newest = Some(newest.map_or(sequence, |newest| newest.max(sequence)));
                let received = Received { last: Instant::now(), link: known.link, times: 1 };
                known.received.insert(identity.clone(), received);
                1
            }
            Some(received) => {
                known.received_again += 1;
                let pause = received.last.elapsed();
                let has_a_cause = received.link != known.link
                    || pause >= ack_timeout / 2
                    || known.withheld.contains(identity)
                    || in_trouble(ack_timeout * 2);
                self.world.holds("duplicates have a cause", has_a_cause, || {
                    format!("{application} gets {identity} again {pause:?} later on the same link")
                });
                *received = Received { last: Instant::now(), link: known.link, times: received.times + 1 };
                received.times
            }
        };
        known.unanswered.insert(identity.clone());
        let in_flight = known.unanswered.len();
        self.world.holds("the window is kept", in_flight <= window, || {
            format!("{application} has {in_flight} unanswered deliveries; the window is {window}")
        });
        Receipt { times }
    }

    fn was_sent(&self, facts: &Facts, application: &PeerId, message: &Delivered) {
        let identity = &message.identity;
        let Some(Message { sent, sends, .. }) = facts.messages.get(identity) else {
            return self.world.violated("what is delivered was sent", format!("{application} gets {identity}"));
        };
        let alike = sent.message_type.as_str() == message.message_type
            && sent.key.as_ref().map(|key| key.as_str()) == message.key.as_deref()
            && sent.value == message.value
            && (sent.origin.as_str() == message.origin || !facts.applications[&sent.origin].durable);
        self.world.holds("what is delivered was sent", alike, || format!("{application} gets {message:?} of {sent:?}"));
        let mine: &Application = &facts.applications[application];
        let tagged = sent.tags.is_empty() || sent.tags.iter().any(|tag| mine.tags.contains(tag));
        let named = sent.instances.is_empty() || sent.instances.contains(application);
        // Each link of an anonymous one is somebody else, who may get what was sent on the link before.
        let sent_by_another =
            sent.origin != *application || !mine.durable && sends.iter().any(|(link, _)| *link < mine.link);
        self.world.holds("messages go to whom they are for", tagged && named && sent_by_another, || {
            format!("{application} gets {sent:?}")
        });
    }

    fn took_a_real_path(&self, facts: &Facts, application: &PeerId, message: &Delivered) {
        let Delivered { path, source, origin, .. } = message;
        let relays = path.get(1..).unwrap_or_default();
        let hops = || relays.windows(2).all(|hop| self.plan.are_neighbours(&hop[0], &hop[1]));
        let sender = facts.messages.get(&message.identity).map(|it| &facts.applications[&it.sent.origin]);
        let real = path.first() == Some(origin)
            && relays.first().is_some_and(|first| sender.is_some_and(|it| it.home.as_str() == first))
            && relays.last().is_some_and(|last| facts.applications[application].home.as_str() == last)
            && path.len().checked_sub(2).is_some_and(|index| path[index] == *source)
            && hops()
            && (1..path.len()).all(|n| !path[..n].contains(&path[n]));
        self.world.holds("paths are real", real, || {
            format!("{application} gets {} of {origin} from {source} by {path:?}", message.identity)
        });
    }

    /// Once a newer value of a key was acknowledged, a link that began later brings no older one.
    fn does_not_go_back(&self, facts: &Facts, application: &PeerId, identity: &Identity) {
        let mine = &facts.applications[application];
        let home = &facts.relays[&mine.home];
        let Some(key) = facts.messages.get(identity).and_then(|message| message.sent.sets()) else { return };
        let newest = home.newest_of_key.get(&(application.clone(), key.clone()));
        if let (Some((newest, since)), Some(sequence)) = (newest, home.recorded.get(identity)) {
            self.world.holds("values never go back", sequence >= newest || mine.link_began <= *since, || {
                format!("{application} gets {identity} ({sequence}) for {key:?} and has acknowledged {newest}")
            });
        }
    }

    /// On one link no value of a key comes after a newer one, whether or not anything was acknowledged.
    fn keeps_the_order_of_values(&self, facts: &mut Facts, id: &PeerId, identity: &Identity, sequence: Sequence) {
        let Some(key) = facts.messages.get(identity).and_then(|message| message.sent.sets()).cloned() else { return };
        let newest = known(&mut facts.applications, id).newest_on_link.entry(key.clone()).or_insert(sequence);
        self.world.holds("values come in order", *newest <= sequence, || {
            format!("{id} gets {identity} ({sequence}) for {key:?} after {newest} on the same link")
        });
        *newest = sequence;
    }

    /// Another program has links under the id of an application, of which the application knows nothing.
    pub(crate) fn is_impersonated(&self, id: &PeerId) {
        known(&mut self.facts.lock().applications, id).held_through = Some(Sequence::LAST);
    }

    /// An application handles a message.
    pub(crate) fn handling(&self, id: &PeerId, identity: &Identity) {
        let mut facts = self.facts.lock();
        let Some(key) = facts.messages.get(identity).and_then(|message| message.sent.sets()).cloned() else { return };
        let home = facts.applications[id].home.clone();
        let Some(sequence) = facts.relays[&home].recorded.get(identity).copied() else { return };
        let handled = &mut known(&mut facts.applications, id).handled;
        let newest = handled.get(&key).map_or(sequence, |before| before.newest.max(sequence));
        handled.insert(key, Handled { last: sequence, newest });
    }

    /// An application dies of a message.
    pub(crate) fn dies(&self, id: &PeerId, identity: &Identity) {
        known(&mut self.facts.lock().applications, id).died_of.insert(identity.clone());
    }

    /// An application acknowledges a message.
    pub(crate) fn acknowledging(&self, application: &PeerId, identity: &Identity) {
        let mut facts = self.facts.lock();
        let known = known(&mut facts.applications, application);
        known.unanswered.remove(identity);
        known.acknowledged.insert(identity.clone());
    }

    /// An application refuses a message, for now or for good.
    pub(crate) fn refusing(&self, application: &PeerId, identity: &Identity, for_good: bool) {
        let mut facts = self.facts.lock();
        let known = known(&mut facts.applications, application);
        known.unanswered.remove(identity);
        known.withheld.insert(identity.clone());
        if for_good {
            known.rejected.insert(identity.clone());
        }
    }

    /// An application does not answer a message in time, on purpose.
    pub(crate) fn withholding(&self, application: &PeerId, identity: &Identity) {
        known(&mut self.facts.lock().applications, application).withheld.insert(identity.clone());
    }
}
