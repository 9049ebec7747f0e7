//! An example of a store for Slipstream: everything in memory, and every change in one journal file.
//!
//! It is a whole [`MessageStore`](slipstream_store::MessageStore), passes the conformance suite, and is written to be
//! read. `docs/writing-a-store.md` goes through it piece by piece; `README.md` says what it is good for and what not.
//!
//! # One way through
//!
//! A call goes from the [store](JournalStore) to its thread, which holds the *keeper*. The keeper writes what is to
//! be done to the *journal*, has it synced, and only then does it to the *state*. Opening replays the journal.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `store.rs` | the trait, and the thread behind it |
//! | `keeper.rs` | first the journal, then the state |
//! | `state/` | what every operation does, on ordered maps; no file and no failure in it |
//! | `journal.rs`, `medium.rs` | the open file: appending, syncing, failing |
//! | `image.rs` | writing a whole state: new journals, compaction, backups |
//! | `frame.rs`, `entry.rs`, `codec.rs` | the format |

mod codec;
mod entry;
mod frame;
mod image;
mod journal;
mod keeper;
mod medium;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::Path;

use slipstream_store::StoreError;
pub use store::JournalStore;

/// What an error of a file means while nothing has been written yet.
fn fault(what: &str, path: &Path, error: &io::Error) -> StoreError {
    let text = format!("{what} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreError::Full(text),
        _ => StoreError::Busy(text),
    }
}
