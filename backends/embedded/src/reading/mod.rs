//! Reading: what the tables say, as of one commit. Nothing here waits for the writer, or changes anything.

pub(crate) mod check;
mod check_index;
pub(crate) mod exchange;
pub(crate) mod holdings;
pub(crate) mod journal;
pub(crate) mod pages;
pub(crate) mod trace;
