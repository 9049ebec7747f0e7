//! Folders: making them durably, and what their filesystem does with what is written.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use slipstream_store::Result;

use crate::files::names::parent;
use crate::files::system;

/// The path without symbolic links and `..`, as far as something is there. It names one place in one way.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if component == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(component);
            resolved = resolved.canonicalize().unwrap_or(resolved);
        }
    }
    resolved
}

/// Makes a folder durably if it is missing, and those above it.
pub(crate) fn make_folders(folder: &Path) -> Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !is_there(folder)).collect();
    missing.into_iter().rev().try_for_each(|missing| {
        let made = make_one(missing).and_then(|()| File::open(parent(missing))?.sync_all());
        made.map_err(|error| system::fault("making the folder", missing, &error))
    })
}

fn is_there(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.is_dir()
}

fn make_one(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        // Somebody else was faster.
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Has the files that are going to be made in a folder written in place, as `chattr +C` does, if the filesystem
/// copies what is written otherwise (btrfs): there even writing over what is there wants room, and a file that is mapped
/// into memory cannot say that there is none.
pub(crate) fn write_in_place(folder: &Path) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
        let set = File::open(folder).and_then(|folder| {
            let flags = ioctl_getflags(&folder)?;
            Ok(ioctl_setflags(&folder, flags | IFlags::NOCOW)?)
        });
        // Most filesystems never copy, and know no such flag.
        drop(set);
    }
}

/// Whether the filesystem of this folder copies what is written over: it is btrfs.
#[must_use]
pub fn copies_on_write(folder: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        const BTRFS: u32 = 0x9123_683E;
        rustix::fs::statfs(folder).is_ok_and(|system| u32::try_from(system.f_type) == Ok(BTRFS))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        false
    }
}
