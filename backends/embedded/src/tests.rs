//! The store on an engine in memory: what a write that fails leaves, and that memory and medium never part.

mod damage;
mod traces;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DeadLetterReason, Depth, Durability, Fingerprint, Guarantee, Horizon, Identity, MessageId,
    MessageStore, MessageType, Operation, Outcome, PageLimit, Peer, PeerId, PeerKind, Record, Route, Sequence, Stamp,
    StoreError, Timestamp,
};
use ulid::Ulid;

use crate::ledger::load;
use crate::memory::Medium;
use crate::rows::owned::OwnedMessage;
use crate::rows::table::Table;
use crate::rows::{codec, keys, pack};
use crate::{EmbeddedStore, Engine as _, Files, Opened, Place, Tables as _, Write};

/// The tables of a store in this folder.
pub(crate) fn opened(medium: &Medium, folder: &std::path::Path) -> Opened<Medium> {
    try_opened(medium, folder).unwrap()
}

fn try_opened(medium: &Medium, folder: &std::path::Path) -> slipstream_store::Result<Opened<Medium>> {
    let files = Files { data: "slipstream.memory", within: &[], log: None, beside: &[] };
    let place = Place::folder(folder, files);
    let lock = place.lock().unwrap();
    let marker = place.admit(&lock, medium.label().unwrap()).unwrap();
    let guarantee = Guarantee::new("memory", Durability::Relaxed);
    Opened::new(medium.clone(), guarantee, lock, marker)
}

pub(crate) fn open(medium: &Medium, folder: &std::path::Path) -> EmbeddedStore<Medium> {
    EmbeddedStore::open(opened(medium, folder)).unwrap()
}

pub(crate) fn peer(name: &str) -> PeerId {
    PeerId::new(name).unwrap()
}

pub(crate) fn named(name: &str) -> Identity {
    Identity { group: ClusterGroup::singleton(), id: MessageId::new(name).unwrap() }
}

pub(crate) fn remember(name: &str) -> Operation {
    Operation::RememberPeer(Box::new(Peer {
        id: peer(name),
        kind: PeerKind::Relay,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: Timestamp::ZERO,
        alias: None,
        paused: false,
    }))
}

pub(crate) fn record(name: &str, recipients: &[&str]) -> Operation {
    let recipients = recipients.iter().map(|name| peer(name)).collect();
    Operation::Record(Box::new(Record {
        identity: Identity { group: ClusterGroup::singleton(), id: MessageId::new(name).unwrap() },
        fingerprint: Fingerprint::from_u64(1),
        message_type: MessageType::new("SK").unwrap(),
        key: None,
        expires_at: None,
        received_at: Timestamp::from_millis(5),
        stamp: Some(Stamp { epoch: Ulid::from_parts(1, 1), number: name.len() as u64 }),
        epoch: Some(Ulid::from_parts(1, 1)),
        route: Arc::new(Route { received_from: peer("s"), path: Box::new([peer("s")]), recipients }),
        text: Bytes::from_static(b"{}"),
    }))
}

/// A message that is known by its identity only.
pub(crate) fn unstamped(name: &str, recipients: &[&str]) -> Operation {
    let mut operation = record(name, recipients);
    if let Operation::Record(record) = &mut operation {
        record.stamp = None;
    }
    operation
}

pub(crate) fn acknowledge(name: &str, sequence: u64) -> Operation {
    Operation::Acknowledge { peer: peer(name), sequence: Sequence::new(sequence).unwrap(), at: Timestamp::ZERO }
}

pub(crate) fn give_up(name: &str, sequence: u64, at: u64) -> Operation {
    Operation::DeadLetter {
        peer: peer(name),
        sequence: Sequence::new(sequence).unwrap(),
        reason: DeadLetterReason::Unacknowledged,
        attempts: 1,
        at: Timestamp::from_millis(at),
    }
}

pub(crate) fn batch(operations: Vec<Operation>) -> Arc<slipstream_store::Batch> {
    Arc::new(operations.into())
}

