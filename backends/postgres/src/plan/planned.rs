//! What a plan is.

use slipstream_store::Sequence;

use super::parameters::Parameters;

/// A batch, ready to be committed.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) parameters: Parameters<'a>,
    /// Where the outcome of each operation is found.
    pub(super) asked: Vec<Asked>,
}

/// Where the outcome of an operation is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// Nowhere: it named a sequence that is never given.
    Nothing,
    Record {
        at: usize,
        place: Option<(i32, i32)>,
    },
    Settle {
        group: usize,
        index: usize,
        late: Option<Sequence>,
    },
    Attempt {
        at: usize,
    },
    Rare {
        at: usize,
    },
    Redrive {
        at: usize,
        pack: i32,
    },
    Import {
        at: usize,
        pack: i32,
    },
}
