//! What is on a disk: folders and files by number, and the changes that can be made to them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;

/// The number of a folder or a file, which never changes and is never given twice.
pub(super) type Number = u64;

/// The folder at the top.
pub(super) const ROOT: Number = 1;

/// Whether something is a folder or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Folder(BTreeMap<OsString, Number>),
    File(Vec<u8>),
}

impl Node {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Folder => Self::Folder(BTreeMap::new()),
            Kind::File => Self::File(Vec::new()),
        }
    }
}

/// One change to a disk, or the syncing of one folder or file.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Create {
        parent: Number,
        name: OsString,
        number: Number,
        kind: Kind,
    },
    Write {
        number: Number,
        offset: usize,
        data: Arc<[u8]>,
    },
    Resize {
        number: Number,
        length: usize,
    },
    Rename {
        from: (Number, OsString),
        to: (Number, OsString),
        number: Number,
    },
    /// Two names change what they are for.
    Exchange {
        one: (Number, OsString),
        other: (Number, OsString),
        /// What `one` and `other` were for.
        were: [Number; 2],
    },
    Remove {
        parent: Number,
        name: OsString,
    },
    Sync(Number),
    /// A sync that failed, after which what was written counts as written and never will be.
    Forget(Number),
}

impl Change {
    /// The folders and files that this change is a part of.
    pub(super) fn touches(&self) -> impl Iterator<Item = Number> {
        let (one, other) = match self {
            Self::Create { parent, .. } | Self::Remove { parent, .. } => (*parent, None),
            Self::Write { number, .. } | Self::Resize { number, .. } => (*number, None),
            Self::Rename { from: one, to: other, .. } | Self::Exchange { one, other, .. } => {
                (one.0, Some(other.0).filter(|other| *other != one.0))
            }
            Self::Sync(number) | Self::Forget(number) => (*number, None),
        };
        [Some(one), other].into_iter().flatten()
    }

    /// Whether it changes what is in a folder.
    pub(super) const fn is_of_names(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Rename { .. } | Self::Exchange { .. } | Self::Remove { .. })
    }
}

/// The whole of a disk at one time.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) nodes: BTreeMap<Number, Node>,
}

impl Default for Image {
    fn default() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::new(Kind::Folder))]) }
    }
}

impl Image {
    /// Makes the part of the change that happens to this folder or file.
    pub(super) fn apply(&mut self, change: &Change, at: Number) {
        self.born(change);
        match (self.nodes.get_mut(&at), change) {
            (Some(Node::Folder(names)), Change::Create { name, number, .. }) => {
                names.insert(name.clone(), *number);
            }
            (Some(Node::Folder(names)), Change::Remove { name, .. }) => {
                names.remove(name);
            }
            (Some(Node::Folder(names)), Change::Rename { from, to, number }) => {
                if from.0 == at {
                    names.remove(&from.1);
                }
                if to.0 == at {
                    names.insert(to.1.clone(), *number);
                }
            }
            (Some(Node::Folder(names)), Change::Exchange { one, other, were }) => {
                for (name, becomes) in [(one, were[1]), (other, were[0])] {
                    if name.0 == at {
                        names.insert(name.1.clone(), becomes);
                    }
                }
            }
            (Some(Node::File(bytes)), Change::Write { offset, data, .. }) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
            (Some(Node::File(bytes)), Change::Resize { length, .. }) => bytes.resize(*length, 0),
            _ => {}
        }
    }

    /// What a change creates is there from then on, though it may have no name yet that lasts.
    pub(super) fn born(&mut self, change: &Change) {
        if let Change::Create { number, kind, .. } = change {
            self.nodes.entry(*number).or_insert_with(|| Node::new(*kind));
        }
    }

    /// Drops what no name leads to.
    pub(super) fn drop_nameless(&mut self) {
        let (mut found, mut next) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(number) = next.pop() {
            if let Some(Node::Folder(names)) = self.nodes.get(&number) {
                next.extend(names.values().copied().filter(|number| found.insert(*number)));
            }
        }
        self.nodes.retain(|number, _| found.contains(number));
    }
}
