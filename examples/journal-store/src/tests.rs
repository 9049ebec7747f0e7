//! Disks that fail. What a whole disk must do, the conformance suite checks.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::io::{self, ErrorKind};
use std::num::NonZeroU32;
use std::sync::Arc;

use slipstream_store::{
    Batch, ClusterGroup, Durability, Horizon, Operation, Outcome, Peer, PeerId, PeerKind, Result, StoreError, Timestamp,
};
use tempfile::TempDir;

use crate::image;
use crate::keeper::Keeper;
use crate::medium::Medium;

/// What stands in the place of a medium while it is replaced.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Medium for Nothing {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Takes this many bytes of an append, and has no room for more.
    Full { taken: usize },
    /// The same, and cannot take them away again either.
    FullForGood,
    /// An append meets a bad sector.
    Broken,
    /// A sync fails once; the next one would answer `Ok`.
    Sync,
}

/// A file that fails once, and counts how often it was synced.
#[derive(Debug)]
struct Failing {
    file: Box<dyn Medium>,
    failure: Option<Failure>,
}

impl Medium for Failing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.failure {
            Some(Failure::Full { taken }) => {
                self.failure = None;
                self.file.append(&bytes[..taken])?;
                Err(ErrorKind::StorageFull.into())
            }
            Some(Failure::FullForGood) => {
                self.file.append(&bytes[..5])?;
                Err(ErrorKind::StorageFull.into())
            }
            Some(Failure::Broken) => Err(io::Error::other("a bad sector")),
            Some(Failure::Sync) | None => self.file.append(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.failure.take_if(|failure| *failure == Failure::Sync) {
            Some(_) => Err(io::Error::other("a lost write")),
            None => self.file.sync(),
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        match self.failure {
            Some(Failure::FullForGood) => Err(ErrorKind::StorageFull.into()),
            _ => self.file.cut(length),
        }
    }
}

struct Store {
    folder: TempDir,
    keeper: Keeper,
}

impl Store {
    fn new(durability: Durability) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::open(&folder.path().join("store"), durability).unwrap();
        assert_eq!(keeper.commit(&remember("first")), Ok(vec![Outcome::Applied]));
        Self { folder, keeper }
    }

    fn fail(&mut self, failure: Failure) {
        self.keeper.journal.replace_medium(|file| Box::new(Failing { file, failure: Some(failure) }));
    }

    fn length_on_disk(&self) -> u64 {
        image::journal_in(&self.folder.path().join("store")).metadata().unwrap().len()
    }

    /// The peers in memory, and those that the journal tells of.
    fn peers(&self) -> [Vec<String>; 2] {
        let read = self.keeper.journal.read_again().unwrap();
        [&self.keeper.state, &read].map(|state| state.peers.keys().map(PeerId::to_string).collect())
    }
}

fn remember(name: &str) -> Arc<Batch> {
    let peer = Peer {
        id: PeerId::new(name).unwrap(),
        kind: PeerKind::Application,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: Timestamp::ZERO,
        alias: None,
        paused: false,
    };
    Arc::new(vec![Operation::RememberPeer(Box::new(peer))].into())
}

fn is_poisoned<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(StoreError::Poisoned(_)))
}

#[test]
fn a_full_disk_leaves_the_last_whole_frame_at_the_end() {
    for taken in [0, 1, 12, 40] {
        let mut store = Store::new(Durability::Full);
        let before = store.length_on_disk();
        store.fail(Failure::Full { taken });
        let answer = store.keeper.commit(&remember("second"));
        assert!(matches!(answer, Err(StoreError::Full(_))), "{answer:?}");
        assert_eq!(store.length_on_disk(), before);
        assert_eq!(store.peers(), [["first"], ["first"]]);
        assert_eq!(store.keeper.commit(&remember("third")), Ok(vec![Outcome::Applied]), "there is room again");
        assert_eq!(store.peers(), [["first", "third"], ["first", "third"]]);
    }
}

#[test]
fn what_may_or_may_not_have_been_written_poisons() {
    for failure in [Failure::FullForGood, Failure::Broken, Failure::Sync] {
        let mut store = Store::new(Durability::Full);
        store.fail(failure);
        let answer = store.keeper.commit(&remember("second"));
        assert!(is_poisoned(&answer), "{failure:?}: {answer:?}");
    }
}

#[test]
fn without_a_sync_none_can_fail() {
    let mut store = Store::new(Durability::Relaxed);
    store.fail(Failure::Sync);
    assert_eq!(store.keeper.commit(&remember("second")), Ok(vec![Outcome::Applied]));
}

#[test]
fn a_journal_that_cannot_be_written_anew_stays() {
    let mut store = Store::new(Durability::Relaxed);
    let folder = store.folder.path().join("store");
    let purge = |store: &mut Store| store.keeper.purge(Horizon::NOTHING, NonZeroU32::MAX).unwrap();
    let names: Vec<_> = ["x", "y"].map(|letter| letter.repeat(100)).into();
    let often = names.iter().cycle().take(20_000).flat_map(|name| remember(name).operations.clone());
    store.keeper.commit(&Arc::new(often.collect::<Vec<_>>().into())).unwrap();
    let long = store.length_on_disk();
    // A folder in the place of the new journal cannot be removed as a file.
    std::fs::create_dir(folder.join("journal.new")).unwrap();
    purge(&mut store);
    assert_eq!(store.length_on_disk(), long);
    std::fs::remove_dir(folder.join("journal.new")).unwrap();
    purge(&mut store);
    assert!(store.length_on_disk() < 1000, "{} of {long} bytes", store.length_on_disk());
    assert_eq!(store.peers(), [["first", &names[0], &names[1]], ["first", &names[0], &names[1]]]);
}

#[test]
fn a_seal_that_is_not_surely_there_is_none() {
    let mut store = Store::new(Durability::Full);
    let before = store.length_on_disk();
    store.fail(Failure::Sync);
    assert!(is_poisoned(&store.keeper.journal.seal()));
    assert_eq!(store.length_on_disk(), before);
}
