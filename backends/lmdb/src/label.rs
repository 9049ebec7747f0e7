//! The label of the opening that wrote last, which is a row of LMDB's table of tables.

use std::fs::File;
use std::path::Path;

use slipstream_embedded::{Label, Opening};

use crate::meta::Meta;
use crate::pages;

/// The row with the label.
pub(crate) const OPENING: &[u8] = b"opening";

/// The label in a file, read without LMDB: whether it is mapped depends on it.
pub(crate) fn in_file(file: &Path) -> Label {
    let Ok(mut file) = File::open(file) else { return Label::Missing };
    let found = Meta::newest(&mut file).and_then(|(meta, _)| pages::row_of_main(&mut file, &meta, OPENING));
    match found {
        Ok(Some(value)) => of(&value),
        Ok(None) => Label::Missing,
        Err(_) => Label::Unreadable,
    }
}

/// What the row of the label says.
pub(crate) fn of(value: &[u8]) -> Label {
    value.try_into().map_or(Label::Unreadable, |code| Label::Of(Opening::from_code(u64::from_be_bytes(code))))
}
