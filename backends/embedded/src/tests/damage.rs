//! Rows that contradict each other are found when a store is opened or checked, before anything is written over them.

use std::num::NonZeroU32;
use std::ops::ControlFlow;

use slipstream_store::{DeliveryState, Depth, Horizon, MessageStore as _, Result, Sequence, StoreError, Timestamp};

use super::{acknowledge, batch, give_up, named, open, opened, record, remember, unstamped};
use crate::engine::{Engine as _, Write};
use crate::ledger::load;
use crate::memory::Medium;
use crate::rows::codec::{self, BlockRow, DeadCount, DeadCountsRow, MetaRow};
use crate::rows::journal::{JournalRow, Settled};
use crate::rows::table::Table;
use crate::rows::{index, keys};
use crate::store::offline::OfflineStore as _;

/// The counters of [`usual`].
const META: MetaRow<'static> = MetaRow {
    next_sequence: 3,
    next_commit: 3,
    next_peer: 3,
    dead_letters: 0,
    journal_bytes: 0,
    identities_from: 1,
    identities_commit: 1,
    relay: None,
};

/// Two peers, two commits and two messages, of which one is pending.
async fn usual() -> Medium {
    let (medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a"), remember("b"), record("m", &["a"]), record("mm", &["a"])])).await.unwrap();
    store.commit(batch(vec![acknowledge("a", 1)])).await.unwrap();
    store.close().await.unwrap();
    load::load(&medium).unwrap();
    medium
}

fn put<'a>(table: Table, key: &'a [u8], value: &'a [u8]) -> Write<'a> {
    Write::Put { table, key, value }
}

/// What is wrong with the usual store after this.
async fn told(write: Write<'_>) -> String {
    let mut medium = usual().await;
    medium.apply(&[write]).unwrap();
    match load::load(&medium) {
        Err(StoreError::Corrupted(told)) => told,
        other => panic!("it is taken: {other:?}"),
    }
}

#[tokio::test]
async fn a_store_that_lost_its_counters_is_not_a_new_one() {
    let told = told(Write::Remove { table: Table::Blocks, key: keys::META }).await;
    assert!(told.ends_with("the ledger's counters are missing"), "{told}");
    load::load(&Medium::default()).unwrap();
}

#[tokio::test]
async fn counters_that_would_give_a_number_twice_are_refused() {
    let beyond = Sequence::LAST.get() + 1;
    for (meta, part) in [
        (MetaRow { next_sequence: 2, ..META }, "message 2 is stored, which is yet to be recorded"),
        (MetaRow { next_commit: 2, ..META }, "commit 2 has a journal row and is yet to be made"),
        (MetaRow { next_peer: 2, ..META }, "peer b has the number 2, which is not its own"),
        (MetaRow { next_sequence: 0, ..META }, "the ledger's next sequence is 0: expected 1 to 2^63 - 1"),
        (MetaRow { next_sequence: beyond, ..META }, "the ledger's next sequence is"),
        (MetaRow { next_commit: beyond, ..META }, "the ledger's next commit is"),
        (MetaRow { next_peer: u64::MAX, ..META }, "the ledger's next peer number is"),
        (MetaRow { dead_letters: beyond, ..META }, "the ledger's count of dead letters is"),
        (MetaRow { journal_bytes: beyond, ..META }, "the ledger's count of the journal's bytes is"),
        (MetaRow { identities_from: beyond, ..META }, "the ledger's first remembered sequence is"),
        (MetaRow { identities_commit: beyond, ..META }, "the ledger's first remembered commit is"),
    ] {
        let told = told(put(Table::Blocks, keys::META, &codec::encode(&meta).unwrap())).await;
        assert!(told.contains(part), "{told}\nand not\n{part}");
    }
    let mut medium = usual().await;
    medium.apply(&[put(Table::Blocks, keys::META, &codec::encode(&META).unwrap())]).unwrap();
    load::load(&medium).unwrap();
}

#[tokio::test]
async fn a_number_or_a_block_that_no_store_gives_is_refused() {
    let row = crate::engine::Tables::get(&usual().await, Table::Peers, b"a").unwrap().unwrap();
    let told_of_peer = told(put(Table::Peers, b"c", &row)).await;
    assert_eq!(told_of_peer, "peer c has the number 1, which is not its own");
    let block = codec::encode(&BlockRow { stored: [0; 128], earliest_expiry: None, latest_change: 0 }).unwrap();
    let told_of_block = told(put(Table::Blocks, &keys::number(1 << 60), &block)).await;
    assert!(told_of_block.contains("a key of the table blocks"), "{told_of_block}");
}

#[tokio::test]
async fn a_run_without_end_is_found_and_not_walked() {
    let (mut medium, folder) = (usual().await, tempfile::tempdir().unwrap());
    let settled = Settled { peer: 0, state: 1, at: 0, origin: None, runs: vec![(1, u64::MAX)].into() };
    let row = JournalRow { names: vec!["a"], settled: vec![settled], ..JournalRow::default() };
    medium.apply(&[put(Table::Journal, &keys::number(1), &codec::encode(&row).unwrap())]).unwrap();
    let tables = opened(&medium, folder.path());
    let defects = tables.check(Depth::Full).unwrap();
    assert!(defects.iter().any(|defect| defect.0.contains("a journal row tells of")), "{defects:?}");
    drop(tables);

    let store = open(&medium, folder.path());
    let now = Timestamp::from_millis(1 << 40);
    let horizon = Horizon { now, identities: now, traces: now, ..Horizon::NOTHING };
    let purged: Result<_> = store.purge(horizon, NonZeroU32::MAX).await;
    assert!(
        matches!(&purged, Err(StoreError::Corrupted(told)) if told.contains("expected none from 3 on")),
        "{purged:?}"
    );
}

#[tokio::test]
async fn a_full_check_finds_every_name_that_a_reader_would_stumble_over() {
    let names = vec!["a", "SK", "singleton", "a b"];
    let row = |change: &dyn Fn(&mut JournalRow<'_>)| {
        let mut row = JournalRow { names: names.clone(), ..JournalRow::default() };
        change(&mut row);
        codec::encode(&row).unwrap()
    };
    let settled = |peer| Settled { peer, state: 1, at: 0, origin: None, runs: vec![(1, 1)].into() };
    for (bytes, part) in [
        (row(&|row| row.settled.push(settled(9))), "points to name 9"),
        (row(&|row| row.settled.push(settled(3))), "a bad name"),
    ] {
        let (mut medium, folder) = (usual().await, tempfile::tempdir().unwrap());
        medium.apply(&[put(Table::Journal, &keys::number(1), &bytes)]).unwrap();
        let defects = opened(&medium, folder.path()).check(Depth::Full).unwrap();
        assert!(defects.iter().any(|defect| defect.0.contains(part)), "{part}: {defects:?}");
    }
}

#[tokio::test]
async fn a_full_check_compares_the_counts_of_dead_letters_with_the_dead_letters() {
    let row = |classes| codec::encode(&DeadCountsRow { classes }).unwrap();
    let count = |class, count, newest| DeadCount { class, count, newest };
    let wrong = [
        (&b"a"[..], None),
        (b"a", Some(row(vec![count("backlog", 1, 9)]))),
        (b"a", Some(row(vec![count("unacknowledged", 2, 9)]))),
        (b"a", Some(row(vec![count("unacknowledged", 1, 8)]))),
        (b"b", Some(row(vec![count("unacknowledged", 1, 9)]))),
    ];
    let right = [(&b"a"[..], Some(row(vec![count("unacknowledged", 1, 10)])))];
    for ((key, value), is_right) in
        wrong.into_iter().map(|wrong| (wrong, false)).chain(right.map(|right| (right, true)))
    {
        let (mut medium, folder) = (usual().await, tempfile::tempdir().unwrap());
        let store = open(&medium, folder.path());
        store.commit(batch(vec![give_up("a", 2, 9)])).await.unwrap();
        store.close().await.unwrap();
        let write = value
            .as_ref()
            .map_or(Write::Remove { table: Table::DeadCounts, key }, |value| put(Table::DeadCounts, key, value));
        medium.apply(&[write]).unwrap();
        let defects = opened(&medium, folder.path()).check(Depth::Full).unwrap();
        assert_eq!(defects.is_empty(), is_right, "{defects:?}");
        assert!(defects.iter().all(|defect| defect.0.contains("are counted wrongly")), "{defects:?}");
    }
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_counted_and_then_keeps_the_counts() {
    let (mut medium, folder) = (usual().await, tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![give_up("a", 2, 9)])).await.unwrap();
    store.close().await.unwrap();
    // As an earlier version leaves it.
    let journal_bytes = load::load(&medium).unwrap().counters.journal_bytes;
    let earlier = codec::encode(&MetaRow { dead_letters: 1, next_commit: 4, journal_bytes, ..META }).unwrap();
    medium
        .apply(&[Write::Remove { table: Table::DeadCounts, key: b"a" }, put(Table::Blocks, keys::META, &earlier)])
        .unwrap();
    let image = medium.image.lock().unwrap().clone();

    let store = open(&medium, folder.path());
    let expected = store.dead_letter_counts().await.unwrap();
    assert_eq!((expected.len(), expected[0].count, expected[0].newest), (1, 1, Timestamp::from_millis(9)));
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    assert!(*medium.image.lock().unwrap() == image, "reading changes nothing");
    medium.faults.lock().unwrap().push_back(StoreError::Full("no room".into()));
    assert!(store.commit(batch(vec![remember("c")])).await.is_err());
    store.commit(batch(vec![remember("c")])).await.unwrap();
    assert_eq!(store.dead_letter_counts().await.unwrap(), expected);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    let meta = crate::engine::Tables::get(&medium, Table::Blocks, keys::META).unwrap().unwrap();
    assert!(codec::decode_meta(&meta).unwrap().index.is_some());
    store.commit(batch(vec![acknowledge("a", 2)])).await.unwrap();
    assert_eq!(store.dead_letter_counts().await.unwrap(), []);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn what_an_earlier_version_wrote_is_traced_and_what_follows_is_indexed() {
    let (mut medium, folder) = (usual().await, tempfile::tempdir().unwrap());
    let earlier = MetaRow { journal_bytes: load::load(&medium).unwrap().counters.journal_bytes, ..META };
    medium.apply(&[put(Table::Blocks, keys::META, &codec::encode(&earlier).unwrap())]).unwrap();
    let store = open(&medium, folder.path()).with_runs_of(16);
    let state = async |name: &str| {
        let trace = store.deliveries(&named(name)).await.unwrap();
        trace.map(|trace| trace.deliveries.into_iter().map(|delivery| delivery.state).collect::<Vec<_>>())
    };
    let (owed, settled) = (Some(vec![DeliveryState::Pending]), Some(vec![DeliveryState::Acknowledged]));
    assert_eq!([state("m").await, state("mm").await, state("mmm").await], [settled.clone(), owed, None]);
    for number in 0..50 {
        store
            .commit(batch(vec![unstamped(&format!("n{number}"), &["b"]), acknowledge("b", number + 3)]))
            .await
            .unwrap();
    }
    store.commit(batch(vec![acknowledge("a", 2)])).await.unwrap();
    assert_eq!([state("m").await, state("mm").await, state("mmm").await], [settled.clone(), settled.clone(), None]);
    assert_eq!([state("n0").await, state("n30").await], [settled.clone(), settled]);
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    let index = load::load(&medium).unwrap().counters.index;
    assert_eq!(index.from, 3);
    assert!(index.next_run > 2, "{index:?}");
}

#[tokio::test]
async fn a_full_check_finds_an_index_that_is_not_that_of_the_journal() {
    async fn indexed() -> (Medium, tempfile::TempDir) {
        let (medium, folder) = (usual().await, tempfile::tempdir().unwrap());
        let store = open(&medium, folder.path()).with_runs_of(64);
        for number in 0..200 {
            store.commit(batch(vec![unstamped(&format!("n{number}"), &["b"])])).await.unwrap();
        }
        store.close().await.unwrap();
        (medium, folder)
    }
    let rows = |medium: &Medium| {
        let mut rows = Vec::new();
        let all = (index::key(0, 0), index::key(2, u32::MAX));
        crate::engine::Tables::scan(medium, Table::Runs, &all.0, &all.1, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        rows
    };
    let (medium, folder) = indexed().await;
    assert_eq!(opened(&medium, folder.path()).check(Depth::Full).unwrap(), []);
    let whole = rows(&medium);
    assert!(whole.len() > 20, "{}", whole.len());
    let flipped = |(_, value): &(Vec<u8>, Vec<u8>), at: usize| {
        let mut value = value.clone();
        value[at] ^= 1;
        Some(value)
    };
    // A row that is gone, another hash, another commit, another run, and what is no row.
    let changes = [None, flipped(&whole[3], 17), flipped(&whole[3], 24), flipped(&whole[3], 8), Some(vec![1])];
    for change in changes {
        let (mut medium, folder) = indexed().await;
        let key = &rows(&medium)[3].0;
        let write =
            change.as_ref().map_or(Write::Remove { table: Table::Runs, key }, |value| put(Table::Runs, key, value));
        medium.apply(&[write]).unwrap();
        let defects = opened(&medium, folder.path()).check(Depth::Full).unwrap();
        assert!(defects.len() == 1 && defects[0].0.contains("index"), "{change:?}: {defects:?}");
    }
    let (medium, folder) = indexed().await;
    let last = index::key(1, u32::MAX);
    medium.clone().apply(&[Write::Remove { table: Table::Runs, key: &last }]).unwrap();
    let store = open(&medium, folder.path());
    let missing = store.deliveries(&named("n9")).await;
    // Whether it is noticed depends on the hash; a check always says it.
    assert!(matches!(missing, Ok(Some(_)) | Err(StoreError::Corrupted(_))), "{missing:?}");
    assert_eq!(store.check(Depth::Full).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_purge_does_not_forget_what_a_missing_pack_had() {
    let (mut medium, folder) = (Medium::default(), tempfile::tempdir().unwrap());
    let store = open(&medium, folder.path());
    store.commit(batch(vec![remember("a")])).await.unwrap();
    store.commit(batch((1..=9).map(|n| unstamped(&format!("m{n}"), &["a"])).collect())).await.unwrap();
    store.commit(batch((1..=8).map(|sequence| acknowledge("a", sequence)).collect())).await.unwrap();
    medium.apply(&[Write::Remove { table: Table::Packs, key: &keys::number(1) }]).unwrap();
    let image = medium.image.lock().unwrap().clone();
    let purged = store.purge(Horizon::NOTHING, NonZeroU32::MAX).await;
    assert!(matches!(&purged, Err(StoreError::Corrupted(told)) if told.contains("pack 1")), "{purged:?}");
    assert_eq!(*medium.image.lock().unwrap(), image);
}
