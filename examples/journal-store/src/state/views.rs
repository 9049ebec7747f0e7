//! What can be read from the state.

use std::collections::BTreeMap;

use bytes::Bytes;
use slipstream_store::{
    DeadLetter, DeadLetterCursor, DeadLetterFilter, DeliveryState, Exchanged, Identity, Page, PageLimit, PeerId,
    Pending, RememberedPeer, Roster, Sequence, Show, Stats, Trace, TracedDelivery,
};

use super::{Delivery, Message, OpenState, State};

impl State {
    pub(crate) fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Page<Pending> {
        let owed = self.index.pending_after(peer, after);
        page(
            owed.filter_map(|(sequence, origin)| self.pending_delivery(peer, sequence, origin)),
            |item| &item.text,
            limit,
        )
    }

    fn pending_delivery(&self, peer: &PeerId, sequence: Sequence, origin: Sequence) -> Option<Pending> {
        let message = self.messages.get(&origin)?;
        let OpenState::Pending { attempts, last_attempt_at } = message.deliveries.get(peer)?.open.as_ref()?.state
        else {
            return None;
        };
        let record = &message.record;
        Some(Pending {
            sequence,
            identity: record.identity.clone(),
            message_type: record.message_type.clone(),
            key: record.key.clone(),
            expires_at: record.expires_at,
            received_at: record.received_at,
            attempts,
            last_attempt_at,
            redriven: sequence != origin,
            text: record.text.clone(),
        })
    }

    pub(crate) fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Page<DeadLetter> {
        let dead = self.index.dead_after(after).filter_map(|(at, origin)| self.dead_letter(at, origin));
        let meant = dead.filter(|dead| filter.matches(&dead.peer, &dead.reason, &dead.identity.id));
        page(meant, |item| &item.text, limit)
    }

    fn dead_letter(&self, at: &DeadLetterCursor, origin: Sequence) -> Option<DeadLetter> {
        let message = self.messages.get(&origin)?;
        let OpenState::Dead { reason, attempts, at: dead_at } = &message.deliveries.get(&at.peer)?.open.as_ref()?.state
        else {
            return None;
        };
        let record = &message.record;
        Some(DeadLetter {
            sequence: at.sequence,
            peer: at.peer.clone(),
            identity: record.identity.clone(),
            message_type: record.message_type.clone(),
            key: record.key.clone(),
            reason: reason.clone(),
            attempts: *attempts,
            dead_at: *dead_at,
            text: record.text.clone(),
        })
    }

    pub(crate) fn trace(&self, identity: &Identity) -> Option<Trace> {
        let origins: Vec<Sequence> = self.index.origins(identity).collect();
        // What was imported after the newest record belongs to it; without a record the newest import says the rest.
        let recorded = origins.iter().rposition(|origin| !self.imported.contains(origin));
        let record = &self.messages.get(recorded.map_or_else(|| origins.last(), |at| origins.get(at))?)?.record;
        let mut deliveries: BTreeMap<PeerId, TracedDelivery> = BTreeMap::new();
        let messages = origins.iter().skip(recorded.unwrap_or_default()).filter_map(|origin| self.messages.get(origin));
        for (peer, delivery) in messages.flat_map(|message| &message.deliveries) {
            let Some(delivery) = traced(peer, delivery) else { continue };
            if deliveries.get(peer).is_none_or(|other| other.sequence < delivery.sequence) {
                deliveries.insert(peer.clone(), delivery);
            }
        }
        Some(Trace {
            identity: identity.clone(),
            message_type: record.message_type.clone(),
            key: record.key.clone(),
            received_at: record.received_at,
            received_from: record.route.received_from.clone(),
            path: record.route.path.to_vec(),
            deliveries: deliveries.into_values().collect(),
        })
    }

    pub(crate) fn exchanged(&self, peer: &PeerId, show: &Show) {
        let recorded = self.messages.iter().filter(|(origin, _)| !self.imported.contains(origin));
        for (&sequence, Message { record, deliveries }) in recorded {
            let sent = deliveries.get(peer).map(|delivery| delivery.sent).unwrap_or_default();
            let told = Exchanged::of(sequence, record, sent, peer);
            if told.is_some_and(|told| show.show(&told).is_break()) {
                return;
            }
        }
    }

    pub(crate) fn roster(&self) -> Roster {
        let peers = self.peers.values().map(|peer| RememberedPeer {
            peer: peer.clone(),
            backlog: self.index.backlog(&peer.id),
            oldest: self.index.pending_after(&peer.id, None).next().map(|(sequence, _)| sequence),
        });
        Roster { relay: self.relay.clone(), peers: peers.collect(), ..Roster::default() }
    }

    /// The counts; `bytes` on the medium are another's to say.
    pub(crate) fn stats(&self, bytes: u64) -> Stats {
        Stats {
            peers: self.peers.len() as u64,
            messages: self.index.all_owed(),
            pending: self.index.all_pending(),
            dead_letters: self.index.all_dead(),
            identities: self.identities.len() as u64,
            bytes,
        }
    }
}

/// Where a delivery stands: as it is open, otherwise as it was settled; nothing where another peer has it now.
fn traced(peer: &PeerId, delivery: &Delivery) -> Option<TracedDelivery> {
    let empty = |sequence, state| TracedDelivery {
        peer: peer.clone(),
        sequence,
        state,
        attempts: 0,
        last_attempt_at: None,
        settled_at: None,
        reason: None,
    };
    let Some(open) = &delivery.open else {
        let newest = delivery.newest?;
        let settled = newest.settled?;
        return Some(TracedDelivery { settled_at: Some(settled.at), ..empty(newest.sequence, settled.how) });
    };
    Some(match &open.state {
        OpenState::Pending { attempts, last_attempt_at } => TracedDelivery {
            attempts: *attempts,
            last_attempt_at: *last_attempt_at,
            ..empty(open.sequence, DeliveryState::Pending)
        },
        OpenState::Dead { reason, attempts, at } => TracedDelivery {
            attempts: *attempts,
            settled_at: Some(*at),
            reason: Some(reason.clone()),
            ..empty(open.sequence, DeliveryState::Dead)
        },
    })
}

/// As many items, in order, as fit the limit, and at least one where there is one (clause C6).
fn page<T>(items: impl Iterator<Item = T>, text: fn(&T) -> &Bytes, limit: PageLimit) -> Page<T> {
    let most = usize::try_from(limit.items.get()).unwrap_or(usize::MAX);
    let mut page = Page { items: Vec::new(), more: false };
    let mut bytes = 0_usize;
    for item in items {
        bytes = bytes.saturating_add(text(&item).len());
        if !page.items.is_empty() && (page.items.len() == most || bytes > limit.bytes.get()) {
            page.more = true;
            break;
        }
        page.items.push(item);
    }
    page
}
