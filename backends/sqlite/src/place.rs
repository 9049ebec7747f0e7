//! Which paths name the file of a store, and which its folder.

use std::path::Path;

use slipstream_embedded::{Files, Place};

const FILES: Files =
    Files { data: "slipstream.db", within: &[], log: Some("-wal"), beside: &["-wal", "-shm", "-journal"] };

/// The endings of a path that names the file itself.
const FILE_ENDINGS: [&str; 3] = ["db", "sqlite", "sqlite3"];

/// Where the store of this path is. A path that ends in `.db`, `.sqlite` or `.sqlite3` is the file itself; any other is a
/// folder, in which the file is `slipstream.db`.
#[must_use]
pub fn place(store: &Path) -> Place {
    match store.extension().and_then(|ending| ending.to_str()) {
        Some(ending) if FILE_ENDINGS.contains(&ending) => Place::file(store, FILES),
        _ => Place::folder(store, FILES),
    }
}
