//! What LMDB's file says of itself in its first two pages.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use slipstream_store::{Result, StoreError};

/// What LMDB's file says of itself, in each of its first two pages.
const MAGIC: u32 = 0xBEEF_C0DE;

/// The version of LMDB's format.
const VERSION: u32 = 1;

/// As much of a page as the fields that are looked at take.
const HEADER: usize = 152;

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
    /// `Corrupted` if they are not LMDB's or contradict each other, or if the file is cut short; `Unsupported` if LMDB's
    /// format is another one.
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

    /// The one in the page that begins at `at`, if there is one.
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
