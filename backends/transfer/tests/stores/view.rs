//! All that the contract shows of a store, in a form in which two stores compare.

use std::collections::{BTreeMap, BTreeSet};

use slipstream_conformance::History;
use slipstream_conformance::fixture::*;
use slipstream_store::{
    DeadLetter, DeliveryState, Fingerprint, MessageStore, Outcome, PeerId, Pending, Record, Roster, Sent, Sequence,
    Stats, Timestamp, Trace, TracedDelivery,
};

/// What there is, with each sequence as its place among all that can be seen.
#[derive(Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) roster: Roster,
    pub(crate) stats: Stats,
    pub(crate) pending: Vec<Vec<Pending>>,
    pub(crate) dead: Vec<DeadLetter>,
    pub(crate) counts: Vec<(String, &'static str, u64)>,
    pub(crate) traces: Vec<Option<Trace>>,
    pub(crate) exchanged: Vec<(Vec<ToldExchange>, Timestamp)>,
    /// What recording messages with these identities and stamps would give.
    pub(crate) known: Vec<Outcome>,
}

impl View {
    /// Reads everything about these peers and these messages.
    pub(crate) async fn of<S: MessageStore>(store: &S, history: &History) -> Self {
        let messages = history.messages;
        let mut view = Self {
            roster: store.roster().await.expect("a roster"),
            stats: Stats { messages: 0, bytes: 0, ..store.stats().await.expect("stats") },
            pending: Vec::new(),
            dead: all_dead(store).await,
            counts: counted(store).await,
            traces: Vec::new(),
            exchanged: Vec::new(),
            known: Vec::new(),
        };
        for peer in history.peers {
            view.pending.push(backlog(store, peer).await);
            view.exchanged.push(exchange_of(store, peer).await);
        }
        for number in 0..messages {
            view.traces.push(trace(store, &number.to_string()).await);
        }
        // The stamps come with messages of other names.
        for fingerprint in [0, 1] {
            let ask = |number: u8| {
                let fingerprint = Fingerprint::from_u64(fingerprint);
                recognise(Record { fingerprint, ..message(&number.to_string(), &[]) })
            };
            view.known.extend(commit(store, (0..messages).map(ask).collect()).await);
        }
        for epoch in 1..3 {
            for number in [0, 1, 2, 1022, 1023, 1024, 4095, u64::MAX] {
                let asked = Record { stamp: Some(stamp(epoch, number)), ..message("another", &[]) };
                view.known.push(commit_one(store, recognise(asked)).await);
            }
        }
        for item in view.pending.iter_mut().flatten() {
            item.expires_at = item.expires_at.map(|at| at.max(Timestamp::from_millis(1)));
        }
        view.rank();
        view
    }

    fn sequences(&mut self) -> impl Iterator<Item = &mut Sequence> {
        let pending = self.pending.iter_mut().flatten().map(|item| &mut item.sequence);
        let oldest = self.roster.peers.iter_mut().filter_map(|known| known.oldest.as_mut());
        let traced = self.traces.iter_mut().flatten().flat_map(|trace| &mut trace.deliveries);
        let exchanged = self.exchanged.iter_mut().flat_map(|(all, _)| all).map(|told| &mut told.sequence);
        let dead = self.dead.iter_mut().map(|item| &mut item.sequence);
        pending.chain(oldest).chain(traced.map(|item| &mut item.sequence)).chain(exchanged).chain(dead)
    }

    fn rank(&mut self) {
        let all: BTreeSet<Sequence> = self.sequences().map(|sequence| *sequence).collect();
        let places: BTreeMap<Sequence, u64> = all.into_iter().zip(1..).collect();
        self.sequences().for_each(|at| *at = Sequence::new(places[at]).expect("a place"));
        self.roster.version = slipstream_store::RosterVersion(0);
    }
}

/// Whether two stores answer the same. If peers may have adopted others, it may be told otherwise to whom something was
/// sent, and which dead letters an alias had; if it was purged, how a delivery was settled may be forgotten, and so that it
/// was sent.
#[track_caller]
pub(crate) fn expect_same(mut expected: View, mut found: View, history: &History) {
    let name = history.place.display();
    if history.has_adoptions || history.has_purges {
        for (told, _) in expected.exchanged.iter_mut().chain(&mut found.exchanged) {
            for told in told.iter_mut().filter(|told| told.sent == Sent::Unacknowledged) {
                told.sent = Sent::No;
            }
        }
    }
    if history.has_adoptions {
        for (one, other) in expected.traces.iter_mut().zip(&mut found.traces) {
            let (Some(one), Some(other)) = (one, other) else { continue };
            let had = |item: &&TracedDelivery| item.state == DeliveryState::Dead && item.reason.is_none();
            let all = one.deliveries.iter().chain(&other.deliveries).filter(had);
            let aliases: BTreeSet<PeerId> = all.map(|item| item.peer.clone()).collect();
            one.deliveries.retain(|item| !aliases.contains(&item.peer));
            other.deliveries.retain(|item| !aliases.contains(&item.peer));
        }
    }
    // Of an identity alone a trace is told, which hides that of what was imported before it.
    for (one, other) in expected.traces.iter_mut().zip(&mut found.traces) {
        if other.as_ref().is_some_and(|trace| trace.message_type.as_str() == "FORGOTTEN") {
            (*one, *other) = (None, None);
        }
    }
    expected.rank();
    found.rank();
    assert_eq!(expected.stats, found.stats, "{name}");
    assert_eq!(expected.traces.len(), found.traces.len());
    for (one, other) in expected.traces.iter().zip(&found.traces) {
        assert_eq!(one, other, "{name}");
    }
    for (one, other) in expected.exchanged.iter().zip(&found.exchanged) {
        assert_eq!(one, other, "{name}");
    }
    assert_eq!(expected.pending, found.pending, "{name}");
    assert_eq!(expected.dead, found.dead, "{name}");
    assert_eq!(expected.counts, found.counts, "{name}");
    assert_eq!(expected.known, found.known, "{name}");
    assert_eq!(expected.roster, found.roster, "{name}");
}
