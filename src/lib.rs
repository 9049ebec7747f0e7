//! Slipstream: a durable WebSocket message relay between servers in several clouds.
//!
//! A JSON message that comes in is checked, made durable together with a delivery for every peer that matches, and
//! only then confirmed; it is forwarded, and each delivery is tracked until its peer acknowledges it.
//!
//! # The architecture on one screen
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`protocol`] | what is on the wire: envelopes, ACK, NACK. Pure. |
//! | [`link`] | one WebSocket with a peer: handshake, frames, reader, writer, keepalive |
//! | [`listen`], [`dial`] | how links begin |
//! | [`relay`] | the stages: router, committer, dispatcher, and the supervisor and janitor beside them |
//! | [`client`] | a small client, which the commands, the tests and the benches use |
//! | [`config`] | settings: typed, checked, all faults at once |
//! | [`admin`] | HTTP for operators: metrics, health, the API |
//! | [`offline`] | work on a whole store that no relay has open |
//! | [`backend`] | configuration to open store; the only place that knows engines |
//! | [`mod@bench`] | load on a running relay |
//! | [`cli`] | the commands |
//! | `disk`, `descriptors` | how much room is left where the store is; which files are kept back |
//! | [`clock`] | time and randomness, so that a simulation can own them |
//!
//! The store is a crate of its own, `slipstream-store`, re-exported as [`store`]; the engines are others.
//!
//! # Embedding
//!
//! A [`Relay`] runs inside any tokio program, over any [`store::MessageStore`]; see `examples/embed.rs`.

pub mod admin;
pub mod backend;
pub mod bench;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
mod descriptors;
pub mod dial;
mod disk;
pub mod link;
pub mod listen;
pub mod logging;
mod metrics;
pub mod offline;
pub mod protocol;
pub mod relay;

pub use metrics::BUCKETS;
pub use relay::{Relay, RelayError, Settings};
pub use slipstream_store as store;
