//! What goes between a worker and its starter, a line of JSON each.

use serde::{Deserialize, Serialize};

use super::procfs::Memory;

/// What a worker is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Record and acknowledge in batches, for so long.
    Commits {
        /// Messages of a batch.
        batch: u64,
        /// Peers that each message goes to.
        fan_out: usize,
        /// For how long, at least; two commits at least.
        millis: u64,
    },
    /// Record, acknowledge and purge so many messages.
    TurnOver {
        /// How many.
        messages: u64,
    },
    /// Take in so many messages for a peer that is away. Each commit is answered by [`TaskResult::Committed`], the last by
    /// [`TaskResult::Filled`].
    Fill {
        /// How many.
        messages: u64,
    },
    /// Let the peer that is away read all that it is owed.
    CatchUp,
    /// Tell the memory.
    Memory,
}

/// What a worker answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TaskResult {
    /// The store is open. The first line.
    Opened {
        /// How long that took, in seconds.
        seconds: f64,
        /// How many deliveries are pending.
        pending: u64,
        /// What it guarantees, in words.
        guarantee: String,
        /// Whether that is no less than was asked for.
        is_as_asked: bool,
    },
    /// [`Task::Commits`] was done.
    Commits(Commits),
    /// [`Task::TurnOver`] was done.
    TurnedOver(TurnedOver),
    /// A commit of [`Task::Fill`] is durable.
    Committed {
        /// How many messages of the task there are.
        messages: u64,
    },
    /// [`Task::Fill`] was done.
    Filled(Filled),
    /// [`Task::CatchUp`] was done.
    CaughtUp {
        /// How many messages were read.
        messages: u64,
        /// How long that took.
        seconds: f64,
    },
    /// The memory, where the system tells.
    Memory(Option<Memory>),
    /// It cannot go on.
    Failed {
        /// Why.
        error: String,
    },
}

/// Commits of one size over a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Commits {
    /// Messages recorded, and as many acknowledged by each of their peers.
    pub messages: u64,
    /// How long the commits took.
    pub seconds: f64,
    /// The processor time meanwhile, with what making the messages takes.
    pub cpu_seconds: f64,
    /// Half of the commits took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 of a hundred took no longer.
    pub p99_ms: f64,
}

/// A turnover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnedOver {
    /// Messages that were recorded, acknowledged and purged.
    pub messages: u64,
    /// How long the commits and purges took.
    pub seconds: f64,
    /// Bytes on the disk after so many messages of this task.
    pub sizes: Vec<(u64, u64)>,
    /// Bytes written meanwhile, where the system tells.
    pub written: Option<u64>,
    /// Bytes of the texts.
    pub payload: u64,
}

/// Messages that were taken in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Filled {
    /// How many.
    pub messages: u64,
    /// How long the commits took.
    pub seconds: f64,
    /// Bytes that the store takes on the disk now.
    pub bytes: u64,
}
