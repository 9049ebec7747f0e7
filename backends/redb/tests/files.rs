//! Which files a store is, which files it refuses, and what a killed process leaves.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Database, DatabaseError, TableDefinition};
use slipstream_conformance::fixture::{
    acknowledge, commit, items, peer, plain, put, recorded, remember_all, sequences,
};
use slipstream_embedded::StoreOptions;
use slipstream_redb::RedbStore;
use slipstream_store::{Depth, Durability, MessageStore, Record, Result, Sequence, StoreError, Survives};

const PAGE: u64 = 4096;

fn open(path: &Path) -> RedbStore {
    slipstream_redb::open(&StoreOptions::new(path)).unwrap()
}

/// Records messages for one peer, a thousand in a batch.
async fn fill(store: &RedbStore, messages: usize) -> Vec<Sequence> {
    remember_all(store, &["a"]).await;
    let mut owed = Vec::with_capacity(messages);
    while owed.len() < messages {
        let batch = owed.len()..messages.min(owed.len() + 1000);
        owed.extend(sequences(store, batch.map(|n| put(plain(&format!("m-{n}"), &["a"]))).collect()).await);
    }
    owed
}

/// What the peer is owed; an error if the store finds damage.
async fn owed(store: &RedbStore) -> Result<Vec<Sequence>> {
    let mut found: Vec<Sequence> = Vec::new();
    loop {
        let page = store.pending(&peer("a"), found.last().copied(), items(500)).await?;
        found.extend(page.items.iter().map(|item| item.sequence));
        if !page.more {
            return Ok(found);
        }
    }
}

/// A store that was closed in order, with as many messages, and its data file.
async fn closed_store(folder: &Path, messages: usize) -> PathBuf {
    let store = open(folder);
    fill(&store, messages).await;
    store.close().await.unwrap();
    folder.join("slipstream.redb")
}

fn refusal(file: &Path) -> StoreError {
    let before = fs::read(file).unwrap();
    let error = slipstream_redb::open(&StoreOptions::new(file.parent().unwrap())).map(drop).unwrap_err();
    assert!(fs::read(file).unwrap() == before, "a store that is refused is left as it was: {error}");
    error
}

fn overwrite(file: &Path, bytes: &[u8], at: u64) {
    fs::File::options().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
}

/// What a process leaves that is killed now: all that it wrote, and nothing of what it has in memory.
fn killed(store: &Path, copy: &Path) {
    fs::create_dir(copy).unwrap();
    fs::copy(store.join("slipstream.redb"), copy.join("slipstream.redb")).unwrap();
    // A copy of a store that is open is taken for no store that was killed.
    assert!(matches!(slipstream_redb::open(&StoreOptions::new(copy)), Err(StoreError::Corrupted(_))));
    slipstream_redb::place(copy).salvage().unwrap();
}

