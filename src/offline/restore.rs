//! Putting a backup in the place of a store.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use slipstream_embedded::{Label, Place, StoreLock, Work, engine_of, system};
use slipstream_store::{Stats, StoreError};

use super::{Located, OfflineError, Progress};
use crate::backend;
use crate::config::{self, EmbeddedEngine};

/// How much is copied at a time, in bytes.
const PIECE: usize = 1 << 20;

/// What a restore is allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// A store that is there is removed once the backup is whole in its place.
    pub replace: bool,
    /// The backup may be a copy that was not closed in order: what it lacks is not noticed.
    pub unclean: bool,
}

/// A backup, before it is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its engine.
    pub engine: EmbeddedEngine,
    place: Place,
}

impl Backup {
    /// The backup at this path: a store's folder, or its file of whatever name.
    ///
    /// # Errors
    /// `Absent` where there is none; `Store` for an engine that is not compiled in.
    pub fn find(path: &Path) -> Result<Self, OfflineError> {
        let fault = |error| OfflineError::Store { path: path.to_owned(), error };
        let known = |name| config::embedded_engine(name).map_err(|text| fault(StoreError::Unsupported(text)));
        if let Some(engine) = engine_of(path) {
            let engine = known(engine)?;
            let place = backend::place(engine, path).map_err(fault)?.of_data(path);
            return Ok(Self { engine, place });
        }
        let folders = backend::EMBEDDED.iter().map(|engine| (*engine, backend::place(*engine, path)));
        let found =
            folders.into_iter().find_map(|(engine, place)| Some((engine, place.ok().filter(Place::has_store)?)));
        found.map(|(engine, place)| Self { engine, place }).ok_or_else(|| OfflineError::Absent {
            path: path.to_owned(),
            expected: "a backup: the folder or the file of a closed store".to_owned(),
        })
    }

    /// Keeps a relay away from it meanwhile, where one could have it open. Nothing is made in a backup.
    fn lock(&self) -> Result<Option<StoreLock>, OfflineError> {
        match self.place.lock_if_there() {
            Err(StoreError::InUse(path)) => Err(OfflineError::InUse(path)),
            // It may be on a medium that is only read.
            other => Ok(other.ok().flatten()),
        }
    }
}

/// Puts a backup in the place of `to`: copies it into a staging folder there, opens and checks it whole, and gives it its place by
/// one rename. A crash leaves what was there, or the backup; or, for a moment, the backup beside the log of what was there,
/// which a start refuses and the same restore mends.
///
/// # Errors
/// `InUse` where a relay has either open; `SamePlace`; `Store` where a store is there and may not be replaced, where the
/// backup was not closed in order, or where there is no room; `Defects` where the backup has any. What was there is as it
/// was.
pub fn restore(
    backup: &Backup,
    to: &Located,
    allowed: Allowed,
    progress: &dyn Progress,
) -> Result<Stats, OfflineError> {
    let (place, fault) = (to.place()?, |error| to.fault(error));
    if same(&backup.place.data(), &place.data()) {
        return Err(OfflineError::SamePlace(to.path.clone()));
    }
    let _kept = backup.lock()?;
    let _lock = match allowed.replace {
        true => place.lock_to_replace().map_err(fault)?,
        false => place.lock_empty().map_err(|error| to.fault(hint(error)))?,
    };
    let staging = place.staging(Work::Restoring).make_folder().map_err(fault)?;
    let made = Located { engine: backup.engine, path: staging };
    let done = bring(backup, &made, allowed.unclean, progress).and_then(|stats| {
        let bytes = made.place()?.bytes().map_err(fault)?;
        place.install(&made.place()?, Work::Restoring).map_err(fault)?;
        Ok(Stats { bytes, ..stats })
    });
    if done.is_err() {
        // What cannot be removed is removed by the next restore.
        drop(place.staging(Work::Restoring).remove());
    }
    done.map_err(|error| about(backup, &made, error))
}

fn hint(error: StoreError) -> StoreError {
    match error {
        StoreError::Unsupported(text) => StoreError::Unsupported(format!(
            "{text}; `--replace` removes a store that is there, once the backup is in its place"
        )),
        other => other,
    }
}

