//! Compacting, moving and copying whole stores on a disk that forgets what was not synced: wherever the power is cut, the
//! store that is worked on stays whole, and what was said to be done is there.

#![cfg(test)]
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use fastrand::Rng;
use slipstream::backend;
use slipstream::config::{EmbeddedEngine, StoreConfig};
use slipstream::offline::{Located, OfflineError, Silent, backup, compact, migrate};
use slipstream::store::{Durability, StoreError};
use slipstream_conformance::fixture::{
    acknowledge, attempt, commit, everything, give_up, plain, purge_all, put, remember_all, sequences,
};
use slipstream_conformance::power::{Disks, Image, Mounted, Unsynced, seeds, with_disks};
use slipstream_embedded::{OfflineStore, compare};

/// How often the power is cut in each piece of work, unless more is asked for.
const CUTS: u64 = 20;

/// Messages in the store.
const MESSAGES: usize = 200;

/// A closed store at `path`, with something in every table, and space that was used once.
fn filled(engine: EmbeddedEngine, path: &Path) -> Located {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let config = StoreConfig::Files { engine, path: path.to_owned(), durability: Durability::Full };
        let store = backend::open(&config).await.expect("a store");
        remember_all(&*store, &["a", "b"]).await;
        let messages = (0..MESSAGES).map(|number| put(plain(&format!("m{number}"), &["a", "b"]))).collect();
        let recorded = sequences(&*store, messages).await;
        assert_eq!(recorded.len(), MESSAGES);
        let settled = recorded.into_iter().enumerate().map(|(number, sequence)| match number % 4 {
            0 => attempt("a", sequence, 1),
            1 => give_up("a", sequence),
            _ => acknowledge("a", sequence),
        });
        commit(&*store, settled.collect()).await;
        purge_all(&*store, everything(), u32::MAX).await;
        store.close().await.expect("closed");
    });
    Located { engine, path: path.to_owned() }
}

/// A disk with a store on it, and a copy of the store elsewhere, open.
struct Bed {
    disk: Mounted,
    store: Located,
    expected: Box<dyn OfflineStore>,
    _elsewhere: tempfile::TempDir,
}

impl Bed {
    fn new(disks: &Arc<Disks>, engine: EmbeddedEngine) -> Self {
        let disk = Mounted::new(&Image::empty(disks));
        let store = filled(engine, &disk.path().join("store"));
        let elsewhere = tempfile::tempdir().expect("a folder");
        let copy = Located { engine, path: elsewhere.path().join("copy") };
        backup(&store, &copy.path, &Silent).expect("copied");
        Self { disk, store, expected: copy.open().expect("the copy opens"), _elsewhere: elsewhere }
    }

    /// The same place on the disk that a cut has left.
    fn on(&self, disk: &Mounted, located: &Located) -> Located {
        let path = located.path.strip_prefix(self.disk.path()).expect("it is on the disk");
        Located { engine: located.engine, path: disk.path().join(path) }
    }

    /// Panics unless the store there has what it should.
    fn expect_whole(&self, located: &Located, when: &str) {
        let store = located.open().unwrap_or_else(|error| panic!("{located}, {when}: {error}"));
        compare(&*self.expected, &*store, &mut |_| ()).unwrap_or_else(|error| panic!("{located}, {when}: {error}"));
        store.close().unwrap_or_else(|error| panic!("{located}, {when}: closing: {error}"));
    }

    /// Does `work`, and shows `look` what the disk holds where the power was cut during it, and whether that was after its
    /// end.
    fn cut(&self, name: &str, work: impl FnOnce(), look: impl Fn(&Mounted, &str, bool)) {
        let begin = self.disk.now();
        work();
        let end = self.disk.now();
        for seed in seeds(CUTS) {
            let mut chance = Rng::with_seed(seed);
            let after = if seed % 8 < 2 { end } else { chance.usize(begin..=end) };
            let unsynced = if seed % 2 == 0 { Unsynced::Lost } else { Unsynced::Some(seed) };
            let when =
                format!("{name}, seed {seed}: cut after {} of {} changes, {unsynced:?}", after - begin, end - begin);
            let disk = Mounted::new(&self.disk.cut(after, unsynced));
            look(&disk, &when, after == end);
        }
    }
}

