//! The store on an engine in memory: what a write that fails leaves, and that memory and medium never part.

mod damage;
mod traces;

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DeadLetterReason, Depth, Durability, Fingerprint, Guarantee, Horizon, Identity, MessageId,
    MessageStore, MessageType, Operation, Outcome, Peer, PeerId, PeerKind, Record, Route, Sequence, Stamp, StoreError,
    Timestamp,
};
use ulid::Ulid;

use crate::ledger::load;
use crate::memory::Medium;
use crate::{EmbeddedStore, Engine as _, Files, Opened, Place};

/// The tables of a store in this folder.
pub(crate) fn opened(medium: &Medium, folder: &std::path::Path) -> Opened<Medium> {
    let files = Files { data: "slipstream.memory", within: &[], log: None, beside: &[] };
    let place = Place::folder(folder, files);
    let lock = place.lock().unwrap();
    let marker = place.admit(&lock, medium.label().unwrap()).unwrap();
    let guarantee = Guarantee::new("memory", Durability::Relaxed);
    Opened { engine: medium.clone(), guarantee, lock, marker }
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
    // One message, three identities, one block of stamps.
    assert_eq!(store.purge(horizon, NonZeroU32::MAX).await.unwrap().removed, 5);
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
    let page = store.pending(&peer("a"), None, slipstream_store::PageLimit::items(NonZeroU32::MIN)).await;
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
    expect(1024, 1001, "only where there are enough of them, in either block").await;
    store.commit(batch(settle("b", 990, 1000).chain(settle("b", 200, 300)).collect())).await.unwrap();
    expect(924, 891, "runs within a block").await;
    store.commit(batch(settle("b", 1000, 1001).chain(settle("b", 980, 990)).collect())).await.unwrap();
    expect(880, 880, "what waited for its neighbours").await;

    let mut operations = records(1101, 1151, &["b"]);
    operations.extend(settle("b", 1100, 1151));
    operations.extend(settle("b", 1, 200).chain(settle("b", 300, 980)));
    store.commit(batch(operations)).await.unwrap();
    expect(51, 0, "but for those of this very commit, and one alone").await;
    store.purge(Horizon::NOTHING, NonZeroU32::MAX).await.unwrap();
    expect(0, 0, "which the purge takes").await;
}
