//! Which files a store is, and which files it refuses.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use slipstream_conformance::fixture::remember;
use slipstream_embedded::StoreOptions;
use slipstream_lmdb::{LmdbStore, open};
use slipstream_store::{Depth, Durability, Guarantee, MessageStore, Operation, PeerId, StoreError, Timestamp};

fn name_relay(name: &str) -> Operation {
    Operation::NameRelay { id: PeerId::new(name).unwrap() }
}

async fn closed_store(path: &Path) {
    let store = open(&StoreOptions::new(path)).unwrap();
    store.commit(Arc::new(vec![name_relay("relay-1")].into())).await.unwrap();
    store.close().await.unwrap();
}

/// The error of opening the folder, whose data file is left as it was.
fn refusal(folder: &Path) -> StoreError {
    let file = folder.join("slipstream.mdb");
    let before = fs::read(&file).unwrap();
    let error = open(&StoreOptions::new(folder)).map(drop).unwrap_err();
    assert!(fs::read(&file).unwrap() == before, "a store that is refused is left as it was");
    error
}

/// Writes over a part of the file for as long as the answer lives.
struct Damage<'f> {
    file: &'f Path,
    before: Vec<u8>,
}

impl<'f> Damage<'f> {
    fn new(file: &'f Path, at: u64, bytes: &[u8]) -> Self {
        let before = fs::read(file).unwrap();
        fs::File::options().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
        Self { file, before }
    }
}

impl Drop for Damage<'_> {
    fn drop(&mut self) {
        fs::write(self.file, &self.before).unwrap();
    }
}

/// How many pages of the file are used; what follows them is room.
fn pages(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap();
    let last = |at: usize| u64::from_ne_bytes(*bytes[at..].first_chunk().unwrap());
    last(136).max(last(4096 + 136)) + 1
}

fn page_of(file: &Path, page: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    fs::File::open(file).unwrap().read_exact_at(&mut bytes, page * 4096).unwrap();
    bytes
}

/// The page with its first two rows out of order: the places of the rows follow the head of 16 bytes.
fn with_rows_swapped(page: &[u8]) -> Vec<u8> {
    [&page[..16], &page[18..20], &page[16..18], &page[20..]].concat()
}

#[tokio::test]
async fn a_store_is_a_file_in_its_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("deep/data");
    closed_store(&folder).await;
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["slipstream.lock", "slipstream.mdb", "slipstream.mdb-lock"]);
}

#[tokio::test]
async fn a_store_whose_making_was_interrupted_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("slipstream.mdb-new"), vec![0; 8192]).unwrap();
    fs::write(folder.path().join("slipstream.mdb-new-lock"), "half").unwrap();
    closed_store(folder.path()).await;
    assert!(!folder.path().join("slipstream.mdb-new").exists());
    assert!(open(&StoreOptions::new(folder.path())).is_ok());
}

#[tokio::test]
async fn damaged_and_foreign_files_are_refused_and_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, file) = (temporary.path(), temporary.path().join("slipstream.mdb"));
    closed_store(folder).await;
    let whole = fs::read(&file).unwrap();

    for length in [0, 100, 8192, pages(&file) * 4096 - 1] {
        fs::File::options().write(true).open(&file).unwrap().set_len(length).unwrap();
        assert!(matches!(refusal(folder), StoreError::Corrupted(_)), "cut to {length} bytes");
        fs::write(&file, &whole).unwrap();
    }
    let refused = {
        let _damage = Damage::new(&file, 20, &9u32.to_ne_bytes());
        refusal(folder)
    };
    assert!(matches!(&refused, StoreError::Unsupported(text) if text.contains("format 1, got 9")), "{refused}");

    // The mark of the store, and its version, are a row of LMDB's table of tables.
    let mark = b"slipstream\0\0\0\x02";
    let marks: Vec<_> = (0..whole.len() - mark.len()).filter(|at| whole[*at..].starts_with(mark)).collect();
    for (at, byte, what) in [(13, 3, "expected version 2"), (9, b'k', "another program")] {
        // Any of the pages may be the newest; damaging the row in all is damaging it in the one that counts.
        let mut damaged = whole.clone();
        marks.iter().for_each(|mark| damaged[mark + at] = byte);
        let _damage = Damage::new(&file, 0, &damaged);
        let refused = refusal(folder);
        let (StoreError::Unsupported(text) | StoreError::Corrupted(text)) = &refused else { panic!("{refused}") };
        assert!(text.contains(what), "{refused}");
    }
    let store = open(&StoreOptions::new(folder)).unwrap();
    assert_eq!(store.roster().await.unwrap().relay, Some(PeerId::new("relay-1").unwrap()));
}

