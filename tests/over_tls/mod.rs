//! What `tests/tls.rs` shows, by subject.

mod links;
mod meshes;
mod reloads;
mod warnings;
mod words;
