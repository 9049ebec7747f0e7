//! The store: its threads and queues, and whole stores as the commands on them see them.

pub(crate) mod copy;
pub(crate) mod embedded;
pub(crate) mod offline;
pub(crate) mod opened;
pub(crate) mod readers;
pub(crate) mod upgrade;
pub(crate) mod writer;