#[tokio::test]
async fn every_damaged_page_is_found_before_lmdb_reads_it() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, file) = (temporary.path(), temporary.path().join("slipstream.mdb"));
    closed_store(folder).await;
    let (mut used, mut free) = (0, 0);
    for page in 2..pages(&file) {
        let whole = page_of(&file, page);
        let swapped = with_rows_swapped(&whole);
        let garbage = [0, 0x55, 0xA5, 0xFF].map(|byte| vec![byte; 4096]);
        let mut refused = Vec::new();
        for damage in garbage.into_iter().chain([swapped]).filter(|damage| *damage != whole) {
            let _damage = Damage::new(&file, page * 4096, &damage);
            match open(&StoreOptions::new(folder)) {
                Err(StoreError::Corrupted(_)) => refused.push(true),
                Err(other) => panic!("page {page}: {other}"),
                // A page that is free may hold anything; the store is what it was.
                Ok(store) => {
                    assert_eq!(store.check(Depth::Full).await.unwrap(), [], "page {page}");
                    assert_eq!(store.roster().await.unwrap().relay, Some(PeerId::new("relay-1").unwrap()));
                    store.close().await.unwrap();
                    refused.push(false);
                }
            }
        }
        assert!(refused.iter().all(|each| *each == refused[0]), "page {page} is used or free: {refused:?}");
        *if refused[0] { &mut used } else { &mut free } += 1;
    }
    assert!(used >= 3 && free > 0, "{used} pages are used, {free} free");
}

#[tokio::test]
async fn a_check_of_an_open_store_finds_what_is_damaged_since() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, file) = (temporary.path(), temporary.path().join("slipstream.mdb"));
    closed_store(folder).await;
    let store = open(&StoreOptions::new(folder)).unwrap();
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
    let defects = {
        let _damage = Damage::new(&file, 2 * 4096, &vec![0xA5; usize::try_from(pages(&file) - 2).unwrap() * 4096]);
        store.check(Depth::Quick).await.unwrap()
    };
    assert!(!defects.is_empty());
    let mut found = Vec::new();
    for page in 2..pages(&file) {
        let _damage = Damage::new(&file, page * 4096, &with_rows_swapped(&page_of(&file, page)));
        found.extend(store.check(Depth::Quick).await.unwrap());
    }
    assert!(found.iter().any(|defect| defect.0.contains("out of order")), "{found:?}");
    assert_eq!(store.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_finds_nothing_while_the_store_is_written_to() {
    let temporary = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&StoreOptions::new(temporary.path()).durability(Durability::Relaxed)).unwrap());
    let writer = Arc::clone(&store);
    let writing = tokio::spawn(async move {
        // Names of many lengths, so that pages are split, emptied and used again.
        for round in 0..400_usize {
            let remember = (0..8).map(|n| remember(&format!("peer-{}", "x".repeat((round * 7 + n * 13) % 120))));
            writer.commit(Arc::new(remember.collect::<Vec<_>>().into())).await.unwrap();
            let peer = PeerId::new(format!("peer-{}", "x".repeat(round * 7 % 120))).unwrap();
            let forget = Operation::ForgetPeer { peer, at: Timestamp::from_millis(2) };
            writer.commit(Arc::new(vec![forget].into())).await.unwrap();
        }
    });
    let mut checks = 0;
    while !writing.is_finished() {
        assert_eq!(store.check(Depth::Full).await.unwrap(), [], "check {checks}");
        checks += 1;
    }
    writing.await.unwrap();
    assert!(checks > 0 && !store.roster().await.unwrap().peers.is_empty());
}

#[tokio::test]
async fn a_copy_is_a_store() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, copy) = (temporary.path().join("store"), temporary.path().join("copy"));
    let store = open(&StoreOptions::new(&folder)).unwrap();
    store.commit(Arc::new(vec![name_relay("relay-1")].into())).await.unwrap();
    store.backup(&copy).await.unwrap();
    store.commit(Arc::new(vec![name_relay("relay-2")].into())).await.unwrap();
    assert!(matches!(store.backup(&copy).await, Err(StoreError::Unsupported(_))), "something is there");
    let copied = open(&StoreOptions::new(&copy)).unwrap();
    assert_eq!(copied.roster().await.unwrap().relay, Some(PeerId::new("relay-1").unwrap()));
    assert_eq!(copied.check(Depth::Full).await.unwrap(), []);
}

#[tokio::test]
async fn the_guarantee_names_the_durability() {
    let temporary = tempfile::tempdir().unwrap();
    for durability in [Durability::Full, Durability::Relaxed] {
        let path = temporary.path().join(durability.to_string());
        let store: LmdbStore = open(&StoreOptions::new(&path).durability(durability)).unwrap();
        let guarantee = store.guarantee();
        assert_eq!(guarantee, Guarantee::new("lmdb", durability));
    }
}
