//! Where a measurement was made: processor, memory, kernel, filesystem. What the system does not tell is left out.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The processor's name.
    pub processor: Option<String>,
    /// How many of its cores this program may use.
    pub cores: Option<usize>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// The kernel and its version.
    pub kernel: Option<String>,
    /// The filesystem below the measured folder.
    pub filesystem: Option<Filesystem>,
}

/// A mounted filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filesystem {
    /// Such as `ext4`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is mounted, such as `/dev/vda1`.
    pub source: String,
    /// Where.
    pub mount_point: PathBuf,
    /// How, as the kernel writes it.
    pub options: String,
}

impl Machine {
    /// This machine, as to `folder`.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let kernel = |name: &str| Some(read(&format!("/proc/sys/kernel/{name}"))?.trim().to_owned());
        Self {
            processor: read("/proc/cpuinfo").and_then(|text| field(&text, "model name").map(str::to_owned)),
            cores: std::thread::available_parallelism().ok().map(Into::into),
            memory_bytes: read("/proc/meminfo").and_then(|text| {
                let kibibytes: u64 = field(&text, "MemTotal")?.strip_suffix(" kB")?.parse().ok()?;
                Some(kibibytes * 1024)
            }),
            kernel: kernel("ostype").zip(kernel("osrelease")).map(|(name, release)| format!("{name} {release}")),
            filesystem: read("/proc/self/mountinfo")
                .and_then(|mounts| filesystem(&mounts, &folder.canonicalize().ok()?)),
        }
    }

    /// The type of the filesystem, for people.
    #[must_use]
    pub fn filesystem_type(&self) -> &str {
        self.filesystem.as_ref().map_or("unknown", |filesystem| &filesystem.kind)
    }
}

/// The value of the first line `name: value`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().strip_prefix(':')?.trim()))
}

/// The filesystem that has `folder`: the one mounted at the longest beginning of its path, of equals the last.
fn filesystem(mounts: &str, folder: &Path) -> Option<Filesystem> {
    let parsed = mounts.lines().filter_map(|line| {
        // `36 35 98:0 /root /mount/point options fields... - type source options`
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(4);
        let (mount_point, options) = (unescaped(before.next()?), before.next()?);
        let mut after = after.split(' ');
        let (kind, source) = (after.next()?.to_owned(), unescaped(after.next()?));
        let more = after.next().unwrap_or_default();
        let options = format!("{options},{more}");
        Some(Filesystem { kind, source, mount_point: mount_point.into(), options })
    });
    parsed
        .filter(|filesystem| folder.starts_with(&filesystem.mount_point))
        .max_by_key(|filesystem| filesystem.mount_point.components().count())
}

/// A path of mountinfo, where a blank is `\040` and so on.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                whole.push(char::from(byte));
                whole.push_str(part.get(3..).unwrap_or_default());
            }
            None => {
                whole.push('\\');
                whole.push_str(part);
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
25 24 0:23 / /dev/shm rw,relatime shared:7 - tmpfs tmpfs rw,size=100k
30 27 8:1 / /var/my\\040data rw,noatime - xfs /dev/sdb1 rw
31 27 8:2 / /var/my\\040data rw - btrfs /dev/sdc1 rw
";

    #[test]
    fn the_filesystem_is_the_one_mounted_nearest_and_last() {
        let of = |path: &str| filesystem(MOUNTS, Path::new(path)).map(|found| (found.kind, found.source));
        let pair = |kind: &str, source: &str| Some((kind.to_owned(), source.to_owned()));
        assert_eq!(of("/home/x"), pair("ext4", "/dev/vda"));
        assert_eq!(of("/dev/shm/x"), pair("tmpfs", "tmpfs"));
        assert_eq!(of("/dev/shmem"), pair("ext4", "/dev/vda"), "a name that only begins alike");
        assert_eq!(of("/var/my data/store"), pair("btrfs", "/dev/sdc1"), "mounted over the other");
        assert_eq!(filesystem("nonsense\n", Path::new("/")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_is_told() {
        let machine = Machine::of(Path::new("."));
        assert!(machine.memory_bytes > Some(1 << 20) && machine.cores > Some(0), "{machine:?}");
        assert!(machine.kernel.as_ref().is_some_and(|kernel| kernel.starts_with("Linux ")), "{machine:?}");
        assert!(machine.filesystem.is_some(), "{machine:?}");
    }
}
