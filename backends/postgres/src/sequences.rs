//! Where a message stands: a pack, and its place in it.

use slipstream_store::{Result, Sequence, StoreError};

/// Most messages of a pack. It is in every sequence, so it never changes.
pub(crate) const PACK: u64 = 4096;

/// No pack is given a number from here on; the schema says so, too.
const LAST_PACK: i64 = 1 << 50;

/// The pack and the index of a sequence, or none where no store of this kind gives it.
pub(crate) fn place(sequence: Sequence) -> Option<(i64, usize)> {
    let before = sequence.get() - 1;
    let pack = i64::try_from(before / PACK).ok().filter(|&pack| pack < LAST_PACK)?;
    Some((pack, usize::try_from(before % PACK).ok()?))
}

/// The sequence of a place.
///
/// # Errors
/// `Corrupted` if there is no such sequence.
pub(crate) fn sequence(pack: i64, index: usize) -> Result<Sequence> {
    let number = pack
        .checked_mul(PACK.cast_signed())
        .and_then(|first| first.checked_add(i64::try_from(index).ok()?)?.checked_add(1));
    number.map_or_else(|| Err(StoreError::Corrupted(format!("{pack} is no pack"))), read)
}

/// A sequence that was read.
///
/// # Errors
/// `Corrupted` if it is none.
pub(crate) fn read(number: i64) -> Result<Sequence> {
    let sequence = u64::try_from(number).ok().and_then(Sequence::new);
    sequence.ok_or_else(|| StoreError::Corrupted(format!("{number} is no sequence")))
}

/// A sequence as the database has it.
pub(crate) fn number(sequence: Sequence) -> i64 {
    i64::try_from(sequence.get()).unwrap_or(i64::MAX)
}