#[tokio::test]
async fn a_write_that_fails_leaves_memory_and_medium_as_they_were() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a"), record("m", &["a"])])).await.unwrap();
    let stats = store.stats().await.unwrap();
    let image = medium.image.lock().unwrap().clone();

    let next = || batch(vec![acknowledge("a", 1), record("mm", &["a"]), remember("b"), record("mmm", &["a", "b"])]);
    medium.faults.lock().unwrap().extend([StoreError::Full("no room".into()), StoreError::Busy("later".into())]);
    assert_eq!(store.commit(next()).await, Err(StoreError::Full("no room".into())));
    assert_eq!(store.commit(next()).await, Err(StoreError::Busy("later".into())));
    assert_eq!(store.stats().await.unwrap(), stats);
    assert_eq!(*medium.image.lock().unwrap(), image);

    let outcomes = store.commit(next()).await.unwrap();
    let recorded = |number| Outcome::Recorded { sequence: Sequence::new(number).unwrap() };
    assert_eq!(outcomes, [Outcome::Applied, recorded(2), Outcome::Applied, recorded(3)]);
    assert_eq!(store.stats().await.unwrap().pending, 3);

    let horizon = Horizon { identities: Timestamp::MAX, stamps: Timestamp::MAX, ..Horizon::NOTHING };
    medium.faults.lock().unwrap().push_back(StoreError::Full("no room".into()));
    let before = store.stats().await.unwrap();
    assert!(store.purge(horizon, NonZeroU32::MAX).await.is_err());
    assert_eq!(store.stats().await.unwrap(), before);
    // Three identities, one block of stamps.
    assert_eq!(store.purge(horizon, NonZeroU32::MAX).await.unwrap().removed, 4);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn a_store_that_may_have_lied_refuses_everything() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a")])).await.unwrap();
    let poisoned = StoreError::Poisoned("a sync failed".into());
    medium.faults.lock().unwrap().push_back(poisoned.clone());
    assert_eq!(store.commit(batch(vec![record("m", &["a"])])).await, Err(poisoned.clone()));
    assert_eq!(store.commit(batch(vec![record("m", &["a"])])).await, Err(poisoned.clone()));
    assert_eq!(store.stats().await, Err(poisoned.clone()));
    assert_eq!(store.roster().await, Err(poisoned.clone()));
    let page = store.pending(&peer("a"), None, PageLimit::items(NonZeroU32::MIN)).await;
    assert_eq!(page, Err(poisoned.clone()));
    assert_eq!(store.close().await, Err(poisoned), "it is closed, and says why it was no use");
    let store = open(&medium, folder.path());
    assert_eq!(store.stats().await.unwrap().peers, 1);
}

#[tokio::test]
async fn a_store_says_that_it_was_not_closed_in_order_and_is_closed_all_the_same() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a")])).await.unwrap();
    let fault = StoreError::Busy("the last sync failed".into());
    medium.faults.lock().unwrap().push_back(fault.clone());
    assert_eq!(store.close().await, Err(fault.clone()));
    assert_eq!(store.close().await, Err(fault), "again the same");
    assert_eq!(store.stats().await, Err(StoreError::Closed));
    let store = open(&medium, folder.path());
    assert_eq!(store.stats().await.unwrap().peers, 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn memory_says_what_an_opening_would_read() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a"), remember("b")])).await.unwrap();
    for round in 0..300_u64 {
        let mut operations: Vec<_> = (0..7).map(|n| record(&format!("m{round}-{n}"), &["a", "b"])).collect();
        for operation in &mut operations {
            if let Operation::Record(record) = operation {
                record.stamp = None;
                record.expires_at = round.is_multiple_of(3).then(|| Timestamp::from_millis(round));
            }
        }
        operations.extend((1..=round * 6).rev().take(9).map(|sequence| acknowledge("a", sequence)));
        operations.push(acknowledge("b", round + 1));
        if round % 50 == 49 {
            operations.extend([Operation::ForgetPeer { peer: peer("a"), at: Timestamp::ZERO }, remember("a")]);
        }
        store.commit(batch(operations)).await.unwrap();
        if round % 7 == 0 {
            let now = Timestamp::from_millis(round / 2);
            let horizon =
                Horizon { now, expiries: now, max_identities: 500, max_trace_bytes: 9000, ..Horizon::NOTHING };
            store.purge(horizon, NonZeroU32::new(40).unwrap()).await.unwrap();
        }
        let (stats, read) = (store.stats().await.unwrap(), load::load(&medium).unwrap());
        assert_eq!((stats.messages, stats.pending), (read.messages, read.pending), "round {round}");
        assert_eq!(stats.identities, read.identities.len() as u64, "round {round}");
        let backlogs = store.roster().await.unwrap().peers.into_iter().map(|peer| peer.backlog).collect::<Vec<_>>();
        let expected = ["a", "b"].map(|name| read.peers[&peer(name)].backlog);
        assert_eq!(backlogs, expected, "round {round}");
    }
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn messages_leave_with_the_commit_that_settles_them_for_everybody() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a"), remember("b")])).await.unwrap();
    // Over the border of the first block, which is at 1,024.
    let records = |from: u64, to: u64, recipients: &[&str]| {
        let mut records: Vec<_> = (from..to).map(|n| record(&format!("m{n}"), recipients)).collect();
        for operation in &mut records {
            if let Operation::Record(record) = operation {
                record.stamp = None;
            }
        }
        records
    };
    let settle = |name: &'static str, from, to| (from..to).map(move |sequence| acknowledge(name, sequence));
    let expect = async |messages, pending, what: &str| {
        let (stats, read) = (store.stats().await.unwrap(), load::load(&medium).unwrap());
        assert_eq!((stats.messages, stats.pending), (messages, pending), "{what}");
        assert_eq!((read.messages, read.pending), (messages, pending), "{what}");
        assert_eq!(store.check(Depth::Full).await.unwrap(), [], "{what}");
    };
    store.commit(batch(records(1, 1101, &["a", "b"]))).await.unwrap();
    store.commit(batch(settle("a", 1, 1101).collect())).await.unwrap();
    expect(1100, 1100, "the other peer is owed all of them").await;
    store.commit(batch(settle("b", 1001, 1100).collect())).await.unwrap();
    expect(1001, 1001, "in either block").await;
    store.commit(batch(settle("b", 990, 1000).chain(settle("b", 200, 300)).collect())).await.unwrap();
    expect(891, 891, "in the middle of a pack").await;

    let mut operations = records(1101, 1151, &["b"]);
    operations.extend(settle("b", 1100, 1151));
    operations.extend(settle("b", 1, 200).chain(settle("b", 300, 990)).chain(settle("b", 1000, 1001)));
    store.commit(batch(operations)).await.unwrap();
    expect(50, 0, "but for those of this very commit").await;
    let left = packs(&medium).iter().map(|(_, messages)| messages).sum::<usize>();
    assert_eq!(left, 77 + 50, "the others have left with their packs; the last of these waits for its neighbours");
    store.purge(Horizon::NOTHING, NonZeroU32::MAX).await.unwrap();
    expect(0, 0, "which the purge takes").await;
    assert_eq!(packs(&medium), []);
}

