//! Looking at a file before LMDB maps it: LMDB trusts what it maps, and a process that reads a mapped page that the
//! file does not have is killed.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use slipstream_embedded::{Label, Opening};
use slipstream_store::{Result, StoreError};

use crate::{environment, fault, pages};

/// What LMDB's file says of itself, in each of its first two pages.
const MAGIC: u32 = 0xBEEF_C0DE;

/// The version of LMDB's format.
const VERSION: u32 = 1;

/// As much of a page as the fields that are looked at take.
const HEADER: usize = 152;

/// Stores up to this size are looked over whole at opening, in bytes.
const CHECKED_WHOLE: u64 = 64 << 20;

/// Whether there is a store's file, one that LMDB can map. It only reads.
///
/// # Errors
/// `Corrupted` where the file is not LMDB's, is cut short or, up to 64 MiB, has a page that is damaged; `Unsupported`
/// where LMDB's format is another one.
pub(crate) fn inspect(file: &Path) -> Result<bool> {
    let mut opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(|error| fault::system(&error, format!("reading {}: {error}", file.display())))?,
    };
    let looked = Meta::newest(&mut opened).and_then(|(meta, length)| {
        if length <= CHECKED_WHOLE { pages::look_over(&mut opened, &meta).map(drop) } else { Ok(()) }
    });
    looked.map(|()| true).map_err(|error| about(file, error))
}

/// The label in a file, read without LMDB: whether it is mapped depends on it.
pub(crate) fn label(file: &Path) -> Label {
    let Ok(mut file) = File::open(file) else { return Label::Missing };
    let found =
        Meta::newest(&mut file).and_then(|(meta, _)| pages::row_of_main(&mut file, &meta, environment::OPENING));
    match found {
        Ok(Some(value)) => label_of(&value),
        Ok(None) => Label::Missing,
        Err(_) => Label::Unreadable,
    }
}

/// What the row of the label says.
pub(crate) fn label_of(value: &[u8]) -> Label {
    value.try_into().map_or(Label::Unreadable, |code| Label::Of(Opening::from_code(u64::from_be_bytes(code))))
}

/// The error with the path of the file that it is about.
pub(crate) fn about(file: &Path, error: StoreError) -> StoreError {
    let named = |text: String| format!("{}: {text}", file.display());
    match error {
        StoreError::Corrupted(text) => StoreError::Corrupted(named(text)),
        StoreError::Unsupported(text) => StoreError::Unsupported(named(text)),
        StoreError::Busy(text) => StoreError::Busy(named(text)),
        StoreError::Full(text) => StoreError::Full(named(text)),
        StoreError::Inaccessible(text) => StoreError::Inaccessible(named(text)),
        other => other,
    }
}

/// What is looked at of LMDB's `MDB_meta`, of which each of the first two pages has one; commits write them in turn.
/// Numbers are in the order of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    version: u32,
    pub(crate) page_size: u32,
    pub(crate) last_page: u64,
    transaction: u64,
    /// LMDB's table of free pages.
    pub(crate) free: Tree,
    /// LMDB's table of tables.
    pub(crate) main: Tree,
}

/// What LMDB says of a table, its `MDB_db`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) depth: u16,
    pub(crate) branches: u64,
    pub(crate) leaves: u64,
    pub(crate) overflows: u64,
    pub(crate) entries: u64,
    pub(crate) root: u64,
}

impl Meta {
    /// The newer one, and the length of the file.
    ///
    /// # Errors
    /// As [`inspect`], for both and the length.
    pub(crate) fn newest(file: &mut File) -> Result<(Self, u64)> {
        let damaged = |what: String| Err(StoreError::Corrupted(what));
        let length = file.metadata().map_err(|error| StoreError::Busy(error.to_string()))?.len();
        let Some(first) = Self::read(file, 0) else {
            return damaged(format!("expected an LMDB file, got {length} bytes of something else"));
        };
        if first.version != VERSION {
            return Err(StoreError::Unsupported(format!("expected LMDB format {VERSION}, got {}", first.version)));
        }
        if !first.page_size.is_power_of_two() || !(256..=65_536).contains(&first.page_size) {
            return damaged(format!("expected pages of 256 to 65536 bytes, got {}", first.page_size));
        }
        let Some(second) = Self::read(file, u64::from(first.page_size)) else {
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
        Ok((newer, length))
    }

    /// The one in the page that begins at `at`, where there is one.
    fn read(file: &mut File, at: u64) -> Option<Self> {
        let mut page = [0; HEADER];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut page)).ok()?;
        if u32_at(&page, 16)? != MAGIC {
            return None;
        }
        Some(Self {
            version: u32_at(&page, 20)?,
            page_size: u32_at(&page, 40)?,
            last_page: u64_at(&page, 136)?,
            transaction: u64_at(&page, 144)?,
            free: Tree::parse(&page[40..])?,
            main: Tree::parse(&page[88..])?,
        })
    }
}

impl Tree {
    /// The one that `bytes` begin with.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            depth: u16_at(bytes, 6)?,
            branches: u64_at(bytes, 8)?,
            leaves: u64_at(bytes, 16)?,
            overflows: u64_at(bytes, 24)?,
            entries: u64_at(bytes, 32)?,
            root: u64_at(bytes, 40)?,
        })
    }
}

/// The number at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// The number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}
