//! Everything that happened to a disk, from which the disk after a power cut at any time is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::image::{Change, Image, Number};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// What becomes of changes that were not synced before the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Unsynced {
    /// They are all lost.
    Lost,
    /// Some survive, whatever their order, and the last that does may be torn; by this seed. The names of one folder
    /// survive in their order, as in a journal.
    Some(u64),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    base: Image,
    changes: Vec<Change>,
}

impl Log {
    pub(super) fn new(base: Image) -> Self {
        Self { base, changes: Vec::new() }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What is on the disk where the power is cut after so many changes.
    pub(super) fn cut(&self, after: usize, unsynced: Unsynced) -> Image {
        let mut image = self.base.clone();
        let mut pending: BTreeMap<Number, Vec<&Change>> = BTreeMap::new();
        for change in &self.changes[..after] {
            match change {
                Change::Sync(number) => {
                    for change in pending.remove(number).into_iter().flatten() {
                        image.apply(change, *number);
                    }
                }
                Change::Forget(number) => {
                    let left = pending.entry(*number).or_default();
                    left.retain(|change| !matches!(change, Change::Write { .. }));
                }
                _ => {
                    image.born(change);
                    for number in change.touches() {
                        pending.entry(number).or_default().push(change);
                    }
                }
            }
        }
        if let Unsynced::Some(seed) = unsynced {
            survive(&mut image, &pending, &mut fastrand::Rng::with_seed(seed));
        }
        image.drop_nameless();
        image
    }
}

/// Has some of the changes reach the disk.
fn survive(image: &mut Image, pending: &BTreeMap<Number, Vec<&Change>>, chance: &mut fastrand::Rng) {
    let share = [0.2, 0.5, 0.8, 1.0][chance.usize(..4)];
    for (number, changes) in pending {
        let is_folder = !changes.iter().any(|change| matches!(change, Change::Write { .. } | Change::Resize { .. }));
        if is_folder {
            let kept = chance.usize(..=changes.len());
            changes[..kept].iter().for_each(|change| image.apply(change, *number));
            continue;
        }
        let mut kept: Vec<Change> =
            changes.iter().filter(|_| chance.f64() < share).map(|change| (*change).clone()).collect();
        if chance.bool() {
            tear(&mut kept, chance);
        }
        kept.iter().for_each(|change| image.apply(change, *number));
    }
}

/// Leaves only the first sectors of the last write.
fn tear(kept: &mut [Change], chance: &mut fastrand::Rng) {
    if let Some(Change::Write { offset, data, .. }) = kept.last_mut() {
        let sectors = (*offset + data.len()).div_ceil(SECTOR) - *offset / SECTOR;
        let end = (*offset / SECTOR + chance.usize(..sectors.max(1))) * SECTOR;
        let kept = end.saturating_sub(*offset).min(data.len());
        *data = Arc::from(&data[..kept]);
    }
}
