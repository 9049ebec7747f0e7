//! The cases of the power-loss tests, by what goes wrong.

pub(super) mod bits;
pub(super) mod cuts;
pub(super) mod room;
pub(super) mod syncs;
