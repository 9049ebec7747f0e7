use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use slipstream_store::{Durability, Operation, Peer, PeerId, PeerKind, StoreError, Timestamp};

use super::{Located, OfflineError, Progress, Silent, backup, compact, migrate};
use crate::backend;
use crate::config::{EmbeddedEngine, StoreConfig};
use crate::store::{Batch, ClusterGroup};

fn engine() -> EmbeddedEngine {
    backend::EMBEDDED.first().copied().expect("an engine is compiled in")
}

/// A closed store that remembers some peers.
async fn made(path: &Path) -> Located {
    let config = StoreConfig::Files { engine: engine(), path: path.to_owned(), durability: Durability::Full };
    let store = backend::open(&config).await.expect("a store");
    let peer = |number| {
        Operation::RememberPeer(Box::new(Peer {
            id: PeerId::new(format!("peer-{number}")).expect("a name"),
            kind: PeerKind::Application,
            group: ClusterGroup::singleton(),
            tags: Arc::from([]),
            durable: true,
            last_seen: Timestamp::ZERO,
            alias: None,
            paused: false,
        }))
    };
    let batch = Batch::from((0..100).map(peer).collect::<Vec<_>>());
    store.commit(Arc::new(batch)).await.expect("committed");
    store.close().await.expect("closed");
    Located { engine: engine(), path: path.to_owned() }
}

/// Does something when a stage begins, and keeps what it is told.
struct At<'a> {
    stage: &'static str,
    does: &'a dyn Fn(),
    told: RefCell<Vec<(String, Option<u64>, u64)>>,
}

impl<'a> At<'a> {
    fn new(stage: &'static str, does: &'a dyn Fn()) -> Self {
        Self { stage, does, told: RefCell::default() }
    }
}

impl Progress for At<'_> {
    fn stage(&self, name: &str, bytes: Option<u64>) {
        self.told.borrow_mut().push((name.to_owned(), bytes, 0));
        if name == self.stage {
            (self.does)();
        }
    }

    fn advance(&self, bytes: u64) {
        self.told.borrow_mut().last_mut().expect("a stage has begun").2 += bytes;
    }
}

#[tokio::test]
async fn a_store_is_found_by_the_data_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(&folder.path().join("store")).await;
    assert_eq!(Located::find(&store.path, EmbeddedEngine::Sled), store);
    let nowhere = folder.path().join("nowhere");
    assert_eq!(Located::find(&nowhere, EmbeddedEngine::Sled).engine, EmbeddedEngine::Sled);
    assert!(matches!(Located { path: nowhere.clone(), ..store }.open(), Err(OfflineError::Absent { .. })));
    assert!(!nowhere.exists());
}

#[tokio::test]
async fn how_far_it_is_is_told_to_the_last_byte() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(&folder.path().join("store")).await;
    let progress = At::new("none", &|| {});
    let to = Located { engine: engine(), path: folder.path().join("target") };
    let migrated = migrate(&store, &to, &progress).unwrap();
    let told = progress.told.into_inner();
    let known: Vec<_> = told.iter().filter_map(|(name, all, done)| Some((name.as_str(), (*all)?, *done))).collect();
    let bytes = migrated.amount.bytes;
    assert_eq!(known, [("copying", bytes, bytes), ("comparing", bytes, bytes)]);
    assert_eq!((migrated.amount.rows, migrated.stats.peers), (101, 100));
}

#[tokio::test]
async fn the_old_store_stays_where_the_new_one_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(&folder.path().join("store")).await;
    let before = store.stats().unwrap();
    let staging = store.path.join("compacting");
    // What is in the way keeps the new one from being written.
    let block = || fs::create_dir(staging.join("store")).unwrap();
    let failed = compact(&store, &At::new("rewriting", &block));
    assert!(matches!(failed, Err(OfflineError::Store { error: StoreError::Unsupported(_), .. })), "{failed:?}");
    assert_eq!(store.stats(), Ok(before));
    assert!(!staging.exists());
    compact(&store, &Silent).unwrap();
    assert_eq!(store.stats().unwrap().peers, before.peers);
}

#[tokio::test]
async fn while_it_is_worked_on_a_store_is_in_use_and_its_target_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = made(&folder.path().join("store")).await;
    let to = Located { engine: engine(), path: folder.path().join("target") };
    let look = || {
        for path in [&store.path, &to.path] {
            let refused = backend::open_tables(engine(), path).map(drop).expect_err("refused");
            assert_eq!(refused, StoreError::InUse(path.clone()));
        }
    };
    migrate(&store, &to, &At::new("comparing", &look)).unwrap();
    assert_eq!(to.stats().unwrap().peers, 100);
    let look = || assert_eq!(store.stats(), Err(OfflineError::InUse(store.path.clone())));
    compact(&store, &At::new("checking", &look)).unwrap();
    backup(&store, &folder.path().join("copy"), &At::new("copying", &look)).unwrap();
}
