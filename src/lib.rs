//! Slipstream: a durable WebSocket message relay between servers in several clouds.
//!
//! A JSON message that comes in is checked, made durable together with a delivery for every peer that matches, and
//! only then confirmed; it is forwarded, and each delivery is tracked until its peer acknowledges it.
//!
//! This is the program that operators run. The relay is the crate `slipstream-relay`, and the store's contract is
//! `slipstream-store`; both are re-exported here. `docs/architecture.md` shows how a message goes through.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`cli`] | the commands, a file each |
//! | [`config`] | settings: typed, checked, all faults at once |
//! | [`backend`] | configuration to open store; the only place that knows engines |
//! | [`admin`] | HTTP for operators: metrics, health, the API |
//! | [`offline`] | work on a whole store that no relay has open |
//! | [`logging`] | log lines and their switches |
//! | `certificates` | the certificates in force: loaded, watched, reloaded |
//! | `credentials` | whom the listener lets in |
//! | `reload` | files that are read again when they change |
//! | `disk` | how much room is left where the store is |
//!
//! # Embedding
//!
//! A [`Relay`] runs inside any tokio program, over any [`store::MessageStore`]; see `examples/embed`; it needs the relay's crate and one engine, not this one.

pub mod admin;
pub mod backend;
mod certificates;
pub mod cli;
pub mod config;
mod credentials;
mod disk;
mod http;
pub mod logging;
pub mod offline;
mod otlp;
mod reload;

pub use slipstream_relay::{
    BUCKETS, METRICS, Relay, RelayError, Settings, client, clock, descriptors, dial, link, listen, protocol, relay,
    store, tls,
};
