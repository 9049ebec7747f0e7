//! Looking at a file before LMDB maps it: LMDB trusts what it maps, and a process that reads a mapped page that the
//! file does not have is killed.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use slipstream_store::{Result, StoreError};

/// What LMDB's file says of itself, in each of its first two pages.
const MAGIC: u32 = 0xBEEF_C0DE;

/// The version of LMDB's format.
const VERSION: u32 = 1;

/// As much of a page as the fields that are looked at take.
const HEADER: usize = 152;

/// Whether there is a store's file, one that LMDB can map. It only reads.
///
/// # Errors
/// `Corrupted` where the file is not LMDB's or is cut short, `Unsupported` where LMDB's format is another one.
pub(crate) fn inspect(file: &Path) -> Result<bool> {
    let fault = |error: std::io::Error| StoreError::Busy(format!("reading {}: {error}", file.display()));
    let damaged = |what: String| Err(StoreError::Corrupted(format!("{}: {what}", file.display())));
    let mut opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(fault)?,
    };
    let length = opened.metadata().map_err(fault)?.len();
    let Some(first) = Meta::read(&mut opened, 0) else {
        return damaged(format!("expected an LMDB file, got {length} bytes of something else"));
    };
    if first.version != VERSION {
        let got = first.version;
        return Err(StoreError::Unsupported(format!("{}: expected LMDB format {VERSION}, got {got}", file.display())));
    }
    if !first.page_size.is_power_of_two() || !(256..=65_536).contains(&first.page_size) {
        return damaged(format!("expected pages of 256 to 65536 bytes, got {}", first.page_size));
    }
    let Some(second) = Meta::read(&mut opened, u64::from(first.page_size)) else {
        return damaged("the second of LMDB's first two pages cannot be read".to_owned());
    };
    if (second.version, second.page_size) != (first.version, first.page_size) {
        return damaged("LMDB's first two pages contradict each other".to_owned());
    }
    let newer = if second.transaction > first.transaction { second } else { first };
    let expected = newer.last_page.saturating_add(1).saturating_mul(u64::from(newer.page_size));
    if length < expected {
        return damaged(format!("expected {expected} bytes, got {length}: the file is cut short"));
    }
    Ok(true)
}

/// What is looked at of LMDB's `MDB_meta`, which begins each of the first two pages. Numbers are in the order of the
/// machine.
struct Meta {
    version: u32,
    page_size: u32,
    last_page: u64,
    transaction: u64,
}

impl Meta {
    /// The one in the page that begins at `at`, where there is one.
    fn read(file: &mut File, at: u64) -> Option<Self> {
        let mut page = [0; HEADER];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut page)).ok()?;
        let short = |at: usize| page[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let long = |at: usize| page[at..].first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
        if short(16)? != MAGIC {
            return None;
        }
        Some(Self { version: short(20)?, page_size: short(40)?, last_page: long(136)?, transaction: long(144)? })
    }
}
