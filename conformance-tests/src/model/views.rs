//! What can be read from the state.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use slipstream_store::{
    DeadLetter, DeadLetterCount, DeadLetterCounts, DeadLetterCursor, DeadLetterFilter, Defect, DeliveryState,
    Exchanged, Identity, Page, PageLimit, PeerId, Pending, RememberedPeer, Roster, Sequence, Show, Stats, Trace,
    TracedDelivery,
};

use super::state::{Dead, Owed, Settled, State, Traced, cursor};

impl State {
    pub(super) fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Page<Pending> {
        let backlog = self.pending.get(peer).into_iter();
        let items = backlog.flat_map(|backlog| backlog.range((beyond(after), Bound::Unbounded)));
        page(items.map(|(&sequence, owed)| pending(sequence, owed)), |item| &item.text, limit)
    }

    pub(super) fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Page<DeadLetter> {
        let items = self.dead.range((beyond(after), Bound::Unbounded));
        let meant = items.filter(|(at, dead)| filter.matches(&at.peer, &dead.reason, &dead.message.record.identity.id));
        page(meant.map(|(at, dead)| dead_letter(at, dead)), |item| &item.text, limit)
    }

    pub(super) fn dead_letter_counts(&self) -> Vec<DeadLetterCount> {
        let mut counts = DeadLetterCounts::default();
        for (at, dead) in &self.dead {
            counts.add(&at.peer, dead.reason.class(), 1, dead.at);
        }
        counts.into()
    }

    pub(super) fn trace(&self, identity: &Identity) -> Option<Trace> {
        let newest = self.newest_trace.get(identity).copied();
        // What was imported after the newest record belongs to it.
        let from = newest.unwrap_or(Sequence::FIRST);
        let all = (identity.clone(), from)..=(identity.clone(), Sequence::LAST);
        let imported: Vec<Sequence> = self.imported.range(all).map(|(_, origin)| *origin).collect();
        let record = &self.traces.get(&newest.or(imported.last().copied())?)?.record;
        let mut deliveries = BTreeMap::new();
        for trace in newest.iter().chain(&imported).filter_map(|origin| self.traces.get(origin)) {
            let peers: BTreeSet<&PeerId> = trace.open.keys().chain(trace.newest.keys()).collect();
            for delivery in peers.into_iter().filter_map(|peer| self.traced(peer, trace)) {
                let newest = deliveries.entry(delivery.peer.clone()).or_insert_with(|| delivery.clone());
                if newest.sequence < delivery.sequence {
                    *newest = delivery;
                }
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

    /// Where a delivery stands now, otherwise how it was settled; none if it went to another peer.
    fn traced(&self, peer: &PeerId, trace: &Traced) -> Option<TracedDelivery> {
        let (newest, settled) =
            trace.newest.get(peer).map_or((None, None), |&(newest, settled)| (Some(newest), settled));
        let sequence = trace.open.get(peer).copied().or(newest.filter(|_| settled.is_some()))?;
        let owed = self.pending.get(peer).and_then(|backlog| backlog.get(&sequence));
        let dead = self.dead.get(&cursor(peer, sequence));
        let settled = match (owed, dead) {
            (Some(_), _) => None,
            (None, Some(dead)) => Some(Settled { state: DeliveryState::Dead, at: dead.at }),
            (None, None) => settled,
        };
        Some(TracedDelivery {
            peer: peer.clone(),
            sequence,
            state: settled.map_or(DeliveryState::Pending, |settled| settled.state),
            attempts: owed.map_or(0, |owed| owed.attempts).max(dead.map_or(0, |dead| dead.attempts)),
            last_attempt_at: owed.and_then(|owed| owed.last_attempt_at),
            settled_at: settled.map(|settled| settled.at),
            reason: dead.map(|dead| dead.reason.clone()),
        })
    }

    pub(super) fn exchanged(&self, peer: &PeerId, show: &Show) {
        for (&sequence, Traced { record, sent, .. }) in &self.traces {
            let is_imported = self.imported.contains(&(record.identity.clone(), sequence));
            let sent = sent.get(peer).copied().unwrap_or_default();
            let told = Exchanged::of(sequence, record, sent, peer).filter(|_| !is_imported);
            if told.is_some_and(|told| show.show(&told).is_break()) {
                return;
            }
        }
    }

    pub(super) fn roster(&self) -> Roster {
        let peers = self.peers.values().map(|peer| {
            let backlog = self.pending.get(&peer.id);
            RememberedPeer {
                peer: peer.clone(),
                backlog: backlog.map_or(0, |backlog| backlog.len() as u64),
                oldest: backlog.and_then(|backlog| backlog.keys().next().copied()),
            }
        });
        Roster { version: self.shared.roster, relay: self.relay.clone(), peers: peers.collect() }
    }

    pub(super) fn stats(&self) -> Stats {
        let owed = || self.pending.values().flatten();
        let sequences: BTreeSet<Sequence> = owed().map(|(&sequence, _)| sequence).collect();
        let owed_bytes: usize = owed().map(|(_, owed)| owed.message.record.text.len()).sum();
        let dead_bytes: usize = self.dead.values().map(|dead| dead.message.record.text.len()).sum();
        Stats {
            peers: self.peers.len() as u64,
            messages: sequences.len() as u64,
            pending: owed().count() as u64,
            dead_letters: self.dead.len() as u64,
            identities: self.identities.len() as u64,
            bytes: (owed_bytes + dead_bytes) as u64,
        }
    }

    /// What in the state contradicts itself.
    pub(super) fn contradictions(&self) -> Vec<Defect> {
        let mut defects = Vec::new();
        for (peer, backlog) in &self.pending {
            if !self.peers.contains_key(peer) {
                defects.push(Defect(format!("{peer} is owed messages but not remembered")));
            }
            for (sequence, owed) in backlog {
                let traced = self.traces.get(&owed.message.origin).and_then(|trace| trace.open.get(peer));
                if traced != Some(sequence) {
                    defects.push(Defect(format!("{sequence} is owed to {peer} but its trace does not say so")));
                }
            }
        }
        if self.identities.len() != self.recorded.len() {
            defects.push(Defect("the identities and their order differ in number".to_owned()));
        }
        defects
    }
}

/// As many items, in order, as fit the limit, and at least one.
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

fn beyond<T>(after: Option<T>) -> Bound<T> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

fn pending(sequence: Sequence, owed: &Owed) -> Pending {
    let record = &owed.message.record;
    Pending {
        sequence,
        identity: record.identity.clone(),
        message_type: record.message_type.clone(),
        key: record.key.clone(),
        expires_at: record.expires_at,
        received_at: record.received_at,
        attempts: owed.attempts,
        last_attempt_at: owed.last_attempt_at,
        redriven: owed.message.origin != sequence,
        text: record.text.clone(),
    }
}

fn dead_letter(at: &DeadLetterCursor, dead: &Dead) -> DeadLetter {
    let record = &dead.message.record;
    DeadLetter {
        sequence: at.sequence,
        peer: at.peer.clone(),
        identity: record.identity.clone(),
        message_type: record.message_type.clone(),
        key: record.key.clone(),
        reason: dead.reason.clone(),
        attempts: dead.attempts,
        dead_at: dead.at,
        text: record.text.clone(),
    }
}
