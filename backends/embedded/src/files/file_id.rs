//! What tells a file from its copies: its number, and when it was made.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What tells a file from its copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    inode: u64,
    /// In nanoseconds, if the filesystem keeps it: the number of a removed file is given again.
    born: Option<u64>,
}

impl FileId {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok().filter(|_| keeps_numbers(path))?;
        let born = about.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        let born = born.and_then(|born| u64::try_from(born.as_nanos()).ok());
        Some(Self { inode: about.ino(), born })
    }

    pub(crate) fn text(self) -> String {
        match self.born {
            Some(born) => format!("{}:{born}", self.inode),
            None => self.inode.to_string(),
        }
    }

    /// What is written of a file; nothing in it if nothing was known.
    pub(crate) fn parse(text: &str) -> Option<Option<Self>> {
        if text == "-" {
            return Some(None);
        }
        let (inode, born) = text.split_once(':').map_or((text, None), |(inode, born)| (inode, Some(born)));
        let born = born.map(str::parse).transpose().ok()?;
        Some(Some(Self { inode: inode.parse().ok()?, born }))
    }
}

/// Whether these may be the same files. Of a file that is not there, or of which nothing is known, all may be.
pub(crate) fn are_same(then: &[Option<FileId>; 2], now: &[Option<FileId>; 2]) -> bool {
    then.iter().zip(now).all(|files| match files {
        (Some(then), Some(now)) => {
            let born = then.born.zip(now.born);
            then.inode == now.inode && born.is_none_or(|(then, now)| then == now)
        }
        _ => true,
    })
}

/// Whether a file keeps its number for as long as it is there. On filesystems that get their files from another
/// program or machine, it may have another after they are mounted anew.
#[cfg(target_os = "linux")]
fn keeps_numbers(path: &Path) -> bool {
    /// FUSE, SMB (two versions), 9P: `statfs(2)`.
    const FOREIGN: [u64; 4] = [0x6573_5546, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997];
    let kind = rustix::fs::statfs(path).ok().and_then(|about| u64::try_from(about.f_type).ok());
    kind.is_some_and(|kind| !FOREIGN.contains(&(kind & 0xFFFF_FFFF)))
}

#[cfg(not(target_os = "linux"))]
fn keeps_numbers(_: &Path) -> bool {
    true
}
