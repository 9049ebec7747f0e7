//! Room on the disk, taken before a transaction wants it.
//!
//! LMDB finds out that the disk is full while it writes a commit, and then says either that or that there was an error
//! of the device, which must not be taken for the same. So the file is kept longer than what is used of it. This also
//! makes a file that was cut short one that is shorter than its last page: LMDB alone may leave the last pages out.

use std::fs::File;
use std::path::Path;

use slipstream_embedded::Write;
use slipstream_store::{Result, StoreError};

use crate::fault;

/// The file becomes longer by as much as this at a time, in bytes.
const STEP: u64 = 4 << 20;

/// What any transaction may take, in bytes.
const ANY: u64 = 1 << 20;

/// What a row may take besides its bytes: its page is copied, and may be split.
const A_ROW: u64 = 8 << 10;

/// The length of the file.
#[derive(Debug)]
pub(crate) struct Room {
    file: File,
    length: u64,
    /// Whether the disk had what was wanted last.
    enough: bool,
}

impl Room {
    /// That of this file.
    pub(crate) fn of(file: &Path) -> Result<Self> {
        let opened = File::options().write(true).open(file);
        let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (length, file) =
            opened.map_err(|error| fault::system(&error, format!("opening {}: {error}", file.display())))?;
        Ok(Self { file, length, enough: true })
    }

    /// Takes room for these writes behind what is used. If the disk has none, the free pages within may do, so that
    /// this is not an error yet.
    ///
    /// # Errors
    /// `Busy` if the file cannot become longer for another reason.
    pub(crate) fn make(&mut self, used: u64, writes: &[Write<'_>]) -> Result<()> {
        let wanted = writes.iter().map(room_for).sum::<u64>() + ANY;
        self.enough = true;
        if used + wanted <= self.length {
            return Ok(());
        }
        let length = (used + wanted).next_multiple_of(STEP);
        match take(&self.file, self.length, length) {
            Ok(()) => self.length = length,
            Err(error) => match fault::system(&error, format!("lengthening the file: {error}")) {
                StoreError::Full(_) => self.enough = false,
                other => return Err(other),
            },
        }
        Ok(())
    }

    /// Whether the disk had the room that was wanted last.
    pub(crate) fn was_enough(&self) -> bool {
        self.enough
    }

    /// Whether everything that was written is synced. An error that a sync of LMDB's met is told here once more: the
    /// system tells it to each that has the file open.
    pub(crate) fn is_synced(&self) -> bool {
        self.file.sync_data().is_ok()
    }
}

fn room_for(write: &Write<'_>) -> u64 {
    let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    match write {
        Write::Remove { .. } | Write::RemoveUnpacked { .. } => A_ROW,
        Write::Put { value, .. } => A_ROW + 2 * bytes(value.len()),
    }
}

/// Takes the room from `from` to `to` in a file, which becomes so long if it was shorter.
#[cfg(target_os = "linux")]
pub(crate) fn take(file: &File, from: u64, to: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), from, to - from) {
        // The filesystem cannot take room ahead. What is missing then shows when it is written.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(to.max(file.metadata()?.len())),
        taken => taken.map_err(Into::into),
    }
}

/// Makes a file so long if it was shorter.
#[cfg(not(target_os = "linux"))]
pub(crate) fn take(file: &File, _: u64, to: u64) -> std::io::Result<()> {
    file.set_len(to.max(file.metadata()?.len()))
}
