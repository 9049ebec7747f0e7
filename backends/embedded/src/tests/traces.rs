//! Random histories, in which the index finds of each message what reading the whole journal finds.

use std::num::NonZeroU32;
use std::path::Path;

use slipstream_store::{
    DeadLetterCursor, DeadLetterFilter, Depth, Horizon, MessageStore as _, Operation, Outcome, PageLimit, Sequence,
    Timestamp,
};

use super::{batch, give_up, named, open, peer, record, remember};
use crate::EmbeddedStore;
use crate::ledger::load;
use crate::memory::Medium;
use crate::reading::journal::Journal;
use crate::reading::trace::trace;

/// How many histories there are, and how many steps each has.
const HISTORIES: u64 = 5;
const STEPS: u64 = 100;

/// Peers of all kinds that may be remembered; the last is an alias of the first.
const PEERS: [&str; 4] = ["a", "b", "c", "url"];

/// How many messages there are. After their horizon they are recorded again.
const MESSAGES: u64 = 400;

/// Numbers that look random, from a seed that a failure names.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn peer(&mut self) -> &'static str {
        PEERS[usize::try_from(self.below(4)).unwrap()]
    }
}

fn recorded(chance: &mut Chance, now: u64) -> Operation {
    let recipients: Vec<&str> = PEERS.into_iter().filter(|_| chance.below(2) == 0).collect();
    let mut operation = record(&format!("m{}", chance.below(MESSAGES)), &recipients);
    if let Operation::Record(record) = &mut operation {
        record.stamp = None;
        record.received_at = Timestamp::from_millis(now);
        record.expires_at = (chance.below(4) == 0).then(|| Timestamp::from_millis(now + chance.below(900)));
    }
    operation
}

/// Something that may happen to the deliveries of one of the last messages, or to a peer.
fn happening(chance: &mut Chance, last: u64, now: u64) -> Operation {
    let (name, back) = (chance.peer(), chance.below(100));
    let number = last.saturating_sub(if back < 80 { back } else { chance.below(2000) }).max(1);
    let (peer_id, sequence, at) = (peer(name), Sequence::new(number).unwrap(), Timestamp::from_millis(now));
    match chance.below(40) {
        0..20 => Operation::Acknowledge { peer: peer_id, sequence, at },
        20..24 => Operation::Supersede { peer: peer_id, sequence, at },
        24..26 => Operation::Expire { peer: peer_id, sequence, at },
        26..33 => give_up(name, number, now),
        33..36 => Operation::Attempt { peer: peer_id, sequence, number: 1, at },
        36 => Operation::ForgetPeer { peer: peer_id, at },
        37 => {
            let Operation::RememberPeer(adopting) = remember("a") else { unreachable!("it remembers") };
            Operation::AdoptPeer { alias: peer("url"), peer: adopting }
        }
        _ => remember(name),
    }
}

/// Redrives, acknowledges or discards dead letters.
async fn dead_letters(store: &EmbeddedStore<Medium>, chance: &mut Chance, now: u64) -> Vec<Operation> {
    let after = DeadLetterCursor { sequence: Sequence::new(1 + chance.below(3000)).unwrap(), peer: peer("b") };
    let limit = PageLimit::items(NonZeroU32::new(4).unwrap());
    let page = store.dead_letters(&DeadLetterFilter::default(), Some(after), limit).await.unwrap();
    let at = Timestamp::from_millis(now);
    let operations = page.items.into_iter().map(|dead| match chance.below(4) {
        0 => Operation::Discard { peer: dead.peer, sequence: dead.sequence },
        1 => Operation::Acknowledge { peer: dead.peer, sequence: dead.sequence, at },
        _ => Operation::Redrive { peer: dead.peer, sequence: dead.sequence },
    });
    operations.collect()
}

/// Imports a dead letter, which is there already or is not: then all dead letters say the same, also where the journal was
/// cut.
async fn import(store: &EmbeddedStore<Medium>, chance: &mut Chance, now: u64) -> Outcome {
    let (all, limit) = (DeadLetterFilter::default(), PageLimit::items(NonZeroU32::MAX));
    let mut dead = store.dead_letters(&all, None, limit).await.unwrap().items;
    let at = usize::try_from(chance.below(1 + dead.len() as u64)).unwrap();
    let (name, id) = match (chance.below(2), dead.get(at)) {
        (0, Some(dead)) => (dead.peer.to_string(), dead.identity.id.to_string()),
        _ => (chance.peer().to_owned(), format!("m{}", chance.below(MESSAGES))),
    };
    let Operation::Record(mut message) = recorded(chance, now) else { unreachable!("it records") };
    message.identity = named(&id);
    let dead_at = Timestamp::from_millis(now.saturating_sub(chance.below(2000)));
    dead.retain(|dead| dead.peer.as_str() == name && dead.identity.id.as_str() == id && dead.text == message.text);
    let import =
        Operation::ImportDeadLetter { peer: peer(&name), message, reason: "poison".into(), attempts: 1, dead_at };
    let outcome = store.commit(batch(vec![import])).await.unwrap()[0];
    assert_eq!(outcome == Outcome::Unchanged, !dead.is_empty(), "{id} of {name}: {dead:?}");
    outcome
}

