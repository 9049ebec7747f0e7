//! The steps of the statement.

use slipstream_store::{Result, StoreError};

/// A kind of step, as the statement numbers them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Settle = 1,
    Attempt = 2,
    Record = 3,
    Store = 4,
    Rare = 5,
}

/// A number of things in a batch as the database counts.
pub(super) fn count(number: usize) -> Result<i32> {
    i32::try_from(number).map_err(|_| StoreError::Unsupported("a batch of more than 2 GiB".to_owned()))
}
