//! The relay of Slipstream, for any program to embed: a JSON message that comes in over a WebSocket link is checked, made
//! durable together with a delivery for every peer that matches, and only then confirmed; it is forwarded, and each
//! delivery is tracked until its peer acknowledges it.
//!
//! Here live no flags, no files of settings, no pages for operators and no engine: those are the program's. The store is
//! any [`store::MessageStore`].
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`protocol`] | what is on the wire: envelopes, ACK, NACK. Pure. |
//! | [`link`] | one WebSocket with a peer: handshake, frames, reader, writer, keepalive |
//! | [`listen`], [`dial`] | how links begin |
//! | [`relay`] | the stages: router, committer, dispatcher; beside them the peers, the links and the janitor |
//! | [`tls`] | certificates, keys, and what is wrong with them |
//! | [`client`] | a small client, which commands, tests and benches use |
//! | [`clock`] | time and randomness, so that a simulation can own them |
//! | [`descriptors`] | which files are kept back from links |

pub mod client;
pub mod clock;
pub mod descriptors;
pub mod dial;
pub mod link;
pub mod listen;
mod metrics;
pub mod protocol;
pub mod relay;
pub mod tls;

pub use metrics::{BUCKETS, METRICS};
pub use relay::{Relay, RelayError, Settings};
pub use slipstream_store as store;
