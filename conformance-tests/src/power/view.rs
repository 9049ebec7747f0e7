//! Everything that can be read from a store, in a form in which two stores compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use slipstream_store::{
    DeadLetter, DeadLetterFilter, MessageStore, PeerId, Pending, Result, Roster, Sequence, Stats, Trace,
};

use crate::fixture::{id, items, peer};

/// The peers that are looked at. Remembered ones are among the first; the last is never remembered.
pub(super) const PEERS: [&str; 4] = ["a", "B", "c-1", "stranger"];

/// Most lines of a difference that are shown.
const SHOWN: usize = 6;

/// What a store holds.
#[derive(Debug)]
pub(super) struct View {
    pub(super) pending: Vec<(PeerId, Vec<Pending>)>,
    pub(super) dead: Vec<DeadLetter>,
    traces: BTreeMap<u32, Option<Trace>>,
    /// By peer and class; which was the newest of them may be left open.
    counts: Vec<(String, &'static str, u64)>,
    roster: Roster,
    stats: Stats,
}

impl View {
    /// Reads everything, and the traces of these messages.
    pub(super) async fn read<S: MessageStore>(store: &S, messages: impl Iterator<Item = u32>) -> Result<Self> {
        let mut pending = Vec::new();
        for name in PEERS {
            let (mut all, mut after) = (Vec::<Pending>::new(), None);
            loop {
                let page = store.pending(&peer(name), after, items(100)).await?;
                all.extend(page.items);
                after = all.last().map(|item| item.sequence);
                if !page.more {
                    break;
                }
            }
            pending.push((peer(name), all));
        }
        let (mut dead, mut after) = (Vec::<DeadLetter>::new(), None);
        loop {
            let page = store.dead_letters(&DeadLetterFilter::default(), after, items(100)).await?;
            dead.extend(page.items);
            after = dead
                .last()
                .map(|item| slipstream_store::DeadLetterCursor { sequence: item.sequence, peer: item.peer.clone() });
            if !page.more {
                break;
            }
        }
        let mut traces = BTreeMap::new();
        for number in messages {
            traces.insert(number, store.deliveries(&id(&number.to_string())).await?);
        }
        let counts = store.dead_letter_counts().await?.into_iter();
        let counts = counts.map(|entry| (entry.peer.to_string(), entry.reason, entry.count)).collect();
        Ok(Self { pending, dead, traces, counts, roster: store.roster().await?, stats: store.stats().await? })
    }

    /// The messages among the first so many whose trace the store need not have any more.
    pub(super) fn forgotten(&self, recorded: u32) -> BTreeSet<u32> {
        let gone = self.traces.iter().filter(|(number, trace)| **number < recorded && trace.is_none());
        gone.map(|(number, _)| *number).collect()
    }

    fn sequences(&self, without: &BTreeSet<u32>) -> BTreeSet<Sequence> {
        let pending = self.pending.iter().flat_map(|(_, items)| items).map(|item| item.sequence);
        let traces = self.traces.iter().filter(|(number, _)| !without.contains(number));
        let traced = traces.flat_map(|(_, trace)| trace).flat_map(|trace| &trace.deliveries);
        let traced = traced.map(|delivery| delivery.sequence);
        pending.chain(self.dead.iter().map(|item| item.sequence)).chain(traced).collect()
    }

    /// It as lines, without these traces. Gaps between sequences are a store's own, so each stands as its place among
    /// all that can be seen.
    pub(super) fn lines(&self, without: &BTreeSet<u32>) -> BTreeSet<String> {
        let sequences = self.sequences(without);
        let place = |sequence: Sequence| {
            let at = sequences.range(..sequence).count() as u64 + 1;
            Sequence::new(at).unwrap_or(Sequence::LAST)
        };
        let mut lines = Lines::default();
        for (peer, backlog) in &self.pending {
            for item in backlog {
                let item = Pending { sequence: place(item.sequence), text: digest(&item.text), ..item.clone() };
                lines.add(&format!("{peer} is owed"), &item);
            }
        }
        for item in &self.dead {
            let item = DeadLetter { sequence: place(item.sequence), text: digest(&item.text), ..item.clone() };
            lines.add("dead", &item);
        }
        for count in &self.counts {
            lines.add("dead letters", count);
        }
        for (number, trace) in self.traces.iter().filter(|(number, _)| !without.contains(number)) {
            let mut trace = trace.clone();
            for delivery in trace.iter_mut().flat_map(|trace| &mut trace.deliveries) {
                delivery.sequence = place(delivery.sequence);
            }
            lines.add(&format!("trace of {number}"), &trace);
        }
        lines.add("relay", &self.roster.relay);
        for mut known in self.roster.peers.clone() {
            known.oldest = known.oldest.map(place);
            lines.add("peer", &known);
        }
        // What is not owed any more counts until it is purged, and bytes are a store's own.
        lines.add("counts", &Stats { messages: 0, bytes: 0, ..self.stats });
        lines.0
    }
}

#[derive(Default)]
struct Lines(BTreeSet<String>);

impl Lines {
    fn add(&mut self, what: &str, value: &impl Debug) {
        self.0.insert(format!("{what}: {value:?}"));
    }
}

fn digest(text: &Bytes) -> Bytes {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Bytes::from(format!("{} bytes, {:016x}", text.len(), hasher.finish()))
}

/// Where what is there differs from what is expected, for a person; nothing if it does not.
pub(super) fn difference(expected: &BTreeSet<String>, found: &BTreeSet<String>) -> Option<String> {
    let mut text = String::new();
    for (what, lines) in [("missing", expected.difference(found)), ("too much", found.difference(expected))] {
        let lines: Vec<_> = lines.collect();
        for line in lines.iter().take(SHOWN) {
            write!(text, "\n  {what}: {line}").ok()?;
        }
        if lines.len() > SHOWN {
            write!(text, "\n  {what}: {} more", lines.len() - SHOWN).ok()?;
        }
    }
    Some(text).filter(|text| !text.is_empty())
}
