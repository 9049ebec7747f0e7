//! The disk under the store.

use std::io;
use std::path::Path;

/// How many bytes are free for this process on the filesystem of `path`. What is kept for the administrator does not
/// count, and nothing is told of a filesystem that does not count. It may block for a moment.
///
/// # Errors
/// Where there is nothing at `path`, or the system does not tell.
pub(crate) fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    let filesystem = rustix::fs::statvfs(path)?;
    let counts = filesystem.f_blocks > 0;
    Ok(counts.then(|| filesystem.f_bavail.saturating_mul(filesystem.f_frsize)))
}

/// Where a filesystem keeps what is written, if that is not a disk of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// In memory: it is lost with the machine.
    InMemory(&'static str),
    /// On another machine, or behind another program: what a sync is worth is its affair.
    Behind(&'static str),
}

/// What is known of the filesystem of `path`: its name, if it is one of those. It may block for a moment.
///
/// # Errors
/// Where there is nothing at `path`, or the system does not tell.
pub(crate) fn elsewhere(path: &Path) -> io::Result<Option<Elsewhere>> {
    // linux/magic.h
    let known = |magic: u32| match magic {
        0x0102_1994 => Some(Elsewhere::InMemory("tmpfs")),
        0x8584_58f6 => Some(Elsewhere::InMemory("ramfs")),
        0x0000_6969 => Some(Elsewhere::Behind("NFS")),
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => Some(Elsewhere::Behind("SMB")),
        0x0102_1997 => Some(Elsewhere::Behind("9p")),
        0x00c3_6400 => Some(Elsewhere::Behind("Ceph")),
        0x6573_5546 => Some(Elsewhere::Behind("FUSE")),
        _ => None,
    };
    let magic = rustix::fs::statfs(path)?.f_type;
    // The kernel's numbers have 32 bits, whatever this machine's word has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rest has no meaning")]
    Ok(known(magic as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesystem_in_memory_is_known_as_one() {
        assert_eq!(elsewhere(Path::new("/dev/shm")).expect("it is there"), Some(Elsewhere::InMemory("tmpfs")));
        assert_eq!(elsewhere(Path::new("/proc")).expect("it is there"), None);
        assert_eq!(elsewhere(Path::new("/no/such")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn free_bytes_are_those_that_df_tells() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("store.db");
        assert_eq!(free_bytes(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&file, "x").expect("it is written");
        let told = std::process::Command::new("df")
            .args(["--block-size=1", "--output=avail"])
            .arg(&file)
            .output()
            .expect("df is there");
        let told: u64 = String::from_utf8_lossy(&told.stdout).split_whitespace().last().unwrap().parse().unwrap();
        // Others write to the same disk meanwhile.
        let (free, slack) = (free_bytes(&file).expect("it is told").expect("it counts"), told / 10 + (1 << 30));
        assert_eq!(free_bytes(Path::new("/proc")).expect("it is there"), None);
        assert!(free.abs_diff(told) <= slack && free > 0, "{free}, df says {told}");
    }
}
