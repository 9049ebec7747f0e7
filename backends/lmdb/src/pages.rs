//! Looking over the pages of a file without LMDB, which trusts what it reads: a damaged page may crash it.
//!
//! Every page belongs to one table or is free. The walk goes through the trees of all tables and the list of free
//! pages, and finds pages that are in two places or none, bounds that lie outside, keys out of order, and counts that
//! are wrong. What is within a value it does not see.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use slipstream_store::{Result, StoreError};

use crate::meta::{Meta, Tree, u16_at, u32_at, u64_at};

/// The root of a table without pages.
const NOWHERE: u64 = u64::MAX;

/// Where the content of a page begins.
const CONTENT: usize = 16;

/// The head of a row: the length of its value or the page below, its flags, the length of its key.
const ROW_HEAD: usize = 8;

/// What a page's flags say that it is.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;

/// What a row's flags say of its value: it is on pages of its own, or is a table.
const ON_PAGES: u16 = 1;
const TABLE: u16 = 2;

/// Most levels that LMDB's cursors can climb.
const DEEPEST: u16 = 32;

/// Looks over the pages as of this commit; the number of pages that belong nowhere, which are lost but do no harm.
///
/// # Errors
/// `Corrupted` with the first finding; `Busy` if the file cannot be read.
pub(crate) fn look_over(file: &mut File, meta: &Meta) -> Result<u64> {
    let pages = usize::try_from(meta.last_page.saturating_add(1)).unwrap_or(usize::MAX);
    let mut walk = Walk { file, meta, used: vec![false; pages] };
    for page in walk.used.iter_mut().take(2) {
        *page = true;
    }
    walk.tree(&meta.free, Kind::Free)?;
    walk.tree(&meta.main, Kind::Main)?;
    let lost = walk.used.iter().filter(|used| !**used).count();
    Ok(u64::try_from(lost).unwrap_or(u64::MAX))
}

/// The value of a row of the table of tables, which has one page: it has a dozen rows.
pub(crate) fn row_of_main(file: &mut File, meta: &Meta, key: &[u8]) -> Result<Option<Vec<u8>>> {
    if meta.main.root == NOWHERE {
        return Ok(None);
    }
    let mut walk = Walk { file, meta, used: Vec::new() };
    let page = walk.read(meta.main.root, 1)?;
    let (lower, upper) = (usize::from(short(&page, 12)?), usize::from(short(&page, 14)?));
    if short(&page, 10)? != LEAF || lower < CONTENT {
        return damaged(format!("page {} is no page of rows", meta.main.root));
    }
    for index in 0..(lower - CONTENT) / 2 {
        let at = usize::from(short(&page, CONTENT + 2 * index)?);
        match Row::parse(&page, at, upper, false) {
            Some(row) if row.key == key => return Ok(Some(row.value.to_vec())),
            Some(_) => {}
            None => return damaged(format!("row {index} of the table of tables lies outside of its page")),
        }
    }
    Ok(None)
}

/// What the values of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Lists of free pages; the keys are numbers.
    Free,
    /// Tables, and the mark of the store.
    Main,
    /// Bytes.
    Rows,
}

/// What has been found of a table so far.
#[derive(Debug, Default)]
struct Found {
    branches: u64,
    leaves: u64,
    overflows: u64,
    entries: u64,
    /// The last key, or the least key that the next page may begin with.
    key: Vec<u8>,
    /// Whether the next key may be `key` itself.
    may_equal: bool,
}

struct Walk<'w> {
    file: &'w mut File,
    meta: &'w Meta,
    used: Vec<bool>,
}

fn damaged<T>(text: String) -> Result<T> {
    Err(StoreError::Corrupted(text))
}

