//! What a disk keeps.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use slipstream_conformance::power::{Disks, Full, Image, Mounted, Unsynced, with_disks};

/// `O_DSYNC`, on every machine that Rust runs Linux on but Alpha and SPARC and MIPS.
const SYNCED_WRITES: i32 = 0o10000;

/// A disk with an empty file on it, whose name is durable.
fn disk(disks: &Arc<Disks>) -> (Mounted, PathBuf) {
    let disk = Mounted::new(&Image::empty(disks));
    let path = disk.path().join("file");
    File::create(&path).unwrap();
    sync(disk.path());
    (disk, path)
}

fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

/// What is on the disk once the power was cut now, and all was lost that was not synced.
fn after_a_cut(disk: &Mounted) -> Mounted {
    Mounted::new(&disk.cut(disk.now(), Unsynced::Lost))
}

fn file_after_a_cut(disk: &Mounted) -> Vec<u8> {
    fs::read(after_a_cut(disk).path().join("file")).unwrap()
}

/// Has Python do something with the file, for calls that need unsafe code in Rust.
fn python(path: &Path, code: &str) {
    let ended = Command::new("python3").args(["-c", code]).arg(path).status().unwrap();
    assert!(ended.success());
}

macro_rules! disk_tests {
    ($($(#[$about:meta])* fn $name:ident($disks:ident) $body:block)+) => {
        $(
            $(#[$about])*
            #[test]
            fn $name() {
                with_disks(concat!(module_path!(), "::", stringify!($name)), |$disks| $body);
            }
        )+
    };
}

disk_tests! {
    fn what_is_synced_is_kept_and_what_is_not_is_lost(disks) {
        let (disk, path) = disk(disks);
        let mut file = File::create(&path).unwrap();
        file.write_all(b"synced").unwrap();
        file.sync_data().unwrap();
        file.write_all(b", and not").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"synced, and not", "the program sees all that it wrote");
        drop(file);
        assert_eq!(file_after_a_cut(&disk), b"synced");
    }

    fn every_cut_has_its_own_past(disks) {
        let (disk, path) = disk(disks);
        let mut moments = vec![disk.now()];
        let mut file = File::create(&path).unwrap();
        for word in ["one", "two", "three"] {
            file.write_all(word.as_bytes()).unwrap();
            file.sync_all().unwrap();
            moments.push(disk.now());
        }
        for (moment, text) in moments.into_iter().zip(["", "one", "onetwo", "onetwothree"]) {
            let then = Mounted::new(&disk.cut(moment, Unsynced::Lost));
            assert_eq!(fs::read(then.path().join("file")).unwrap(), text.as_bytes());
        }
    }

    fn a_name_is_kept_once_its_folder_is_synced(disks) {
        let (disk, path) = disk(disks);
        fs::create_dir(disk.path().join("folder")).unwrap();
        let inner = disk.path().join("folder/inner");
        fs::write(&inner, "inner").unwrap();
        sync(&inner);
        assert!(!after_a_cut(&disk).path().join("folder").exists(), "the top was not synced");
        sync(disk.path());
        let then = after_a_cut(&disk);
        assert!(then.path().join("folder").is_dir() && !then.path().join("folder/inner").exists());
        sync(&disk.path().join("folder"));
        assert_eq!(fs::read(after_a_cut(&disk).path().join("folder/inner")).unwrap(), b"inner");

        fs::rename(&inner, &path).unwrap();
        sync(&disk.path().join("folder"));
        let then = after_a_cut(&disk);
        assert!(!then.path().join("folder/inner").exists(), "its old name is gone");
        assert_eq!(fs::read(then.path().join("file")).unwrap(), b"", "its new name is not there yet");
        fs::remove_file(&path).unwrap();
        assert!(after_a_cut(&disk).path().join("file").exists(), "nor is its removal");
        sync(disk.path());
        assert!(!after_a_cut(&disk).path().join("file").exists());
    }

    fn a_length_is_kept_once_its_file_is_synced(disks) {
        let (disk, path) = disk(disks);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[1; 5000], 0).unwrap();
        file.sync_all().unwrap();
        file.set_len(3).unwrap();
        file.set_len(6).unwrap();
        assert_eq!(file_after_a_cut(&disk).len(), 5000);
        file.sync_all().unwrap();
        assert_eq!(file_after_a_cut(&disk), [1, 1, 1, 0, 0, 0]);
    }

    /// It hands pages to the disk, without what is needed to find them again, and
    /// without emptying the disk's own memory.
    fn sync_file_range_keeps_nothing(disks) {
        let (disk, path) = disk(disks);
        fs::write(&path, "ranged").unwrap();
        python(&path, "import ctypes, os, sys; fd = os.open(sys.argv[1], os.O_RDWR); \
            call = ctypes.CDLL(None, use_errno=True).sync_file_range; \
            sys.exit(call(fd, ctypes.c_long(0), ctypes.c_long(0), 7))");
        assert_eq!(file_after_a_cut(&disk), b"");
        sync(&path);
        assert_eq!(file_after_a_cut(&disk), b"ranged");
    }

    /// As in a journal, which has both or neither.
    fn what_two_folders_exchange_is_in_one_of_them_each(disks) {
        let disk = Mounted::new(&Image::empty(disks));
        let folders = ["one", "other"].map(|name| disk.path().join(name));
        for folder in &folders {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), folder.file_name().unwrap().as_encoded_bytes()).unwrap();
            sync(&folder.join("file"));
            sync(folder);
        }
        sync(disk.path());
        let read = |disk: &Mounted| ["one", "other"].map(|name| fs::read_to_string(disk.path().join(name).join("file")).unwrap());
        let exchange = "import ctypes, os, sys; c = ctypes.CDLL(None); a = sys.argv[1].encode(); \
                        sys.exit(c.renameat2(-100, a + b'/one/file', -100, a + b'/other/file', 2))";
        python(disk.path(), exchange);
        assert_eq!(read(&disk), ["other", "one"]);
        assert_eq!(read(&after_a_cut(&disk)), ["one", "other"]);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..20 {
            seen.insert(read(&Mounted::new(&disk.cut(disk.now(), Unsynced::Some(seed)))));
        }
        assert_eq!(seen.len(), 2, "{seen:?}");
        sync(&folders[1]);
        assert_eq!(read(&after_a_cut(&disk)), ["other", "one"]);
    }

    fn a_folder_that_is_moved_is_in_one_place(disks) {
        let disk = Mounted::new(&Image::empty(disks));
        let (one, other) = (disk.path().join("one"), disk.path().join("other"));
        for folder in [&one, &other, &one.join("moved")] {
            fs::create_dir(folder).unwrap();
        }
        for folder in [&one, &other, disk.path()] {
            sync(folder);
        }
        fs::rename(one.join("moved"), other.join("moved")).unwrap();
        let places = |disk: &Mounted| ["one", "other"].map(|folder| disk.path().join(folder).join("moved").is_dir());
        assert_eq!(places(&after_a_cut(&disk)), [true, false]);
        for seed in 0..20 {
            let [one, other] = places(&Mounted::new(&disk.cut(disk.now(), Unsynced::Some(seed))));
            assert_ne!(one, other, "seed {seed}");
        }
        sync(&other);
        assert_eq!(places(&after_a_cut(&disk)), [false, true]);
    }

    fn closing_a_file_keeps_nothing(disks) {
        let (disk, path) = disk(disks);
        fs::write(&path, "closed").unwrap();
        assert_eq!(file_after_a_cut(&disk), b"");
    }

    fn synced_writes_are_kept(disks) {
        let (disk, path) = disk(disks);
        let mut file = OpenOptions::new().write(true).custom_flags(SYNCED_WRITES).open(&path).unwrap();
        file.write_all(b"at once").unwrap();
        assert_eq!(file_after_a_cut(&disk), b"at once");
    }

    fn what_is_written_through_a_mapping_is_kept_once_it_is_synced(disks) {
        let (disk, path) = disk(disks);
        fs::write(&path, "........").unwrap();
        sync(&path);
        let map = "import mmap, os, sys; file = os.open(sys.argv[1], os.O_RDWR); map = mmap.mmap(file, 8); \
            map[0:6] = b'mapped'; ";
        python(&path, map);
        assert_eq!(fs::read(&path).unwrap(), b"mapped..", "everyone sees it");
        assert_eq!(file_after_a_cut(&disk), b"........");
        python(&path, &format!("{map} map.flush()"));
        assert_eq!(file_after_a_cut(&disk), b"mapped..");
    }

    fn writes_that_survive_do_so_in_any_order_and_the_last_is_torn_at_a_sector(disks) {
        let (disk, path) = disk(disks);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(4096).unwrap();
        file.sync_all().unwrap();
        file.write_all_at(&[1; 1024], 0).unwrap();
        file.write_all_at(&[2; 1024], 2048).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let then = Mounted::new(&disk.cut(disk.now(), Unsynced::Some(seed)));
            let bytes = fs::read(then.path().join("file")).unwrap();
            let sectors: Vec<u8> = bytes.chunks(512).map(|sector| {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is whole");
                sector[0]
            }).collect();
            seen.insert(sectors);
        }
        let only = |first: [u8; 2], second: [u8; 2]| vec![first[0], first[1], 0, 0, second[0], second[1], 0, 0];
        for expected in [only([0, 0], [0, 0]), only([1, 1], [0, 0]), only([0, 0], [2, 2]), only([1, 1], [2, 0])] {
            assert!(seen.contains(&expected), "{expected:?} is among {seen:?}");
        }
        assert!(!seen.contains(&only([1, 0], [2, 2])), "only the last write is torn");
    }

    fn a_sync_that_failed_may_lose_what_it_was_for(disks) {
        for loses in [false, true] {
            let (disk, path) = disk(disks);
            let mut file = File::create(&path).unwrap();
            file.write_all(b"first").unwrap();
            disk.fail_sync(1, loses);
            assert!(file.sync_all().is_err());
            assert_eq!(file_after_a_cut(&disk), b"");
            file.sync_all().unwrap();
            let kept: &[u8] = if loses { b"" } else { b"first" };
            assert_eq!(file_after_a_cut(&disk), kept, "after another sync, which says that all is well");
            assert_eq!(disk.faults_met(), 1);
        }
    }

    fn a_sync_that_failed_is_told_once_to_everyone_who_had_the_file_open(disks) {
        let (disk, path) = disk(disks);
        let mut file = File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        file.write_all(b"first").unwrap();
        disk.fail_sync(1, true);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        File::open(&path).unwrap().sync_data().unwrap();
        assert!(other.sync_data().is_err(), "it had the file open, and was not told");
        other.sync_data().unwrap();
        assert_eq!(disk.faults_met(), 1);
    }

    fn a_full_disk_takes_no_more(disks) {
        let (disk, path) = disk(disks);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"before", 0).unwrap();
        disk.fill_up(1, Full::Growth);
        file.write_all_at(b"one", 6).unwrap();
        let error = file.write_all_at(b"two", 9).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        file.write_all_at(b"BEFORE", 0).unwrap();
        disk.fill_up(0, Full::Everything);
        file.write_all_at(b"before", 0).unwrap_err();
        disk.fill_up(0, Full::Quota);
        file.write_all_at(b"BEFORE", 0).unwrap();
        assert_eq!(file.write_all_at(b"two", 9).unwrap_err().kind(), std::io::ErrorKind::QuotaExceeded);
        disk.make_room();
        file.write_all_at(b"two", 9).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"BEFOREonetwo");
    }
}
