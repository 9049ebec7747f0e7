//! Databases in a store's folder that are not the store: a copy or a backup that was put there under another name. A
//! start that passed over them would make a new, empty store beside the one that is meant.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::files::names::PREFIX;

/// What is in a file, and at which byte.
type Part = (usize, &'static [u8]);

/// How a file of an engine begins.
const SIGNATURES: [(&str, &[Part]); 3] = [
    ("sqlite", &[(0, b"SQLite format 3\0"), (68, b"SLIP")]),
    ("redb", &[(0, b"redb\x1A\x0A\xA9\x0D\x0A")]),
    ("lmdb", &[(16, &0xBEEF_C0DE_u32.to_ne_bytes())]),
];

/// As many bytes as the signatures look at.
const LOOKED_AT: usize = 72;

/// Most entries of a folder that are looked at.
const MOST_ENTRIES: usize = 4096;

/// The first database in the folder, or in a folder in it, and its engine.
pub(crate) fn database_in(folder: &Path) -> io::Result<Option<(PathBuf, &'static str)>> {
    for path in entries(folder)?.into_iter().filter(|path| !is_half_made(path)) {
        if let Some(engine) = engine_of(&path) {
            return Ok(Some((path, engine)));
        }
        if path.is_dir() {
            // One that cannot be read is nobody's copy of a store.
            let below = entries(&path).unwrap_or_default();
            if let Some((path, engine)) = below.into_iter().find_map(|path| Some((path.clone(), engine_of(&path)?))) {
                return Ok(Some((path, engine)));
            }
        }
    }
    Ok(None)
}

/// Whether this is what a crash left of a store that was being made; the next one is made in its place.
fn is_half_made(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(PREFIX) && name.ends_with("new")
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.take(MOST_ENTRIES).map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}

/// The engine whose data seem to be at this path.
#[must_use]
pub fn engine_of(path: &Path) -> Option<&'static str> {
    if path.is_dir() {
        let conf = fs::read(path.join("conf")).ok()?;
        return (conf.starts_with(b"segment_size") && path.join("db").is_file()).then_some("sled");
    }
    let mut start = Vec::with_capacity(LOOKED_AT);
    // A pipe would wait for a writer.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    File::open(path).ok()?.take(LOOKED_AT as u64).read_to_end(&mut start).ok()?;
    let has = |(at, bytes): &Part| start.get(*at..).is_some_and(|rest| rest.starts_with(bytes));
    SIGNATURES.iter().find(|(_, parts)| parts.iter().all(has)).map(|(engine, _)| *engine)
}
