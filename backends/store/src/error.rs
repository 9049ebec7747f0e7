//! What can go wrong in a store. There are few errors, and each says what the caller does next.

use std::path::PathBuf;

/// The result of a call on a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a store did not do what it was asked to. The text is for a person; the variant is for the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was done, and the same call may succeed soon. Try again after a pause.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// Nothing was done: the store is not to be had now, for a reason that a person must look at, such as that its files
    /// were moved away. Take no new messages. The same call may succeed once that was seen to.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// Nothing was done: there is no room. Take no new messages; settling and purging may still work and make room.
    #[error("the store is full: {0}")]
    Full(String),
    /// The batch was committed or it was not. Commit the very same batch again: what was committed then answers
    /// `Duplicate` or `Unchanged` (clause C3).
    #[error("it is unknown whether the store committed: {0}")]
    Indeterminate(String),
    /// The store can no longer be trusted to write, for example because a sync failed. It refuses everything from
    /// now on. Stop, and open it anew.
    #[error("the store refuses further work: {0}")]
    Poisoned(String),
    /// What is on the medium is not what was written. Do not write; have a person look.
    #[error("the store is damaged: {0}")]
    Corrupted(String),
    /// Another process has the store open (clause C11). Nothing was touched.
    #[error("{path} is in use by another process", path = .0.display())]
    InUse(PathBuf),
    /// The system does not let the store be used where it is: a missing right, a read-only filesystem, something in the way.
    /// Nothing was done. The text says what a person can change; until then the same call fails again.
    #[error("{0}")]
    Inaccessible(String),
    /// The engine cannot do this, or the store was written in a format that this program does not know.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Nothing was done: another process that shares the store has changed the roster (clause S2). Read it anew, route the
    /// messages by it, and commit them.
    #[error("the roster was changed by another process")]
    Outdated,
    /// Nothing was done, and nothing will be: the processes that share the store took this one for dead (clause S5). Stop
    /// serving, and open it anew.
    #[error("this process was taken for dead by those that share the store, and was shut out")]
    Retired,
    /// The store was closed. Nothing was done.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the very same call is worth repeating on this open store.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Unavailable(_) | Self::Full(_) | Self::Indeterminate(_))
    }
}
