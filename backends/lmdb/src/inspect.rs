//! Looking at a file before LMDB maps it: LMDB trusts what it maps, and a process that reads a mapped page that the
//! file does not have is killed.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use slipstream_store::Result;

use crate::fault::{self, about};
use crate::meta::Meta;
use crate::pages;

/// Stores up to this size are looked over whole at opening, in bytes.
const CHECKED_WHOLE: u64 = 64 << 20;

/// Whether there is a store's file, one that LMDB can map. It only reads.
///
/// # Errors
/// `Corrupted` if the file is not LMDB's, is cut short or, up to 64 MiB, has a page that is damaged; `Unsupported`
/// if LMDB's format is another one.
pub(crate) fn is_store(file: &Path) -> Result<bool> {
    let mut opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(|error| fault::system(&error, format!("reading {}: {error}", file.display())))?,
    };
    let looked = Meta::newest(&mut opened).and_then(|(meta, length)| {
        if length <= CHECKED_WHOLE { pages::look_over(&mut opened, &meta).map(drop) } else { Ok(()) }
    });
    looked.map(|()| true).map_err(|error| about(file, error))
}

/// Looks over a file that others may be writing to; the number of pages that belong nowhere.
///
/// # Errors
/// As [`pages::look_over`].
pub(crate) fn look_over(file: &Path) -> Result<u64> {
    let mut file =
        File::open(file).map_err(|error| fault::system(&error, format!("reading {}: {error}", file.display())))?;
    loop {
        // A commit may be writing the page that is read; what is read twice alike is whole.
        let (meta, _) = Meta::newest(&mut file)?;
        if Meta::newest(&mut file)?.0 == meta {
            return pages::look_over(&mut file, &meta);
        }
    }
}
