//! Which files a store is, and which files it refuses.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use slipstream_embedded::{OfflineStore, StoreOptions};
use slipstream_sqlite::{SqliteStore, open, open_tables};
use slipstream_store::{Durability, Guarantee, MessageStore, Operation, PeerId, StoreError};

fn name_relay(name: &str) -> Operation {
    Operation::NameRelay { id: PeerId::new(name).unwrap() }
}

async fn closed_store(path: &Path) {
    let store = open(&StoreOptions::new(path)).unwrap();
    store.commit(Arc::new(vec![name_relay("relay-1")].into())).await.unwrap();
    store.close().await.unwrap();
}

fn refusal(path: &Path) -> StoreError {
    let before = fs::read(path).unwrap();
    let error = open(&StoreOptions::new(path)).map(drop).unwrap_err();
    assert_eq!(fs::read(path).unwrap(), before, "a store that is refused is left as it was");
    error
}

#[tokio::test]
async fn a_path_is_a_file_or_a_folder_by_its_ending() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("deep/data");
    closed_store(&folder).await;
    assert!(folder.join("slipstream.db").is_file() && folder.join("slipstream.lock").is_file());
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["one.db", "two.sqlite", "three.sqlite3"] {
        let file = temporary.path().join(name);
        closed_store(&file).await;
        assert!(file.is_file(), "{name}");
        // Closed in order, the log is gone.
        assert!(!temporary.path().join(format!("{name}-wal")).exists());
    }
}

#[tokio::test]
async fn files_are_for_their_user_only() {
    let temporary = tempfile::tempdir().unwrap();
    let open_to_all = temporary.path().join("shared");
    fs::create_dir(&open_to_all).unwrap();
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o755)).unwrap();
    let mode = |name: &str| fs::metadata(open_to_all.join(name)).unwrap().permissions().mode() & 0o777;
    let store = open(&StoreOptions::new(open_to_all.join("orders.db"))).unwrap();
    store.commit(Arc::new(vec![name_relay("relay-1")].into())).await.unwrap();
    store.backup(&open_to_all.join("2026.db")).await.unwrap();
    store.backup(&open_to_all.join("2026")).await.unwrap();
    for (name, expected) in
        [("orders.db", 0o600), ("orders.db-wal", 0o600), ("orders.db-shm", 0o600), ("2026.db", 0o600), ("2026", 0o700)]
    {
        assert_eq!(mode(name), expected, "{name}");
    }
}

#[tokio::test]
async fn damaged_and_foreign_files_are_refused_and_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("store.db");

    closed_store(&file).await;
    fs::File::options().write(true).open(&file).unwrap().set_len(9000).unwrap();
    assert!(matches!(refusal(&file), StoreError::Corrupted(_)), "cut short");

    fs::remove_file(&file).unwrap();
    closed_store(&file).await;
    let pages = fs::metadata(&file).unwrap().len() / 4096;
    for page in 1..pages {
        let opened = fs::File::options().write(true).open(&file).unwrap();
        let before = fs::read(&file).unwrap();
        opened.write_all_at(&[0xA5; 4096], page * 4096).unwrap();
        assert!(matches!(refusal(&file), StoreError::Corrupted(_)), "page {page}");
        fs::write(&file, before).unwrap();
    }

    // The version of the tables is at byte 60, the mark of the application at byte 68.
    for (at, what) in [(60, "version"), (68, "another program")] {
        let before = fs::read(&file).unwrap();
        fs::File::options().write(true).open(&file).unwrap().write_all_at(&[9, 9, 9, 9], at).unwrap();
        let error = refusal(&file);
        assert!(matches!(&error, StoreError::Unsupported(text) if text.contains(what)), "{error}");
        fs::write(&file, before).unwrap();
    }
    let store = open(&StoreOptions::new(&file)).unwrap();
    assert_eq!(store.roster().await.unwrap().relay, Some(PeerId::new("relay-1").unwrap()));
}

#[tokio::test]
async fn tables_that_another_program_has_open_are_not_closed_whole() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("store.db");
    closed_store(&file).await;
    let shell = rusqlite::Connection::open(&file).unwrap();
    shell.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, u32>(0)).unwrap();
    let opened: Box<dyn OfflineStore> = Box::new(open_tables(&StoreOptions::new(&file)).unwrap());
    let refused = opened.close().unwrap_err();
    assert!(matches!(&refused, StoreError::Busy(text) if text.contains("another program")), "{refused:?}");
    drop(shell);
    let opened: Box<dyn OfflineStore> = Box::new(open_tables(&StoreOptions::new(&file)).unwrap());
    drop(opened.close().unwrap());
    assert!(!temporary.path().join("store.db-wal").exists());
}

#[tokio::test]
async fn the_guarantee_names_the_durability() {
    let temporary = tempfile::tempdir().unwrap();
    for durability in [Durability::Full, Durability::Relaxed] {
        let path = temporary.path().join(durability.to_string());
        let store: SqliteStore = open(&StoreOptions::new(&path).durability(durability)).unwrap();
        let guarantee = store.guarantee();
        assert_eq!(guarantee, Guarantee::new("sqlite", durability));
    }
}

#[tokio::test]
async fn a_store_of_a_version_without_labels_opens_and_gets_one() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("store.db");
    closed_store(&file).await;
    let unlabelled = rusqlite::Connection::open(&file).unwrap();
    unlabelled.execute_batch("DROP TABLE opening;").unwrap();
    drop(unlabelled);
    fs::write(temporary.path().join("store.db.lock"), "").unwrap();
    closed_store(&file).await;
    let store = open(&StoreOptions::new(&file)).unwrap();
    assert_eq!(store.roster().await.unwrap().relay, Some(PeerId::new("relay-1").unwrap()));
    assert!(!fs::read(temporary.path().join("store.db.lock")).unwrap().is_empty());
}

#[tokio::test]
async fn who_only_looks_leaves_no_mark() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("store.db");
    closed_store(&file).await;
    let lock = temporary.path().join("store.db.lock");
    let before = (fs::read(&file).unwrap(), fs::read(&lock).unwrap());
    let opened: Box<dyn OfflineStore> = Box::new(open_tables(&StoreOptions::new(&file)).unwrap());
    opened.stats().unwrap();
    drop(opened.close().unwrap());
    assert!((fs::read(&file).unwrap(), fs::read(&lock).unwrap()) == before);
}

/// A copy that was made while the log was being moved into the file: the file is torn, and together with its log it is not.
#[tokio::test]
async fn a_copy_of_an_open_store_is_refused_though_its_file_alone_cannot_be_read() {
    let temporary = tempfile::tempdir().unwrap();
    let [file, copy] = ["store.db", "copy.db"].map(|name| temporary.path().join(name));
    let store = open(&StoreOptions::new(&file)).unwrap();
    store.commit(Arc::new(vec![name_relay("relay-1")].into())).await.unwrap();
    // Now the first page is in the log, too.
    let shell = rusqlite::Connection::open(&file).unwrap();
    shell.execute_batch("CREATE TABLE other (key INTEGER);").unwrap();
    fs::copy(&file, &copy).unwrap();
    fs::copy(temporary.path().join("store.db-wal"), temporary.path().join("copy.db-wal")).unwrap();
    let torn = fs::File::options().write(true).open(&copy).unwrap();
    torn.write_all_at(&[0xff; 200], 100).unwrap();
    let refused = open(&StoreOptions::new(&copy)).map(drop).unwrap_err();
    assert!(matches!(&refused, StoreError::Corrupted(text) if text.contains("this is a copy")), "{refused:?}");
    drop(shell);
    store.close().await.unwrap();
}
