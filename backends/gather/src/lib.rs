//! A VFS of SQLite that writes the frames of a commit to the log at once.
//!
//! SQLite writes each page that a commit has changed to its write-ahead log as a frame, with two system calls: 24 bytes
//! of head, and the page. This VFS holds them back and writes them together, right before SQLite syncs the log. Whatever
//! else SQLite asks of a file goes straight to the VFS below.
//!
//! It is sound for a connection with `PRAGMA synchronous = FULL` (or `EXTRA`) alone, from before its first commit. Then
//! SQLite syncs the log *before* it tells the index of the log of a commit, and other connections read only what the
//! index tells of. With `NORMAL` and `OFF` there is no sync, and they would look for frames that are still held back.
//! They themselves need not use this VFS, and those that only read should not. `PRAGMA locking_mode = EXCLUSIVE` is not
//! for such a connection either: after a failed write it waits for the lock of the log to be given back.
//!
//! Where SQLite could notice the delay (read from the source of SQLite 3.54.1, and tested):
//!
//! - It reads a frame back (a transaction that outgrew the cache): what is held back is written first.
//! - A rollback leaves frames behind that nobody wants. They are written before the lock on the log's end is given back,
//!   so that they never come down on the frames of another connection.
//! - The delayed write fails: the call that wanted it done (mostly the sync) returns the error, `SQLITE_FULL` or
//!   `SQLITE_IOERR_WRITE` as the write would have, and every later one that needs those bytes does too, until the
//!   transaction is rolled back. It cannot commit. The next one writes over the same place.
//! - On a disk where a torn write may harm what stands beside it (no `SQLITE_IOCAP_POWERSAFE_OVERWRITE`), SQLite writes
//!   after the sync, too. Then nothing is held back.
//!
//! It is a crate of its own because it cannot be written without unsafe code. `sqlite-plugin`, `sqlite-vfs` and
//! `rsqlite-vfs` are for writing a whole VFS, with locks and shared memory; none puts one over SQLite's own.

mod gathered;
mod log;
mod main_file;
mod vfs;

pub use gathered::LIMIT;
pub use vfs::over;
