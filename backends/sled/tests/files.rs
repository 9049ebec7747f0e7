//! Which files a store is, which it refuses, and what it makes of what a crash has left.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use slipstream_embedded::StoreOptions;
use slipstream_sled::{SledStore, open};
use slipstream_store::{Durability, MessageStore, Operation, PeerId, StoreError};

fn name_relay(name: &str) -> Operation {
    Operation::NameRelay { id: PeerId::new(name).unwrap() }
}

fn opened(path: &Path) -> SledStore {
    open(&StoreOptions::new(path)).unwrap()
}

async fn closed_store(path: &Path) {
    let store = opened(path);
    store.commit(Arc::new(vec![name_relay("relay-1")].into())).await.unwrap();
    store.close().await.unwrap();
}

/// Every file of sled's folder with its bytes.
fn contents(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(store.join("slipstream.sled")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn refusal(store: &Path) -> StoreError {
    let before = contents(store);
    let error = open(&StoreOptions::new(store)).map(drop).unwrap_err();
    assert!(contents(store) == before, "a store that is refused is left as it was");
    error
}

async fn holds_its_relay(path: &Path) {
    let store = opened(path);
    assert_eq!(store.roster().await.unwrap().relay, Some(PeerId::new("relay-1").unwrap()));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_is_a_folder_in_its_folder() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("deep/data");
    closed_store(&path).await;
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() == 2 && path.join("slipstream.sled/db").is_file() && path.join("slipstream.lock").is_file());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn damage_anywhere_is_refused_and_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("store");
    closed_store(&path).await;
    let whole = contents(&path);
    let names: Vec<_> = whole.keys().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(
        matches!(&names[..], [conf, db, label, seal, snapshot] if conf == "conf" && db == "db" && label == "opening"
        && seal == "seal" && snapshot.starts_with("snap.")),
        "{names:?}"
    );
    for (file, bytes) in &whole {
        for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            fs::write(file, &damaged).unwrap();
            assert!(matches!(refusal(&path), StoreError::Corrupted(_)), "byte {at} of {}", file.display());
        }
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(refusal(&path), StoreError::Corrupted(_)), "half of {}", file.display());
        fs::write(file, bytes).unwrap();
    }
    fs::remove_file(path.join("slipstream.sled/db")).unwrap();
    assert!(matches!(refusal(&path), StoreError::Corrupted(text) if text.contains("missing")));
    fs::write(path.join("slipstream.sled/db"), &whole[&path.join("slipstream.sled/db")]).unwrap();
    holds_its_relay(&path).await;
}

#[tokio::test]
async fn other_versions_and_settings_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    closed_store(temporary.path()).await;
    let conf = temporary.path().join("slipstream.sled/conf");
    let text = fs::read(&conf).unwrap();
    let other = String::from_utf8_lossy(&text[..text.len() - 4]).replace("0.34", "0.35");
    fs::write(&conf, [other.as_bytes(), &crc32fast::hash(other.as_bytes()).to_le_bytes()].concat()).unwrap();
    let error = refusal(temporary.path());
    assert!(matches!(&error, StoreError::Unsupported(text) if text.contains("version: 0.35")), "{error}");
    fs::write(&conf, &text).unwrap();
    holds_its_relay(temporary.path()).await;
}

#[tokio::test]
async fn a_log_that_lost_everything_is_no_new_store() {
    let temporary = tempfile::tempdir().unwrap();
    closed_store(temporary.path()).await;
    let folder = temporary.path().join("slipstream.sled");
    // As after a crash, when there is no seal.
    for (file, _) in contents(temporary.path()) {
        if file != folder.join("conf") {
            fs::remove_file(file).unwrap();
        }
    }
    fs::write(folder.join("db"), "").unwrap();
    let error = open(&StoreOptions::new(temporary.path())).map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupted(text) if text.contains("lost what it held")), "{error}");
}

#[tokio::test]
async fn what_a_crash_has_left_half_made_is_no_store() {
    let temporary = tempfile::tempdir().unwrap();
    let unnamed = temporary.path().join("slipstream.sled.new");
    fs::create_dir_all(unnamed.join("blobs")).unwrap();
    fs::write(unnamed.join("conf"), "segment_si").unwrap();
    closed_store(temporary.path()).await;
    assert!(!unnamed.exists());
    // Sled would take this for its newest page table.
    let folder = temporary.path().join("slipstream.sled");
    fs::write(folder.join("snap.FFFFFFFFFFFFFFFF.generating"), "half").unwrap();
    holds_its_relay(temporary.path()).await;
}

#[tokio::test]
async fn the_guarantee_says_what_a_power_cut_may_take() {
    let temporary = tempfile::tempdir().unwrap();
    for durability in [Durability::Full, Durability::Relaxed] {
        let path = temporary.path().join(durability.to_string());
        let guarantee = open(&StoreOptions::new(&path).durability(durability)).unwrap().guarantee();
        assert_eq!((guarantee.engine, guarantee.durability), ("sled", durability));
        assert!(guarantee.to_string().contains("a power cut may take the last confirmed messages"), "{guarantee}");
    }
}
