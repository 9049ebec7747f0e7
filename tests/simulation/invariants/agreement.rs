//! At the end, relays agree on what they handed to each other: what `slipstream reconcile` compares.

use std::collections::BTreeMap;
use std::sync::Arc;

use slipstream::store::{Came, Identity, PeerId, Sent};
use slipstream_conformance::fixture::{ToldExchange, exchanged};

use super::Oracle;
use crate::disk::{Disk, at_once};

impl Oracle {
    /// What a relay has acknowledged to another it has, with the same content and as often; and what it has from the other was
    /// sent.
    pub(crate) fn relays_agree(&self, disks: &BTreeMap<PeerId, Arc<Disk>>) {
        for (sender, receiver) in disks.keys().flat_map(|one| disks.keys().map(move |other| (one, other))) {
            if sender != receiver {
                let told =
                    |relay: &PeerId, peer: &PeerId| disks[relay].look(|store| at_once(exchanged(store, peer.as_str())));
                self.agree(sender, receiver, &told(sender, receiver), &told(receiver, sender));
            }
        }
    }

    fn agree(&self, sender: &PeerId, receiver: &PeerId, sent: &[ToldExchange], held: &[ToldExchange]) {
        let (all_sent, all_held, none) = (by_identity(sent), by_identity(held), Vec::new());
        for message in sent.iter().filter(|message| message.sent == Sent::Acknowledged) {
            let held = all_held.get(&message.identity).unwrap_or(&none);
            let is_known = held.iter().any(|held| held.fingerprint == message.fingerprint);
            let in_epoch = |all: &[&ToldExchange]| all.iter().filter(|told| told.epoch == message.epoch).count();
            let is_once = in_epoch(held) <= in_epoch(all_sent.get(&message.identity).unwrap_or(&none));
            self.world.holds("relays agree", is_known && is_once, || {
                format!("{receiver} has acknowledged {message:?} to {sender}, and has {held:?}")
            });
        }
        for message in held.iter().filter(|message| message.came == Came::FromPeer) {
            let sent = all_sent.get(&message.identity).unwrap_or(&none);
            self.world.holds("relays agree", sent.iter().any(|sent| sent.sent != Sent::No), || {
                format!("{receiver} has {message:?} from {sender}, which has {sent:?}")
            });
        }
    }
}

fn by_identity(told: &[ToldExchange]) -> BTreeMap<&Identity, Vec<&ToldExchange>> {
    let mut all: BTreeMap<&Identity, Vec<&ToldExchange>> = BTreeMap::new();
    told.iter().for_each(|told| all.entry(&told.identity).or_default().push(told));
    all
}