/// Runs `work` with disks, one test at a time: the process that another test starts for its disks has this one's locks
/// until it runs its program, and a store that was just closed would be in use for that moment.
fn alone(test: &str, work: impl FnOnce(&Arc<Disks>) + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    with_disks(test, work);
}

#[test]
fn a_store_that_is_compacted_stays_whole() {
    alone(concat!(module_path!(), "::a_store_that_is_compacted_stays_whole"), |disks| {
        for engine in backend::EMBEDDED {
            let bed = Bed::new(disks, *engine);
            let work = || _ = compact(&bed.store, &Silent).expect("compacted");
            bed.cut(&format!("compacting {engine}"), work, |disk, when, _| {
                let store = bed.on(disk, &bed.store);
                bed.expect_whole(&store, when);
                compact(&store, &Silent).unwrap_or_else(|error| panic!("{when}: again: {error}"));
                bed.expect_whole(&store, when);
            });
        }
    });
}

#[test]
fn a_store_that_is_moved_stays_whole_and_arrives_whole() {
    alone(concat!(module_path!(), "::a_store_that_is_moved_stays_whole_and_arrives_whole"), |disks| {
        let next = backend::EMBEDDED.iter().cycle().skip(1);
        for (from, to) in backend::EMBEDDED.iter().zip(next) {
            let bed = Bed::new(disks, *from);
            let target = Located { engine: *to, path: bed.disk.path().join("below/target") };
            let work = || _ = migrate(&bed.store, &target, &Silent).expect("moved");
            bed.cut(&format!("moving {from} to {to}"), work, |disk, when, is_done| {
                let (store, target) = (bed.on(disk, &bed.store), bed.on(disk, &target));
                bed.expect_whole(&store, when);
                match target.open().map(|store| store.close()) {
                    Ok(closed) => drop(closed.unwrap_or_else(|error| panic!("{when}: {error}"))),
                    Err(OfflineError::Absent { .. } | OfflineError::HalfMigrated { .. }) if !is_done => {
                        migrate(&store, &target, &Silent).unwrap_or_else(|error| panic!("{when}: again: {error}"));
                    }
                    Err(error) => panic!("{target}, {when}: {error}"),
                }
                bed.expect_whole(&target, when);
                bed.expect_whole(&store, when);
            });
        }
    });
}

#[test]
fn a_backup_has_its_name_once_it_is_whole() {
    alone(concat!(module_path!(), "::a_backup_has_its_name_once_it_is_whole"), |disks| {
        // A path that ends in `.db` is a file of SQLite's.
        let file = (EmbeddedEngine::Sqlite, "below/copy.db");
        let files = [file].into_iter().filter(|(engine, _)| backend::EMBEDDED.contains(engine));
        for (engine, path) in backend::EMBEDDED.iter().map(|engine| (*engine, "below/copy")).chain(files) {
            let bed = Bed::new(disks, engine);
            let target = Located { engine, path: bed.disk.path().join(path) };
            let work = || _ = backup(&bed.store, &target.path, &Silent).expect("copied");
            bed.cut(&format!("backing {engine} up to {path}"), work, |disk, when, is_done| {
                let (store, copy) = (bed.on(disk, &bed.store), bed.on(disk, &target));
                bed.expect_whole(&store, when);
                let is_there = copy.path.exists();
                assert!(is_there || !is_done, "{when}: it was done");
                match backup(&store, &copy.path, &Silent) {
                    Ok(_) if !is_there => {}
                    Err(OfflineError::Store { error: StoreError::Unsupported(_), .. }) if is_there => {}
                    other => panic!("{when}: there is a copy: {is_there}, again: {other:?}"),
                }
                bed.expect_whole(&copy, when);
                bed.expect_whole(&store, when);
                let names =
                    fs::read_dir(disk.path().join("below")).expect("a folder").map(|entry| entry.expect("a name"));
                let left: Vec<_> = names.map(|entry| entry.file_name()).filter(|name| is_left(name)).collect();
                assert!(left.is_empty(), "{when}: what is left is removed: {left:?}");
            });
        }
    });
}

fn is_left(name: &OsStr) -> bool {
    name.to_string_lossy().ends_with(".unfinished")
}