impl Walk<'_> {
    fn tree(&mut self, tree: &Tree, kind: Kind) -> Result<()> {
        let mut found = Found { may_equal: true, ..Found::default() };
        if tree.depth > DEEPEST || (tree.root == NOWHERE) != (tree.depth == 0) {
            return damaged(format!("a table of depth {} begins at page {}", tree.depth, tree.root));
        }
        if tree.root != NOWHERE {
            self.page(tree.root, tree.depth, kind, &mut found)?;
        }
        let counted = [found.branches, found.leaves, found.overflows, found.entries];
        let expected = [tree.branches, tree.leaves, tree.overflows, tree.entries];
        if counted != expected {
            return damaged(format!(
                "a table has {counted:?} branches, leaves, overflows, rows: expected {expected:?}"
            ));
        }
        Ok(())
    }

    /// Goes over a page of a tree and everything below; leaves are on level 1.
    fn page(&mut self, number: u64, level: u16, kind: Kind, found: &mut Found) -> Result<()> {
        self.take(number, 1)?;
        let page = self.read(number, 1)?;
        let (lower, upper) = (usize::from(short(&page, 12)?), usize::from(short(&page, 14)?));
        let expected = if level == 1 { LEAF } else { BRANCH };
        if short(&page, 10)? != expected || lower <= CONTENT || lower > upper || upper > page.len() {
            return damaged(format!("page {number} is no page of rows"));
        }
        if level == 1 {
            found.leaves += 1;
        } else {
            found.branches += 1;
        }
        for index in 0..(lower - CONTENT) / 2 {
            let at = usize::from(short(&page, CONTENT + 2 * index)?);
            let row = Row::parse(&page, at, upper, level > 1);
            let Some(row) = row else { return damaged(format!("row {index} of page {number} lies outside of it")) };
            if level == 1 {
                found.entries += 1;
                if !found.take_key(row.key, kind, false) {
                    return damaged(format!("row {index} of page {number} is out of order"));
                }
                self.value(&row, kind, found)?;
            } else {
                // The first page below has all that is less than the second key.
                if index > 0 && !found.take_key(row.key, kind, true) {
                    return damaged(format!("row {index} of page {number} is out of order"));
                }
                let below = u64::from(row.number) | u64::from(row.flags) << 32;
                self.page(below, level - 1, kind, found)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, row: &Row<'_>, kind: Kind, found: &mut Found) -> Result<()> {
        let length = u64::from(row.number);
        match (row.flags, kind) {
            (ON_PAGES, _) => {
                let first = u64_at(row.value, 0).unwrap_or(NOWHERE);
                let head = u64::try_from(CONTENT).unwrap_or(0);
                let count = (head - 1 + length) / u64::from(self.meta.page_size) + 1;
                self.take(first, count)?;
                found.overflows += count;
                let pages = self.read(first, if kind == Kind::Free { count } else { 1 })?;
                if short(&pages, 10)? != OVERFLOW || u32_at(&pages, 12).map(u64::from) != Some(count) {
                    return damaged(format!("page {first} does not begin a value of {length} bytes"));
                }
                if kind == Kind::Free { self.free(&pages[CONTENT..]) } else { Ok(()) }
            }
            (TABLE, Kind::Main) => match Tree::parse(row.value) {
                Some(tree) => self.tree(&tree, Kind::Rows),
                None => damaged("a table of tables has a row that is no table".to_owned()),
            },
            (0, Kind::Free) => self.free(row.value),
            (0, _) => Ok(()),
            (flags, _) => damaged(format!("a row has the flags {flags}")),
        }
    }

    /// Takes the pages of a list of free pages.
    fn free(&mut self, list: &[u8]) -> Result<()> {
        let listed = |index: usize| u64_at(list, 8 * index);
        let count = listed(0).and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        if count > list.len() / 8 {
            return damaged(format!("a list of free pages of {} bytes has {count} pages", list.len()));
        }
        (1..=count).try_for_each(|index| self.take(listed(index).unwrap_or(NOWHERE), 1))
    }

    /// Notes that these pages are used here.
    fn take(&mut self, first: u64, count: u64) -> Result<()> {
        let after = first.saturating_add(count);
        let range = usize::try_from(first).ok().zip(usize::try_from(after).ok());
        let Some(pages) = range.and_then(|(first, after)| self.used.get_mut(first..after)) else {
            return damaged(format!("page {first} is named, the last is {}", self.meta.last_page));
        };
        if pages.iter().any(|used| *used) {
            return damaged(format!("page {first} is in two places"));
        }
        pages.fill(true);
        Ok(())
    }

    fn read(&mut self, number: u64, count: u64) -> Result<Vec<u8>> {
        let size = u64::from(self.meta.page_size);
        let mut page = vec![0; usize::try_from(count.saturating_mul(size)).unwrap_or(usize::MAX)];
        let read = self.file.seek(SeekFrom::Start(number * size)).and_then(|_| self.file.read_exact(&mut page));
        read.map_err(|error| StoreError::Busy(format!("reading page {number}: {error}")))?;
        if u64_at(&page, 0) != Some(number) {
            return damaged(format!("page {number} says that it is another"));
        }
        Ok(page)
    }
}

fn short(page: &[u8], at: usize) -> Result<u16> {
    u16_at(page, at).ok_or_else(|| StoreError::Corrupted("a page ends early".to_owned()))
}

impl Found {
    /// Takes the next key; whether it is in order. A separator is not the key of a row: the next may equal it.
    fn take_key(&mut self, key: &[u8], kind: Kind, separator: bool) -> bool {
        let order = match kind {
            Kind::Free => u64_at(key, 0).cmp(&u64_at(&self.key, 0)),
            Kind::Main | Kind::Rows => key.cmp(&self.key),
        };
        let in_order = order.is_gt() || (self.may_equal && order.is_eq());
        self.key.clear();
        self.key.extend_from_slice(key);
        self.may_equal = separator;
        in_order
    }
}

/// A row of a page.
struct Row<'p> {
    /// The length of the value; of a branch, the lower part of the page below.
    number: u32,
    flags: u16,
    key: &'p [u8],
    value: &'p [u8],
}

impl<'p> Row<'p> {
    fn parse(page: &'p [u8], at: usize, upper: usize, branch: bool) -> Option<Self> {
        let (number, flags, key) = (u32_at(page, at)?, u16_at(page, at + 4)?, usize::from(u16_at(page, at + 6)?));
        let value = match flags {
            _ if branch => 0,
            ON_PAGES => 8,
            _ => usize::try_from(number).ok()?,
        };
        let content = page.get(at + ROW_HEAD..)?;
        let (key, rest) = content.split_at_checked(key)?;
        let row = Self { number, flags, key, value: rest.get(..value)? };
        (at >= upper).then_some(row)
    }
}
