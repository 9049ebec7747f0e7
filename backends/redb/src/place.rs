//! Where a store on redb is.

use std::path::Path;

use slipstream_embedded::{Files, Place};

const FILES: Files = Files { data: "slipstream.redb", within: &[], log: None, beside: &[] };

/// Where the store of this folder is.
#[must_use]
pub fn place(folder: &Path) -> Place {
    Place::folder(folder, FILES)
}
