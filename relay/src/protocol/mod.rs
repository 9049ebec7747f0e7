//! The wire protocol, as far as one text frame goes: what may stand in it, what it says, and how the relay writes its
//! own. `docs/protocol.md` is the reference.
//!
//! Everything here is pure: no I/O, no clock, no randomness, no tokio. What a message means for peers and stores is
//! decided elsewhere.
//!
//! | file | subject |
//! | --- | --- |
//! | `decode` | from a text to an [`Incoming`] or a [`Rejection`] |
//! | `fields/` | the fields of the JSON object, from their names to the values that stand in them |
//! | `envelope` | a message that keeps all the rules |
//! | `encode` | the outgoing text of a message |
//! | `outgoing` | whom an outgoing text is for |
//! | `path`, `stamp` | the two fields that relays write for each other |
//! | `trace` | `traceparent`, which the relay reads and passes on |
//! | `ack`, `nack` | the answers, both ways |
//! | `rejection` | the codes, and why a text was not taken |
//! | `write` | pieces of JSON |

mod ack;
mod decode;
mod encode;
mod envelope;
mod fields;
mod nack;
mod outgoing;
mod path;
mod rejection;
mod stamp;
mod trace;
mod write;

#[cfg(test)]
mod tests;

pub use ack::{Ack, ids_within, write_ack, write_ack_batch};
pub use decode::{Incoming, decode, decode_outgoing};
pub use envelope::{Envelope, Sender, sets_a_key};
pub use fields::DEFAULT_MAX_DEPTH;
pub use nack::{Nack, write_nack};
pub use outgoing::{path, targeted_instances, targeted_tags, trace_context};
pub use path::max_path;
pub use rejection::{Code, Rejection};
pub use trace::{SpanId, TraceContext, TraceId};