/// Names the backup, which a person knows, where the copy of it is named.
fn about(backup: &Backup, made: &Located, error: OfflineError) -> OfflineError {
    let (Ok(place), source) = (made.place(), backup.place.data()) else { return error };
    let known = |text: String| text.replace(&place.data().display().to_string(), &source.display().to_string());
    match error {
        OfflineError::Store { path, error } => {
            let path = if path == made.path { backup.place.store().to_owned() } else { path };
            let error = match error {
                StoreError::Corrupted(text) => StoreError::Corrupted(known(text)),
                StoreError::Unsupported(text) => StoreError::Unsupported(known(text)),
                other => other,
            };
            OfflineError::Store { path, error }
        }
        OfflineError::Defects { path, count, first } if path == made.path => {
            OfflineError::Defects { path: backup.place.store().to_owned(), count, first }
        }
        other => other,
    }
}

/// Copies the backup, and looks over the copy.
fn bring(backup: &Backup, made: &Located, unclean: bool, progress: &dyn Progress) -> Result<Stats, OfflineError> {
    let (target, fault) = (made.place()?, |error| made.fault(error));
    progress.stage("copying", Some(backup.place.bytes().map_err(fault)?));
    copy(&backup.place.data(), &target.data(), progress)?;
    let log = backup.place.log().filter(|log| fs::metadata(log).is_ok_and(|log| log.len() > 0));
    if unclean {
        if let (Some(from), Some(to)) = (&log, target.log()) {
            copy(from, &to, progress)?;
        }
        target.salvage().map_err(fault)?;
    }
    progress.stage("opening", None);
    let log = log.filter(|_| !unclean);
    let mut store = made.open().map_err(|error| match (&log, &error) {
        (Some(log), OfflineError::Store { error: StoreError::Corrupted(_), .. }) => unclosed(made, &target, log),
        _ => error,
    })?;
    let is_over = matches!(store.label().map_err(fault)?, Label::Of(opening) if opening.is_over());
    if let Some(log) = log.filter(|_| !is_over) {
        return Err(unclosed(made, &target, &log));
    }
    progress.stage("checking", None);
    made.expect_whole(&*store)?;
    let stats = store.stats().map_err(fault)?;
    if unclean {
        // It begins an opening, so that it is one that ended in order.
        store.apply(&[]).map_err(fault)?;
    }
    store.close().map_err(fault)?;
    Ok(stats)
}

fn unclosed(made: &Located, target: &Place, log: &Path) -> OfflineError {
    made.fault(StoreError::Corrupted(format!(
        "{}: no backup, but a copy of a store that was not closed in order: its log, {}, is beside it. Close the store in \
         order and copy it again, or take what is whole with `--unclean`",
        target.data().display(),
        log.display()
    )))
}

/// Copies a file, or a folder with all that is in it, for its user only.
fn copy(from: &Path, to: &Path, progress: &dyn Progress) -> Result<(), OfflineError> {
    let fault = |what: &str, path: &Path, error: &std::io::Error| OfflineError::Store {
        path: path.to_owned(),
        error: system::fault(what, path, error),
    };
    if from.is_dir() {
        let made = fs::DirBuilder::new().mode(0o700).create(to);
        made.map_err(|error| fault("making", to, &error))?;
        let entries = fs::read_dir(from).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let entries = entries.map_err(|error| fault("reading", from, &error))?;
        return entries.iter().try_for_each(|entry| copy(&entry.path(), &to.join(entry.file_name()), progress));
    }
    let mut source = File::open(from).map_err(|error| fault("reading", from, &error))?;
    let target = File::options().write(true).create_new(true).mode(0o600).open(to);
    let mut target = target.map_err(|error| fault("making", to, &error))?;
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece).map_err(|error| fault("reading", from, &error))? {
            0 => return target.sync_all().map_err(|error| fault("syncing", to, &error)),
            read => {
                target.write_all(&piece[..read]).map_err(|error| fault("writing", to, &error))?;
                progress.advance(u64::try_from(read).unwrap_or(0));
            }
        }
    }
}

fn same(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| -> PathBuf { slipstream_embedded::resolved(path) };
    resolved(one) == resolved(other)
}
