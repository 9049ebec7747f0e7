//! Which paths name the file of a store, and which its folder.

use std::path::{Path, PathBuf};

use slipstream_embedded::Place;

/// The endings of a path that names the file itself.
const FILE_ENDINGS: [&str; 3] = ["db", "sqlite", "sqlite3"];

/// Where the store is, and SQLite's file of it.
pub(crate) fn of(store: &Path) -> (Place, PathBuf) {
    let ending = store.extension().and_then(|ending| ending.to_str());
    let place = match ending {
        Some(ending) if FILE_ENDINGS.contains(&ending) => Place::file(store),
        _ => Place::folder(store, "slipstream.db"),
    };
    let file = place.data();
    (place, file)
}