#[tokio::test]
async fn a_store_is_a_folder_of_its_users() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("deep/data");
    closed_store(&folder, 1).await;
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["slipstream.lock", "slipstream.redb"]);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn damaged_and_foreign_files_are_refused_and_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let file = closed_store(temporary.path(), 50).await;
    let whole = fs::read(&file).unwrap();

    for length in [0, 5, 3000, 40_000, whole.len() as u64 - 1] {
        fs::File::options().write(true).open(&file).unwrap().set_len(length).unwrap();
        let error = refusal(&file);
        assert!(matches!(error, StoreError::Corrupted(_)), "cut to {length}: {error:?}");
        fs::write(&file, &whole).unwrap();
    }

    fs::remove_file(&file).unwrap();
    let foreign = Database::create(&file).unwrap();
    let write = foreign.begin_write().unwrap();
    write.open_table(TableDefinition::<&str, u64>::new("mine")).unwrap().insert("one", 1).unwrap();
    write.commit().unwrap();
    drop(foreign);
    let error = refusal(&file);
    assert!(matches!(&error, StoreError::Unsupported(text) if text.contains("another program")), "{error:?}");

    fs::write(&file, &whole).unwrap();
    let newer = Database::open(&file).unwrap();
    let write = newer.begin_write().unwrap();
    write.open_table(TableDefinition::<&str, u64>::new("slipstream")).unwrap().insert("version", 9).unwrap();
    write.commit().unwrap();
    drop(newer);
    let error = refusal(&file);
    assert!(matches!(&error, StoreError::Unsupported(text) if text.contains("got 9")), "{error:?}");

    fs::write(&file, &whole).unwrap();
    assert_eq!(owed(&open(temporary.path())).await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_flipped_bit_is_found_at_opening_or_harms_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let file = closed_store(temporary.path(), 200).await;
    let whole = fs::read(&file).unwrap();
    let mut refused = 0;
    for at in (0..whole.len() as u64).step_by(1361) {
        overwrite(&file, &[whole[usize::try_from(at).unwrap()] ^ 0x10], at);
        match slipstream_redb::open(&StoreOptions::new(temporary.path())) {
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupted(_) | StoreError::Unsupported(_)), "{at}: {error:?}");
                refused += 1;
            }
            // A page that is free, or the part of a page that nothing is in.
            Ok(store) => {
                assert_eq!(owed(&store).await.unwrap().len(), 200, "{at}");
                assert_eq!(store.check(Depth::Full).await.unwrap(), [], "{at}");
                store.close().await.unwrap();
            }
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(refused > 20, "{refused} refused");
}

#[tokio::test]
async fn a_damaged_store_that_is_not_looked_over_whole_never_panics() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open(temporary.path());
    remember_all(&store, &["a"]).await;
    for n in 0..70 {
        let text = Bytes::from(vec![b'y'; 1 << 20]);
        recorded(&store, Record { text, ..plain(&format!("large-{n}"), &["a"]) }).await;
    }
    fill(&store, 3000).await;
    store.close().await.unwrap();
    let file = temporary.path().join("slipstream.redb");
    let (mut refused, mut found) = (0, 0);
    // Each takes a while, since the whole file is compared: the first pages, and some of the others.
    let pages = fs::metadata(&file).unwrap().len() / PAGE;
    for page in (0..8).chain((8..pages).step_by(1999)) {
        let at = page * PAGE + if page == 0 { 9 } else { 4 };
        let mut before = [0; 24];
        fs::File::open(&file).unwrap().read_exact_at(&mut before, at).unwrap();
        overwrite(&file, &before.map(|byte| byte ^ 0x81), at);
        match slipstream_redb::open(&StoreOptions::new(temporary.path())) {
            Err(error) => {
                assert!(matches!(error, StoreError::Corrupted(_) | StoreError::Unsupported(_)), "{page}: {error:?}");
                refused += 1;
            }
            Ok(store) => {
                if let Err(error) = owed(&store).await {
                    assert!(
                        matches!(error, StoreError::Corrupted(_) | StoreError::Unsupported(_)),
                        "{page}: {error:?}"
                    );
                }
                found += usize::from(!store.check(Depth::Full).await.unwrap().is_empty());
                store.close().await.unwrap();
            }
        }
        overwrite(&file, &before, at);
    }
    assert!(refused > 0 && found > 4, "{refused} refused, {found} found");
    assert_eq!(open(temporary.path()).check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn damage_under_an_open_store_is_an_error_and_no_panic() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open(temporary.path());
    let messages = fill(&store, 60_000).await;
    let file = temporary.path().join("slipstream.redb");
    // More than redb keeps in memory, so that most of it is read from the file.
    assert!(store.stats().await.unwrap().bytes > 16 << 20);
    for page in 2..fs::metadata(&file).unwrap().len() / PAGE {
        // Where a page says what it is: what is within it has no checksum that a read would look at.
        overwrite(&file, &[0xA5; 64], page * PAGE);
    }
    let read = owed(&store).await;
    assert!(matches!(read, Err(StoreError::Corrupted(_))), "{:?} of {}", read.map(|all| all.len()), messages.len());
    assert_ne!(store.check(Depth::Full).await.unwrap(), []);
    let settled = messages.iter().map(|sequence| acknowledge("a", *sequence)).collect::<Vec<_>>();
    let settled = store.commit(std::sync::Arc::new(settled.into())).await;
    assert!(matches!(settled, Err(StoreError::Poisoned(_) | StoreError::Corrupted(_))), "{settled:?}");
}

