//! Rows: the tables by name, their keys and values, and the bytes of each. Nothing here keeps any state.

pub(crate) mod bits;
pub(crate) mod codec;
pub(crate) mod dead_counts;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod owned;
pub(crate) mod pack;
pub(crate) mod packed;
pub(crate) mod read;
pub(crate) mod runs;
pub(crate) mod table;
