//! The files: how they are made, looked over before sled may change them, and synced.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sled::{Config, Db, Mode};
use slipstream_embedded::{Files, Label, Opening, Place, Staging, system};
use slipstream_store::{Result, StoreError};
use xxhash_rust::xxh3::Xxh3;

use crate::handle::Handle;
use crate::{fault, layout};

const FILES: Files = Files { data: "slipstream.sled", within: &[LOG], log: None, beside: &[] };

/// Sled's log, which has everything; it says what the log is like; beginning and end of the names of its page tables.
const LOG: &str = "db";
const CONF: &str = "conf";
const SNAPSHOT: &str = "snap.";
const UNFINISHED: &str = ".generating";

/// What follows the name of a store, or of a file of ours, while it is made.
const NEW: &str = ".new";

/// Ours: what the log was like when the store was closed.
const SEAL: &str = "seal";

/// In bytes. A page is at most a quarter of it, see [`layout::PIECE`]. It stands in every store.
const SEGMENT: usize = 1 << 20;

/// Ours: the label of the opening that wrote last, and a hash of it.
const LABEL: &str = "opening";

/// What sled writes into [`CONF`] for these settings, but for its checksum.
const CONF_TEXT: &str = "segment_size: 1048576\nuse_compression: false\nversion: 0.34\n";

/// How much sled keeps in memory, about, in bytes. Its own default is 1 GiB.
const CACHE: u64 = 64 << 20;

/// How much of the log is looked over at opening, in bytes.
const CHECKED_WHOLE: u64 = 64 << 20;

/// How long a thread of sled's may hold the lock of a store that was closed.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(10);

/// Where the store of this folder is.
#[must_use]
pub fn place(path: &Path) -> Place {
    Place::folder(path, FILES)
}

/// Makes a store with what `fill` puts into it. It gets its name once it is whole, so that what a crash has left
/// half-made is never taken for a store.
///
/// # Errors
/// `Busy` or `Full` if that fails; `fill`'s.
pub(crate) fn create(place: &Place, fill: impl FnOnce(&Db) -> Result<()>) -> Result<()> {
    let folder = place.data();
    Staging::beside(&folder, NEW).make(&folder, |aside| {
        let db = Handle::open(&config(aside))?;
        fault::caught(|| db.insert(layout::FORMAT_KEY, layout::FORMAT).map(drop))?;
        fill(&db)?;
        db.close()
    })
}

fn config(folder: &Path) -> Config {
    // We flush ourselves.
    let config = Config::new().path(folder).segment_size(SEGMENT).flush_every_ms(None);
    config.cache_capacity(CACHE).mode(Mode::LowSpace)
}

/// Looks over a store without changing it, and makes it ready for sled.
///
/// # Errors
/// `Corrupted` if it is damaged; `Unsupported` if another version of sled or other settings made it.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    check_conf(&folder.join(CONF))?;
    check_snapshots(folder)?;
    check_seal(folder)?;
    let made_ready = remove_leftovers(folder).and_then(|()| {
        // A killed process leaves writes that no sync has covered. Sled's page table will count on them.
        File::open(folder.join(LOG))?.sync_all()
    });
    made_ready.map_err(|error| busy("preparing", folder, &error))
}

fn check_conf(path: &Path) -> Result<()> {
    let conf = fs::read(path).map_err(|error| absent(path, &error))?;
    let (text, checksum) = conf.split_last_chunk::<4>().unwrap_or((&[], &[0; 4]));
    if crc32fast::hash(text) != u32::from_le_bytes(*checksum) || text.is_empty() {
        return Err(StoreError::Corrupted(format!("{}: its checksum is another", path.display())));
    }
    if text == CONF_TEXT.as_bytes() {
        return Ok(());
    }
    let (path, got) = (path.display(), String::from_utf8_lossy(text));
    Err(StoreError::Unsupported(format!("{path}: expected {CONF_TEXT:?}, got {got:?}")))
}

/// Sled checks its page table itself, but only once the store has been made ready for it.
fn check_snapshots(folder: &Path) -> Result<()> {
    for path in paths(folder).map_err(|error| busy("reading", folder, &error))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(SNAPSHOT) || name.ends_with(UNFINISHED) {
            continue;
        }
        let table = fs::read(&path).map_err(|error| busy("reading", &path, &error))?;
        // The table, its length in eight bytes, and its checksum.
        let parts = table.split_last_chunk::<12>();
        if !parts.is_some_and(|(table, end)| end.ends_with(&crc32fast::hash(table).to_le_bytes())) {
            return Err(StoreError::Corrupted(format!("{}: its checksum is another", path.display())));
        }
    }
    Ok(())
}