fn horizon(chance: &mut Chance, now: u64) -> Horizon {
    let ago = |chance: &mut Chance, most: u64| Timestamp::from_millis(now.saturating_sub(chance.below(most)));
    Horizon {
        now: Timestamp::from_millis(now),
        expiries: Timestamp::from_millis(now),
        identities: ago(chance, 600),
        traces: ago(chance, 3000),
        max_trace_bytes: if chance.below(12) == 0 { chance.below(20_000) } else { u64::MAX },
        ..Horizon::NOTHING
    }
}

/// The index tells of these messages what the journal tells, also of those that are not there.
async fn compare(
    medium: &Medium,
    store: &EmbeddedStore<Medium>,
    numbers: impl Iterator<Item = u64>,
    told: impl Fn() -> String,
) {
    let (image, tail) = (medium.image.lock().unwrap().clone(), store.tail());
    let (journal, indexed) = (Journal::unindexed(&image), Journal::of(&image, &tail).unwrap());
    for identity in numbers.map(|number| named(&format!("m{number}"))) {
        let mut expected = trace(&journal, &identity).unwrap();
        let found = trace(&indexed, &identity).unwrap();
        if found.is_none() {
            // Of a message that was forgotten, the text may still be there until the next purge.
            expected.take_if(|trace| trace.deliveries.is_empty());
        }
        assert_eq!(found, expected, "{identity}: {}", told());
    }
    assert_eq!(store.check(Depth::Full).await, Ok(Vec::new()), "{}", told());
}

async fn history(seed: u64, folder: &Path) -> u64 {
    let (medium, mut chance) = (Medium::default(), Chance(0x9E37_79B9_7F4A_7C15 ^ (seed + 1)));
    // With runs of a commit, and of many.
    let run = usize::try_from([16, 32, 64, 160, 600][usize::try_from(seed % 5).unwrap()]).unwrap();
    let mut store = open(&medium, folder).with_runs_of(run);
    store.commit(batch(PEERS.map(remember).to_vec())).await.unwrap();
    let (mut now, mut last) = (1000, 0);
    for step in 0..STEPS {
        now += chance.below(40);
        let mut operations = dead_letters(&store, &mut chance, now).await;
        let length = if chance.below(8) == 0 { 120 } else { chance.below(12) };
        for _ in 0..length {
            let one = if chance.below(2) == 0 { recorded(&mut chance, now) } else { happening(&mut chance, last, now) };
            operations.push(one);
        }
        if chance.below(20) == 0 {
            medium.faults.lock().unwrap().push_back(slipstream_store::StoreError::Busy("later".into()));
            drop(store.commit(batch(operations.clone())).await);
            medium.faults.lock().unwrap().clear();
        }
        let mut outcomes = store.commit(batch(operations)).await.unwrap();
        for _ in 0..chance.below(3) {
            outcomes.push(import(&store, &mut chance, now).await);
        }
        for outcome in outcomes {
            if let Outcome::Recorded { sequence } | Outcome::Redriven { sequence } | Outcome::Imported { sequence } =
                outcome
            {
                last = sequence.get();
            }
        }
        if chance.below(4) == 0 {
            let budget = NonZeroU32::new(1 + u32::try_from(chance.below(200)).unwrap()).unwrap();
            store.purge(horizon(&mut chance, now), budget).await.unwrap();
        }
        if chance.below(12) == 0 {
            store.close().await.unwrap();
            store = open(&medium, folder).with_runs_of(run);
        }
        if step % 10 == 9 {
            let numbers: Vec<_> = (0..25).map(|_| chance.below(MESSAGES + 2)).collect();
            compare(&medium, &store, numbers.into_iter(), || format!("seed {seed}, step {step}")).await;
        }
    }
    compare(&medium, &store, 0..MESSAGES, || format!("seed {seed}, at the end")).await;
    load::load(&medium).unwrap().counters.index.next_run
}

#[tokio::test]
async fn the_index_finds_what_the_journal_says() {
    let mut runs = 0;
    let histories = std::env::var("SLIPSTREAM_TRACE_HISTORIES").map_or(HISTORIES, |many| many.parse().unwrap());
    for seed in 0..histories {
        let folder = tempfile::tempdir().unwrap();
        runs += history(seed, folder.path()).await;
    }
    assert!(runs > 5 * histories, "{runs} runs were written");
}
