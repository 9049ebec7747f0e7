//! Files: where a store is, who may open it, and how what is written gets its name.

pub(crate) mod backup;
pub(crate) mod file_id;
pub(crate) mod folders;
pub(crate) mod foreign;
pub(crate) mod install;
pub(crate) mod lock;
pub(crate) mod marker;
pub(crate) mod names;
pub(crate) mod occupancy;
pub(crate) mod opening;
pub(crate) mod place;
pub(crate) mod slots;
pub(crate) mod staging;
pub mod system;
pub(crate) mod watch;
