//! What `tests/tls.rs` shows, by subject.

mod files;
mod links;
mod meshes;
mod reloads;
mod words;
