//! What this process has taken, from `/proc`: memory by kind, bytes that it wrote, processor time.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The most that was ever resident.
    pub peak: u64,
    /// Its own, which nothing but it can give back.
    pub anonymous: u64,
    /// Of mapped files, which the system takes back when it needs the memory.
    pub file: u64,
}

/// The memory of this process; nothing where the system does not tell.
pub(super) fn memory() -> Option<Memory> {
    memory_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn memory_in(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory { peak: bytes("VmHWM:")?, anonymous: bytes("RssAnon:")?, file: bytes("RssFile:")? })
}

/// How many bytes this process has had written to storage: each page counts when it is first written to after it was
/// last stored. Nothing where the system does not tell.
pub(super) fn written() -> Option<u64> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes:"))?.trim().parse().ok()
}

/// The processor time of this process, of all its threads, user and system.
pub(super) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The bytes that a file or folder takes on the disk with all that is in it. What vanishes meanwhile does not count.
pub(super) fn allocated(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    let below = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| allocated(&entry.path()));
    // The system counts in blocks of 512 bytes, whatever the filesystem's are.
    metadata.blocks() * 512 + below.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_by_kind() {
        let status = "Name:\tx\nVmHWM:\t   900 kB\nVmRSS:\t 700 kB\nRssAnon:\t  512 kB\nRssFile:\t 100 kB\n";
        assert_eq!(memory_in(status), Some(Memory { peak: 921_600, anonymous: 524_288, file: 102_400 }));
        assert_eq!(memory_in("Name:\tx\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_taken_something() {
        let before = cpu();
        let memory = memory().expect("/proc is there");
        assert!(memory.peak >= memory.anonymous && memory.anonymous > 0 && written().is_some());
        assert!(cpu() > before);
    }

    #[test]
    fn a_hole_takes_no_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("below");
        fs::create_dir(&below).expect("it is made");
        fs::File::create(below.join("hole")).and_then(|file| file.set_len(1 << 30)).expect("it is made");
        fs::write(below.join("full"), vec![1; 1 << 20]).expect("it is written");
        let taken = allocated(folder.path());
        assert!((1 << 20..2 << 20).contains(&taken), "{taken}");
        assert_eq!(allocated(&below.join("nothing")), 0);
    }
}