/// The keys of the packs, and how many messages each has.
fn packs(medium: &Medium) -> Vec<(u64, usize)> {
    let mut packs = Vec::new();
    medium
        .scan(Table::Packs, &[], &[0xFF; 8], &mut |key, value| {
            let (first, mut messages) = (keys::first_number(key).unwrap(), 0);
            pack::each(first, value, &mut |_| {
                messages += 1;
                Ok(())
            })?;
            packs.push((first, messages));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    packs
}

#[tokio::test]
async fn a_purge_shortens_packs_of_which_little_is_left() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a"), remember("b")])).await.unwrap();
    for base in [0, 100] {
        store.commit(batch((1..=100).map(|n| unstamped(&format!("m{}", base + n), &["a"])).collect())).await.unwrap();
    }
    assert_eq!(packs(&medium), [(1, 100), (101, 100)]);
    // All but some in the middle of the first, and a third of the second.
    let settled = (1..=100).filter(|sequence| ![7, 50].contains(sequence)).chain(101..=133);
    store.commit(batch(settled.map(|sequence| acknowledge("a", sequence)).collect())).await.unwrap();
    assert_eq!(packs(&medium), [(1, 100), (101, 100)], "a commit does not wait for that");
    assert_eq!(store.stats().await.unwrap().messages, 2 + 67);
    store.purge(Horizon::NOTHING, NonZeroU32::MAX).await.unwrap();
    assert_eq!(packs(&medium), [(7, 2), (101, 100)]);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    let page = store.pending(&peer("a"), None, PageLimit::items(NonZeroU32::MAX)).await.unwrap();
    let sequences: Vec<_> = page.items.iter().map(|pending| pending.sequence.get()).collect();
    assert_eq!(sequences, [7, 50].into_iter().chain(134..=200).collect::<Vec<_>>());
    store.commit(batch(vec![acknowledge("a", 50), acknowledge("a", 7)])).await.unwrap();
    store.purge(Horizon::NOTHING, NonZeroU32::MAX).await.unwrap();
    assert_eq!(packs(&medium), [(101, 100)]);
    store.close().await.unwrap();

    // Another opening finds what there is to shorten, without anything that was settled since.
    let store = open(&medium, folder.path());
    store.commit(batch((134..=199).map(|sequence| acknowledge("a", sequence)).collect())).await.unwrap();
    store.close().await.unwrap();
    let store = open(&medium, folder.path());
    store.purge(Horizon::NOTHING, NonZeroU32::MAX).await.unwrap();
    assert_eq!(packs(&medium), [(200, 1)]);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn a_purge_shortens_a_bounded_part_and_says_that_there_is_more() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a")])).await.unwrap();
    let large = |n: u64, bytes: usize| match unstamped(&format!("m{n}"), &["a"]) {
        Operation::Record(record) => {
            Operation::Record(Box::new(Record { text: Bytes::from(vec![b'x'; bytes]), ..*record }))
        }
        other => other,
    };
    let packs_of_three = 200;
    for n in 0..packs_of_three {
        let records = [large(3 * n, 20_000), large(3 * n + 1, 20_000), large(3 * n + 2, 1000)];
        store.commit(batch(records.into())).await.unwrap();
    }
    let settled = (0..packs_of_three).flat_map(|n| [3 * n + 1, 3 * n + 2]);
    store.commit(batch(settled.map(|sequence| acknowledge("a", sequence)).collect())).await.unwrap();
    let mut rounds = 0;
    while store.purge(Horizon::NOTHING, NonZeroU32::MAX).await.unwrap().more {
        rounds += 1;
        assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    }
    assert_eq!(rounds, 1, "8 MB of packs, 4 MiB at a time");
    assert!(packs(&medium).iter().all(|(_, messages)| *messages == 1));
}

#[tokio::test]
async fn a_store_of_version_1_becomes_version_2_when_it_is_opened() {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a"), remember("b")])).await.unwrap();
    let records: Vec<_> = (1..=9000).map(|n| unstamped(&format!("m{n}"), &["a", "b"])).collect();
    store.commit(batch(records)).await.unwrap();
    store.commit(batch((1..=5000).map(|sequence| acknowledge("a", sequence)).collect())).await.unwrap();
    let expected = store.pending(&peer("b"), None, PageLimit::items(NonZeroU32::MAX)).await.unwrap();
    let stats = store.stats().await.unwrap();
    store.close().await.unwrap();
    unpack_all(&medium);

    // The second step fails, as if the process had been killed; the next opening goes on.
    *medium.spared.lock().unwrap() = 2;
    medium.faults.lock().unwrap().push_back(StoreError::Busy("killed".into()));
    assert_eq!(try_to_open(&medium, folder.path()).unwrap_err(), StoreError::Busy("killed".into()));
    assert!((1..9000).contains(&medium.image.lock().unwrap().unpacked.as_ref().unwrap().len()));
    let store = open(&medium, folder.path());
    assert!(medium.image.lock().unwrap().unpacked.is_none());
    assert_eq!(store.stats().await.unwrap(), stats);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    assert_eq!(store.pending(&peer("b"), None, PageLimit::items(NonZeroU32::MAX)).await.unwrap(), expected);
}

#[tokio::test]
async fn a_damaged_store_of_version_1_is_refused_as_it_is() {
    let (mut medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a"), unstamped("m", &["a"])])).await.unwrap();
    store.close().await.unwrap();
    unpack_all(&medium);
    medium.apply(&[Write::Remove { table: Table::Blocks, key: &keys::number(0) }]).unwrap();
    let image = medium.image.lock().unwrap().clone();
    assert!(matches!(try_to_open(&medium, folder.path()), Err(StoreError::Corrupted(_))));
    assert_eq!(*medium.image.lock().unwrap(), image);
}

fn try_to_open(medium: &Medium, folder: &std::path::Path) -> slipstream_store::Result<EmbeddedStore<Medium>> {
    EmbeddedStore::open(try_opened(medium, folder)?)
}

/// Makes of a store what version 1 would have written.
fn unpack_all(medium: &Medium) {
    let mut medium = medium.clone();
    let (mut unpacked, mut packs, mut blocks) = (BTreeMap::new(), Vec::new(), Vec::new());
    medium
        .scan(Table::Packs, &[], &[0xFF; 8], &mut |key, value| {
            packs.push(key.to_vec());
            pack::each(keys::first_number(key).unwrap(), value, &mut |row| {
                drop(unpacked.insert(row.sequence, OwnedMessage::new(row, row.sequence)));
                Ok(())
            })?;
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    medium
        .scan(Table::Blocks, &[], &[0x70; 8], &mut |key, value| {
            let row = codec::encode(&codec::decode_block(value)?.0)?;
            blocks.push((key.to_vec(), row));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let removed = packs.iter().map(|key| Write::Remove { table: Table::Packs, key });
    let put = blocks.iter().map(|(key, value)| Write::Put { table: Table::Blocks, key, value });
    let meta = medium.get(Table::Blocks, keys::META).unwrap().unwrap();
    let moved = [
        Write::Remove { table: Table::Blocks, key: keys::META },
        Write::Put { table: Table::Meta, key: keys::META_OF_VERSION_1, value: &meta },
    ];
    medium.apply(&removed.chain(put).chain(moved).collect::<Vec<_>>()).unwrap();
    medium.image.lock().unwrap().unpacked = Some(unpacked);
}
