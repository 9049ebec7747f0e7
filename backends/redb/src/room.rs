//! Whether there is room for a commit. redb refuses everything after a write that finds the disk full, so it is asked
//! for before.

use slipstream_embedded::{Table, Write};
use slipstream_store::{Result, StoreError};

/// What is left for settling and purging when messages are refused already, in bytes.
const RESERVE: u64 = 32 << 20;

/// A file is counted again when this part of it was freed.
const WORTH_COUNTING: u64 = 8;

/// What a row may cost beside its bytes: the pages on the way to it, which are written anew.
const A_ROW: u64 = 16 << 10;

/// The room on the file system and within the file.
#[derive(Debug)]
pub(crate) struct Room {
    /// Free pages within the file that are not promised to a commit, in bytes, as they were counted last.
    within: u64,
    /// How much is to be freed before they are counted again, since counting reads the whole file.
    until_counted: u64,
}

impl Room {
    /// Nothing is known yet of what is free within the file.
    pub(crate) fn new() -> Self {
        Self { within: 0, until_counted: 0 }
    }

    /// Returns `Full` if `free` bytes on the file system, and what is free within the file, may not do for these
    /// writes. Only if the first do not, `count` finds the second, and the size of the file. Other programs may
    /// still take the room before the commit does.
    pub(crate) fn admit(
        &mut self,
        free: u64,
        writes: &[Write<'_>],
        count: impl FnOnce() -> Result<(u64, u64)>,
    ) -> Result<()> {
        let (takes, reserve) = needed(writes);
        let needed = takes.saturating_add(reserve);
        if free >= needed {
            return Ok(());
        }
        if free.saturating_add(self.within) < needed && self.until_counted == 0 {
            let (within, size) = count()?;
            (self.within, self.until_counted) = (within, size / WORTH_COUNTING);
        }
        let there = free.saturating_add(self.within);
        if there < needed {
            return Err(StoreError::Full(format!("{there} bytes are free where this commit may need {needed}")));
        }
        self.within = self.within.saturating_sub(takes);
        Ok(())
    }

    /// Notes that a commit has removed so many bytes of messages.
    pub(crate) fn gain(&mut self, freed: u64) {
        self.until_counted = self.until_counted.saturating_sub(freed);
    }
}

/// What these writes may take, and what must be left besides, in bytes.
fn needed(writes: &[Write<'_>]) -> (u64, u64) {
    let adds = writes.iter().any(|write| matches!(write, Write::Put { table: Table::Packs, .. }));
    (writes.iter().map(takes).fold(0, u64::saturating_add), if adds { RESERVE } else { 0 })
}

/// What a write may take: a value can end up in pages of which it fills a third.
fn takes(write: &Write<'_>) -> u64 {
    let bytes = |length: usize| u64::try_from(length).unwrap_or(u64::MAX).saturating_mul(3);
    match write {
        Write::Put { value, .. } => bytes(value.len()).saturating_add(A_ROW),
        Write::Remove { .. } | Write::RemoveUnpacked { .. } => A_ROW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: Write<'static> = Write::Put { table: Table::Packs, key: &[0; 8], value: &[0; 1000] };

    const SETTLE: Write<'static> = Write::Put { table: Table::Owed, key: &[0; 16], value: &[0; 129] };

    #[test]
    fn messages_are_refused_while_there_is_still_room_to_settle() {
        let mut room = Room::new();
        assert_eq!(room.admit(RESERVE + (1 << 20), &[MESSAGES, SETTLE], || unreachable!()), Ok(()));
        assert!(matches!(room.admit(RESERVE, &[MESSAGES, SETTLE], || Ok((0, 1 << 20))), Err(StoreError::Full(_))));
        assert_eq!(room.admit(1 << 20, &[SETTLE], || unreachable!()), Ok(()));
        assert!(matches!(room.admit(1 << 10, &[SETTLE], || unreachable!()), Err(StoreError::Full(_))));
    }

    #[test]
    fn what_is_free_within_the_file_is_counted_when_much_was_freed_and_used_up() {
        let mut room = Room::new();
        assert!(matches!(room.admit(0, &[MESSAGES], || Ok((RESERVE, 8000))), Err(StoreError::Full(_))));
        room.gain(999);
        assert!(room.admit(0, &[MESSAGES], || unreachable!()).is_err(), "not worth counting yet");
        room.gain(1);
        let takes = needed(&[MESSAGES]).0;
        assert_eq!(room.admit(0, &[MESSAGES], || Ok((RESERVE + 3 * takes, 8000))), Ok(()));
        assert_eq!(room.admit(0, &[MESSAGES, MESSAGES], || unreachable!()), Ok(()));
        assert!(matches!(room.admit(0, &[MESSAGES], || unreachable!()), Err(StoreError::Full(_))));
    }
}
