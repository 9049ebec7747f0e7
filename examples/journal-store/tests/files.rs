//! What the store makes of the files that it finds.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use journal_store::JournalStore;
use slipstream_store::{
    ClusterGroup, Durability, Horizon, MessageStore, Operation, Peer, PeerId, PeerKind, Result, StoreError, Timestamp,
};
use tempfile::TempDir;

const PEERS: [&str; 3] = ["a", "b", "c"];

/// A closed store that remembers three peers, each in a frame of its own, and is sealed.
struct Closed {
    folder: TempDir,
    journal: PathBuf,
    whole: Vec<u8>,
    /// Where each frame ends, and the file begins.
    ends: Vec<usize>,
}

impl Closed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        let store = JournalStore::open(folder.path(), Durability::Full).unwrap();
        let mut ends = vec![fs::read(&journal).unwrap().len()];
        for name in PEERS {
            remember(&store, name).await;
            ends.push(fs::read(&journal).unwrap().len());
        }
        store.close().await.unwrap();
        Self { whole: fs::read(&journal).unwrap(), folder, journal, ends }
    }

    fn open(&self) -> Result<JournalStore> {
        JournalStore::open(self.folder.path(), Durability::Full)
    }
}

fn application(name: &str) -> Peer {
    Peer {
        id: PeerId::new(name).unwrap(),
        kind: PeerKind::Application,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: Timestamp::ZERO,
        alias: None,
        paused: false,
    }
}

async fn remember(store: &JournalStore, name: &str) {
    let operation = Operation::RememberPeer(Box::new(application(name)));
    store.commit(Arc::new(vec![operation].into())).await.unwrap();
}

async fn peers(store: &JournalStore) -> Vec<String> {
    store.roster().await.unwrap().peers.iter().map(|known| known.peer.id.to_string()).collect()
}

#[tokio::test]
async fn a_frame_that_was_cut_short_is_dropped_wherever_it_was_cut() {
    let closed = Closed::new().await;
    for length in closed.ends[2]..closed.ends[3] {
        fs::write(&closed.journal, &closed.whole[..length]).unwrap();
        let store = closed.open().unwrap();
        assert_eq!(peers(&store).await, ["a", "b"], "{length} of {} bytes", closed.whole.len());
        remember(&store, "d").await;
        store.close().await.unwrap();
        let store = closed.open().unwrap();
        assert_eq!(peers(&store).await, ["a", "b", "d"], "what comes later stands behind the last whole frame");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_changed_bit_is_found_wherever_it_is_and_the_file_left_as_it_was() {
    let closed = Closed::new().await;
    for bit in 0..closed.ends[3] * 8 {
        let mut bytes = closed.whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&closed.journal, &bytes).unwrap();
        let opened = closed.open().map(drop);
        assert!(matches!(opened, Err(StoreError::Corrupted(_))), "bit {bit}: {opened:?}");
        assert!(fs::read(&closed.journal).unwrap() == bytes, "bit {bit}: the file was changed");
    }
}

#[tokio::test]
async fn a_changed_bit_in_the_seal_changes_nothing() {
    let closed = Closed::new().await;
    for bit in closed.ends[3] * 8..closed.whole.len() * 8 {
        let mut bytes = closed.whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&closed.journal, &bytes).unwrap();
        let store = closed.open().unwrap();
        assert_eq!(peers(&store).await, PEERS, "bit {bit}");
        store.close().await.unwrap();
        let sealed = fs::read(&closed.journal).unwrap();
        closed.open().unwrap().close().await.unwrap();
        assert!(fs::read(&closed.journal).unwrap() == sealed, "bit {bit}: what is sealed is not written again");
    }
}

/// After a crash nothing says that the last frame had been synced; a disk may have written its end and not its beginning.
#[tokio::test]
async fn a_last_frame_that_no_other_knows_of_is_torn_whatever_is_wrong_with_it() {
    let closed = Closed::new().await;
    let last = closed.ends[2]..closed.ends[3];
    for at in last.clone() {
        let mut bytes = closed.whole[..last.end].to_vec();
        bytes[last.start..=at].fill(0);
        fs::write(&closed.journal, &bytes).unwrap();
        let store = closed.open().unwrap();
        assert_eq!(peers(&store).await, ["a", "b"], "zeros up to {at}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_is_often_opened_stays_bounded() {
    let closed = Closed::new().await;
    let peer = |number: usize| ["x", "y"][number % 2].repeat(100);
    let mut longest = 0;
    for number in 0..60 {
        let store = closed.open().unwrap();
        let names: Vec<_> = (0..500).map(|step| peer(number + step)).collect();
        let operations = names.iter().map(|name| Operation::RememberPeer(Box::new(application(name))));
        store.commit(Arc::new(operations.collect::<Vec<_>>().into())).await.unwrap();
        store.purge(Horizon::NOTHING, NonZeroU32::MAX).await.unwrap();
        store.close().await.unwrap();
        longest = longest.max(fs::metadata(&closed.journal).unwrap().len());
    }
    assert!(longest < 3 << 20, "60 openings, 80 kB in each: {longest} bytes");
    assert_eq!(peers(&closed.open().unwrap()).await.len(), 5);
}

#[tokio::test]
async fn what_is_no_journal_is_refused() {
    let closed = Closed::new().await;
    for bytes in [&b""[..], b"slip", b"a shopping list, and a long one"] {
        fs::write(&closed.journal, bytes).unwrap();
        let error = closed.open().unwrap_err().to_string();
        assert!(error.contains("expected a journal"), "{error}");
        assert_eq!(fs::read(&closed.journal).unwrap(), bytes);
    }
}

#[tokio::test]
async fn what_a_crash_left_of_a_new_journal_is_no_part_of_the_store() {
    let closed = Closed::new().await;
    fs::write(closed.folder.path().join("journal.new"), b"slipjrnl and then the power went").unwrap();
    let store = closed.open().unwrap();
    assert_eq!(peers(&store).await, PEERS);
}

#[tokio::test]
async fn a_check_sees_what_changed_on_the_medium_meanwhile() {
    let closed = Closed::new().await;
    let store = closed.open().unwrap();
    let check = async || store.check(slipstream_store::Depth::Full).await.unwrap();
    assert_eq!(check().await, []);
    fs::write(&closed.journal, &closed.whole[..closed.ends[2]]).unwrap();
    assert_eq!(check().await.len(), 1);
    let mut bytes = closed.whole.clone();
    bytes[closed.ends[1] + 20] ^= 1;
    fs::write(&closed.journal, bytes).unwrap();
    let defects = check().await;
    assert!(defects[0].0.contains(&format!("the frame at byte {}", closed.ends[1])), "{defects:?}");
}
