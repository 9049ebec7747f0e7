//! Writing a whole state to a new journal: at the beginning, to compact, and as a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use slipstream_store::{Result, StoreError};

use crate::entry::Entry;
use crate::state::State;
use crate::{fault, frame};

/// Makes a store's folder, for its user only.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The journal in a store's folder.
pub(crate) fn journal_in(folder: &Path) -> PathBuf {
    folder.join("journal")
}

/// Writes the state to a new file beside the journal in `folder` and puts it in the place of the journal. Whenever the
/// machine stops, there is the journal as it was or as it is to be. Answers the new file, opened for appending, and
/// its length.
///
/// Where it fails before the names were changed, the journal is as it was. Where a sync fails, `Poisoned`: after the
/// last one nobody knows which journal a power cut would leave.
pub(crate) fn install(folder: &Path, state: &State) -> Result<(File, u64)> {
    let (new, journal) = (folder.join("journal.new"), journal_in(folder));
    let written = write(&new, state).and_then(|written| {
        fs::rename(&new, &journal).map_err(|error| fault("renaming", &new, &error))?;
        Ok(written)
    });
    if written.is_err() {
        // It was never a journal. Where it stays, the next attempt removes it.
        drop(fs::remove_file(&new));
    }
    let written = written?;
    sync_folder(folder).map_err(|error| StoreError::Poisoned(format!("{}: {error}", folder.display())))?;
    Ok(written)
}

/// Writes a backup: a folder with a journal of the state.
pub(crate) fn back_up(target: &Path, state: &State) -> Result<()> {
    if let Err(error) = make_folder(target) {
        return Err(match error.kind() {
            io::ErrorKind::AlreadyExists => {
                StoreError::Unsupported(format!("{}: expected a new path, something is there", target.display()))
            }
            _ => fault("making the folder", target, &error),
        });
    }
    let written = install(target, state)
        .and_then(|_| sync_folder(parent(target)).map_err(|error| fault("syncing the folder of", target, &error)));
    written.map_err(|error| {
        // What is left of it would be taken for a backup.
        drop(fs::remove_dir_all(target));
        match error {
            // Not of the store, which may be on another disk.
            StoreError::Poisoned(text) => StoreError::Busy(text),
            other => other,
        }
    })
}

fn write(path: &Path, state: &State) -> Result<(File, u64)> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault("removing", path, &error)),
        _ => {}
    }
    let failed = |error: io::Error| fault("writing", path, &error);
    let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    out.write_all(&frame::MAGIC).map_err(failed)?;
    let (mut length, mut buffer) = (frame::MAGIC.len() as u64, Vec::new());
    // Nobody sees the file before all of it is synced, so that the seal may say so already.
    for row in state.rows().chain([Entry::Seal]) {
        buffer.clear();
        frame::encode(&row, length, &mut buffer)?;
        out.write_all(&buffer).map_err(failed)?;
        length += buffer.len() as u64;
    }
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    // A disk on which a sync fails is not to be written to any more, whatever the old journal is still worth.
    file.sync_all().map_err(|error| StoreError::Poisoned(format!("syncing {}: {error}", path.display())))?;
    Ok((file, length))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
