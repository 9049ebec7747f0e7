//! Where a store on LMDB is.

use std::path::Path;

use slipstream_embedded::{Files, Place};

/// What follows the name of a file in that of LMDB's lock file beside it.
pub(crate) const LOCK: &str = "-lock";

const FILES: Files = Files { data: "slipstream.mdb", within: &[], log: None, beside: &[LOCK] };

/// Where the store of this folder is.
#[must_use]
pub fn place(folder: &Path) -> Place {
    Place::folder(folder, FILES)
}