#[tokio::test]
async fn opening_and_closing_write_nothing_once_the_store_was_closed_in_order() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, copy) = (temporary.path().join("store"), temporary.path().join("copy"));
    let store = open(&folder);
    fill(&store, 100).await;
    killed(&folder, &copy);
    store.close().await.unwrap();
    for folder in [&folder, &copy] {
        let file = folder.join("slipstream.redb");
        open(folder).close().await.unwrap();
        let before = fs::read(&file).unwrap();
        for _ in 0..2 {
            let store = open(folder);
            assert_eq!(owed(&store).await.unwrap().len(), 100);
            assert_eq!(store.check(Depth::Full).await.unwrap(), []);
            store.close().await.unwrap();
            assert!(fs::read(&file).unwrap() == before);
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_whatever_it_was_opened_for() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("store-0");
        let mut store = slipstream_redb::open(&StoreOptions::new(&folder).durability(durability)).unwrap();
        remember_all(&store, &["a"]).await;
        let mut expected = Vec::new();
        for life in 1..6 {
            for batch in 0..5 {
                let records = (0..40).map(|n| put(plain(&format!("m-{life}-{batch}-{n}"), &["a"]))).collect();
                expected.extend(sequences(&store, records).await);
                let settled = expected.remove(0);
                commit(&store, vec![acknowledge("a", settled)]).await;
            }
            let (last, next) = (format!("store-{}", life - 1), format!("store-{life}"));
            killed(&temporary.path().join(last), &temporary.path().join(&next));
            store =
                slipstream_redb::open(&StoreOptions::new(temporary.path().join(next)).durability(durability)).unwrap();
            assert_eq!(owed(&store).await.unwrap(), expected);
        }
        assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_store_that_was_half_made_is_made_anew() {
    let temporary = tempfile::tempdir().unwrap();
    fs::write(temporary.path().join("slipstream.redb.new"), [0; 9000]).unwrap();
    let file = closed_store(temporary.path(), 3).await;
    assert!(file.exists() && !temporary.path().join("slipstream.redb.new").exists());
}

#[tokio::test]
async fn other_programs_that_use_redb_are_kept_out() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open(temporary.path());
    let file = temporary.path().join("slipstream.redb");
    assert!(matches!(Database::open(&file), Err(DatabaseError::DatabaseAlreadyOpen)));
    store.close().await.unwrap();
    let foreign = Database::open(&file).unwrap();
    let refused = slipstream_redb::open(&StoreOptions::new(temporary.path())).map(drop);
    assert!(matches!(refused, Err(StoreError::InUse(_) | StoreError::Busy(_))), "{refused:?}");
    drop(foreign);
    drop(open(temporary.path()));
}

#[tokio::test]
async fn the_guarantee_says_what_is_kept() {
    let temporary = tempfile::tempdir().unwrap();
    for (durability, note) in [(Durability::Full, false), (Durability::Relaxed, true)] {
        let path = temporary.path().join(durability.to_string());
        let store = slipstream_redb::open(&StoreOptions::new(&path).durability(durability)).unwrap();
        let guarantee = store.guarantee();
        assert_eq!((guarantee.engine, guarantee.durability), ("redb", durability));
        assert_eq!(guarantee.survives, Survives::PowerCut);
        assert_eq!(guarantee.note.is_some_and(|text| text.contains("syncs every commit")), note);
    }
}
