//! Every delivery that ends has a reason.

use slipstream::store::{DeadLetterReason, Horizon, Identity, Operation, PeerId, Purged, Sequence};
use tokio::time::Instant;

use super::facts::Facts;
use super::{Oracle, known};

impl Oracle {
    /// An operation on a delivery was applied.
    pub(super) fn settled(&self, facts: &mut Facts, relay: &PeerId, operation: &Operation) {
        let (how, peer, sequence) = match operation {
            Operation::Acknowledge { peer, sequence, .. } => ("acknowledged", peer, *sequence),
            Operation::Supersede { peer, sequence, .. } => ("superseded", peer, *sequence),
            Operation::Expire { peer, sequence, .. } => ("expired", peer, *sequence),
            Operation::DeadLetter { peer, sequence, .. } => ("dead", peer, *sequence),
            _ => return,
        };
        *known(&mut facts.relays, relay).ended.entry(how).or_default() += 1;
        let Some(identity) = facts.relays[relay].by_sequence.get(&sequence).cloned() else {
            return self
                .world
                .violated("deliveries end once", format!("{relay} settled {sequence} of {peer}, which is nothing"));
        };
        if matches!(operation, Operation::Expire { .. } | Operation::DeadLetter { .. }) {
            known(&mut facts.relays, relay).dropped.insert((peer.clone(), sequence));
        }
        match operation {
            Operation::Acknowledge { .. } => self.acknowledged(facts, relay, peer, sequence, &identity),
            Operation::Supersede { .. } => self.superseded(facts, relay, peer, sequence, &identity),
            Operation::Expire { .. } => self.expired(facts, relay, &identity),
            Operation::DeadLetter { reason, attempts, .. } => {
                self.dead(facts, relay, peer, &identity, reason, *attempts);
            }
            _ => {}
        }
    }

    fn acknowledged(&self, facts: &mut Facts, relay: &PeerId, peer: &PeerId, sequence: Sequence, identity: &Identity) {
        if let Some(application) = facts.applications.get_mut(peer) {
            application.lost_links = 0;
        }
        let handled = match facts.relays.get_mut(peer) {
            Some(other) => {
                other.handed_over.insert(identity.clone());
                other.recorded.contains_key(identity)
            }
            None => facts.holds_of(peer, |it| it.acknowledged.contains(identity)),
        };
        self.world.holds("acknowledgements are true", handled, || {
            format!("{relay} counts {identity} as acknowledged by {peer}, which did not")
        });
        self.handled(facts, relay, peer, sequence, identity);
    }

    /// A peer has acknowledged a value that expired meanwhile: it stands in for older ones all the same.
    pub(super) fn acknowledged_late(&self, facts: &mut Facts, relay: &PeerId, peer: &PeerId, sequence: Sequence) {
        if let Some(identity) = facts.relays[relay].by_sequence.get(&sequence).cloned() {
            self.handled(facts, relay, peer, sequence, &identity);
        }
    }

    fn handled(&self, facts: &mut Facts, relay: &PeerId, peer: &PeerId, sequence: Sequence, identity: &Identity) {
        let Some(key) = facts.messages.get(identity).and_then(|message| message.sent.sets()).cloned() else { return };
        let here = known(&mut facts.relays, relay);
        let newest = here.newest_of_key.entry((peer.clone(), key)).or_insert((sequence, Instant::now()));
        if newest.0 < sequence {
            *newest = (sequence, Instant::now());
        }
    }

    fn superseded(&self, facts: &Facts, relay: &PeerId, peer: &PeerId, sequence: Sequence, identity: &Identity) {
        let key = facts.messages.get(identity).and_then(|message| message.sent.sets()).cloned();
        let newest = key.and_then(|key| facts.relays[relay].newest_of_key.get(&(peer.clone(), key)));
        self.world.holds("only newer values supersede", newest.is_some_and(|(newest, _)| *newest > sequence), || {
            format!("{relay} superseded {identity} ({sequence}) for {peer}; acknowledged is {newest:?}")
        });
    }

    fn expired(&self, facts: &Facts, relay: &PeerId, identity: &Identity) {
        let (due, may_have_expired) = facts.expiry(&self.world, relay, identity);
        self.world.holds("only what is past its time expires", may_have_expired, || {
            format!("{relay} let {identity} expire at {:?}, due {due:?}", facts.relays[relay].clock.latest(&self.world))
        });
    }

    fn dead(
        &self,
        facts: &Facts,
        relay: &PeerId,
        peer: &PeerId,
        identity: &Identity,
        reason: &DeadLetterReason,
        attempts: u32,
    ) {
        let due = match reason {
            DeadLetterReason::Unacknowledged => {
                attempts >= self.plan.settings.delivery.max_republishes
                    && facts.holds_of(peer, |it| it.withheld.contains(identity))
            }
            DeadLetterReason::Poison => facts.holds_of(peer, |it| it.died_of.contains(identity)),
            DeadLetterReason::Rejected { .. } => facts.holds_of(peer, |it| it.rejected.contains(identity)),
            _ => false,
        };
        self.world.holds("only what is given up dies", due, || {
            format!("{relay}: {identity} for {peer} is dead after {attempts} attempts: {reason}")
        });
    }

    /// A relay's store has purged.
    pub(crate) fn purged(&self, relay: &PeerId, horizon: &Horizon, purged: &Purged) {
        if purged.removed == 0 {
            return;
        }
        self.world.note(relay, format_args!("purged {}", purged.removed));
        let mut facts = self.facts.lock();
        for (peer, sequence) in &purged.expired {
            let expire = Operation::Expire { peer: peer.clone(), sequence: *sequence, at: horizon.now };
            self.settled(&mut facts, relay, &expire);
        }
    }
}
