//! Disks that forget what was not synced.
//!
//! `image` is a disk's content and `log` its history; `disk` is in use, with the faults that it is to meet. `filesystem`
//! shows it to Linux, in the process that is `server`; `mounted` is what a test sees of it, in the mounts that are
//! `apart`.

pub(super) mod apart;
pub(super) mod disk;
mod filesystem;
mod image;
pub(super) mod log;
pub(super) mod mounted;
pub(super) mod server;