/// Whether the log is as it was when the store was closed. After a crash there is no seal.
fn check_seal(folder: &Path) -> Result<()> {
    let log = folder.join(LOG);
    let found = digest(&log).map_err(|error| absent(&log, &error))?;
    match fs::read(folder.join(SEAL)) {
        Ok(expected) if expected == found => Ok(()),
        Ok(_) => Err(StoreError::Corrupted(format!("{} is not as it was when the store was closed", log.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(busy("reading", &folder.join(SEAL), &error)),
    }
}

/// The length of a file, and a hash of its contents up to [`CHECKED_WHOLE`].
fn digest(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let (mut beginning, mut hash, mut buffer) = (file.take(CHECKED_WHOLE), Xxh3::new(), vec![0; 1 << 20]);
    loop {
        match beginning.read(&mut buffer)? {
            0 => return Ok([length.to_le_bytes(), hash.digest().to_le_bytes()].concat()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Removes the seal, since the log is about to change, and a page table that a crash has left half-written: sled
/// would take it for the newest, and give up.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text == SEAL || (text.starts_with(SNAPSHOT) && text.ends_with(UNFINISHED)) {
            fs::remove_file(folder.join(&name))?;
        }
    }
    File::open(folder)?.sync_all()
}

/// Opens sled, which reads its log and brings its page table up to date.
///
/// # Errors
/// `Corrupted` if sled finds damage, or not what a store has.
pub(crate) fn open(folder: &Path) -> Result<Handle> {
    wait_for_lock(folder)?;
    let db = Handle::open(&config(folder))?;
    match fault::caught(|| db.get(layout::FORMAT_KEY))? {
        Some(format) if format == layout::FORMAT || format == layout::UNPACKED => Ok(db),
        Some(format) => Err(StoreError::Unsupported(format!(
            "{}: expected the layout {:?}, got {format:?}",
            folder.display(),
            layout::FORMAT
        ))),
        None => Err(StoreError::Corrupted(format!("{}: sled has lost what it held", folder.display()))),
    }
}

/// Waits until sled's own lock is free. Nobody has the store open, but a thread of sled's pool may hold the file for
/// a moment longer than the store that it worked for. Whoever holds it for longer leaves a thread behind that waits.
pub(crate) fn wait_for_lock(folder: &Path) -> Result<()> {
    let log = &folder.join(LOG);
    let file = File::open(log).map_err(|error| busy("opening", log, &error))?;
    let (locked, free) = mpsc::sync_channel(1);
    let waiting = thread::Builder::new().name("store-unlocked".to_owned());
    let waiting = waiting.spawn(move || drop(locked.send(file.lock().and_then(|()| file.unlock()))));
    waiting.map_err(|error| busy("waiting for", log, &error))?;
    match free.recv_timeout(UNLOCKED_WITHIN) {
        Ok(done) => done.map_err(|error| busy("locking", log, &error)),
        Err(_) => Err(StoreError::Busy(format!("{} is locked, though the store is not", log.display()))),
    }
}

/// A handle on sled's log.
pub(crate) fn log(folder: &Path) -> Result<File> {
    let path = folder.join(LOG);
    File::open(&path).map_err(|error| busy("opening", &path, &error))
}

/// Syncs every file of a store and its name.
pub(crate) fn sync(folder: &Path) -> Result<()> {
    let files = paths(folder).and_then(|paths| paths.iter().try_for_each(|path| File::open(path)?.sync_all()));
    files.and_then(|()| File::open(folder)?.sync_all()).map_err(|error| busy("syncing", folder, &error))
}

/// How many bytes the files of a store have.
pub(crate) fn bytes(folder: &Path) -> Result<u64> {
    let lengths =
        paths(folder).map(|paths| paths.iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum());
    lengths.map_err(|error| busy("measuring", folder, &error))
}

fn paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// Notes what the log is like. The store is closed.
pub(crate) fn seal(folder: &Path) -> Result<()> {
    let digest = digest(&folder.join(LOG)).map_err(|error| busy("sealing", folder, &error))?;
    replace(&folder.join(SEAL), &digest)
}

/// Writes the label.
pub(crate) fn set_label(folder: &Path, opening: Opening) -> Result<()> {
    let code = opening.code().to_le_bytes();
    replace(&folder.join(LABEL), &[code, hash(&code)].concat())
}

/// The label that is there.
///
/// # Errors
/// `Corrupted` if it is damaged.
pub(crate) fn label(folder: &Path) -> Result<Label> {
    let path = folder.join(LABEL);
    let bytes = match fs::read(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Label::Missing);
        }
        read => read.map_err(|error| busy("reading", &path, &error))?,
    };
    match bytes.split_first_chunk() {
        Some((code, rest)) if rest == hash(code) => Ok(Label::Of(Opening::from_code(u64::from_le_bytes(*code)))),
        _ => Err(StoreError::Corrupted(format!("{}: its checksum is another", path.display()))),
    }
}

fn hash(bytes: &[u8]) -> [u8; 8] {
    let mut hash = Xxh3::new();
    hash.update(bytes);
    hash.digest().to_le_bytes()
}

/// Puts a small file in the place of one, in one step and durably.
fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    Staging::beside(file, NEW)
        .make(file, |aside| fs::write(aside, bytes).map_err(|error| busy("writing", aside, &error)))
}

fn busy(what: &str, path: &Path, error: &io::Error) -> StoreError {
    system::fault(what, path, error)
}

fn absent(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() == ErrorKind::NotFound {
        return StoreError::Corrupted(format!("{} is missing", path.display()));
    }
    busy("reading", path, error)
}
