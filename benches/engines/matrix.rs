//! What is measured: the cells of the matrix, and the choice of them that runs without being asked for more.

use std::fmt;

use slipstream_benches::engines::{BATCHES, FAN_OUTS};

/// Bytes of a message's value.
const SIZES: [usize; 2] = [256, 4096];

/// What a relay has its store do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Takes a batch in.
    Record,
    /// Takes a batch in and acknowledges an earlier one in one commit; purges now and then.
    RecordAcknowledge,
    /// Reads one page, of as many messages as a batch has, of a peer's backlog.
    CatchUp,
    /// Redrives a batch of dead letters.
    Redrive,
    /// Forgets a batch that was settled: messages, identities and traces.
    Purge,
    /// As record and acknowledge, and another peer reads a page meanwhile; it takes as long as the longer of both.
    Mixed,
}

impl Workload {
    const ALL: [Self; 6] =
        [Self::Record, Self::RecordAcknowledge, Self::CatchUp, Self::Redrive, Self::Purge, Self::Mixed];
}

/// What is in the store, and what comes into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Bytes of a message's value.
    pub(crate) value_bytes: usize,
    /// Whether a peer that is away has a long backlog.
    pub(crate) is_pending: bool,
}

impl Contents {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let pending =
            SIZES.into_iter().flat_map(|value_bytes| [false, true].map(|is_pending| (value_bytes, is_pending)));
        pending.map(|(value_bytes, is_pending)| Self { value_bytes, is_pending })
    }
}

/// One measurement of every engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) workload: Workload,
    pub(crate) contents: Contents,
    /// Messages of a batch.
    pub(crate) batch: u64,
    /// Peers that a message goes to.
    pub(crate) fan_out: usize,
}

impl Cell {
    /// The whole matrix. A backlog is one peer's, so catching up has no fan-out.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of = |contents, workload| {
            let cells = FAN_OUTS.into_iter().flat_map(|fan_out| BATCHES.map(|batch| (fan_out, batch)));
            cells.map(move |(fan_out, batch)| Self { workload, contents, batch, fan_out })
        };
        let cells = Contents::all()
            .flat_map(move |contents| Workload::ALL.into_iter().flat_map(move |workload| of(contents, workload)));
        cells.filter(|cell| cell.workload != Workload::CatchUp || cell.fan_out == 1)
    }

    /// Whether it is measured without being asked for the whole matrix: every workload on an empty store, what differs
    /// with larger messages, and what could differ with many of them.
    pub(crate) fn is_chosen(&self) -> bool {
        let Self { workload, contents: Contents { value_bytes, is_pending }, batch, fan_out } = *self;
        match (workload, value_bytes, is_pending, fan_out) {
            (Workload::RecordAcknowledge, 256, false, 1) => true,
            (Workload::Record, 256, false, 1) => batch != 16,
            (Workload::RecordAcknowledge, 256, false, _) => matches!(batch, 16 | 256),
            (Workload::RecordAcknowledge, 256, true, 1) | (Workload::RecordAcknowledge, 4096, false, 1) => {
                matches!(batch, 16 | 256)
            }
            (Workload::Record | Workload::RecordAcknowledge, 256, _, 10) => batch == 256,
            (_, 256, _, 1) | (Workload::Record | Workload::CatchUp | Workload::Mixed, 4096, false, 1) => batch == 256,
            _ => false,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workload = match self.workload {
            Workload::Record => "record",
            Workload::RecordAcknowledge => "record and acknowledge",
            Workload::CatchUp => "catch-up",
            Workload::Redrive => "redrive",
            Workload::Purge => "purge",
            Workload::Mixed => "mixed",
        };
        let Contents { value_bytes, is_pending } = self.contents;
        let store = if is_pending { "pending" } else { "empty" };
        write!(f, "{workload}, {value_bytes} B, batch {}, fan-out {}, {store}", self.batch, self.fan_out)
    }
}
