//! Everything that happened to a disk, from which the disk after a power cut at any time is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::image::{Change, Image, Node, Number};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// What becomes of changes that were not synced before the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Unsynced {
    /// They are all lost.
    Lost,
    /// Some survive, whatever their order, and the last write that does may be torn; by this seed. Names survive in their
    /// order, as in a journal.
    Some(u64),
}

/// What is not durable yet of each folder and file, with its place in the log.
type Pending<'l> = BTreeMap<Number, Vec<(usize, &'l Change)>>;

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

    /// What is on the disk if the power is cut after so many changes.
    pub(super) fn cut(&self, after: usize, unsynced: Unsynced) -> Image {
        let mut image = self.base.clone();
        let mut pending = Pending::default();
        for (at, change) in self.changes[..after].iter().enumerate() {
            match change {
                Change::Sync(number) => sync(&mut image, &mut pending, *number),
                Change::Forget(number) => {
                    let left = pending.entry(*number).or_default();
                    left.retain(|(_, change)| !matches!(change, Change::Write { .. }));
                }
                _ => {
                    image.born(change);
                    for number in change.touches() {
                        pending.entry(number).or_default().push((at, change));
                    }
                }
            }
        }
        if let Unsynced::Some(seed) = unsynced {
            survive(&mut image, pending, &mut fastrand::Rng::with_seed(seed));
        }
        image.drop_nameless();
        image
    }
}

/// Makes what is pending of one folder or file durable. No filesystem leaves a folder in two places: with one of two
/// folders that exchanged what is in them, or between which a folder was moved, the other is synced.
fn sync(image: &mut Image, pending: &mut Pending<'_>, number: Number) {
    for (_, change) in pending.remove(&number).into_iter().flatten() {
        let in_both = match change {
            Change::Exchange { .. } => true,
            Change::Rename { number, .. } => matches!(image.nodes.get(number), Some(Node::Folder(_))),
            _ => false,
        };
        if in_both {
            change.touches().filter(|other| *other != number).for_each(|other| sync(image, pending, other));
        }
        image.apply(change, number);
    }
}

/// Has some of the changes reach the disk.
fn survive(image: &mut Image, pending: Pending<'_>, chance: &mut fastrand::Rng) {
    let share = [0.2, 0.5, 0.8, 1.0][chance.usize(..4)];
    let mut names = BTreeMap::new();
    for (number, changes) in pending {
        if changes.iter().all(|(_, change)| change.is_of_names()) {
            names.extend(changes.into_iter().map(|(at, change)| ((at, number), change)));
            continue;
        }
        let mut kept: Vec<Change> =
            changes.iter().filter(|_| chance.f64() < share).map(|(_, change)| (*change).clone()).collect();
        if chance.bool() {
            tear(&mut kept, chance);
        }
        kept.iter().for_each(|change| image.apply(change, number));
    }
    let places: BTreeSet<usize> = names.keys().map(|(at, _)| *at).collect();
    let end = places.into_iter().nth(chance.usize(..=names.len())).unwrap_or(usize::MAX);
    names.iter().take_while(|((at, _), _)| *at < end).for_each(|((_, number), change)| image.apply(change, *number));
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
