//! The wire protocol, as far as one text frame goes: what may stand in it, what it says, and how the relay writes its
//! own. `docs/protocol.md` is the reference.
//!
//! Everything here is pure: no I/O, no clock, no randomness, no tokio. What a message means for peers and stores is
//! decided elsewhere.
//!
//! | file | subject |
//! | --- | --- |
//! | `decode` | from a text to an [`Incoming`] or a [`Refusal`] |
//! | `fields` | one pass over the JSON object: the field names, and where each value stands in the text |
//! | `depth` | how deep JSON is nested |
//! | `read` | from the JSON text of one field to its value, or to the [`Refusal`]'s reason |
//! | `envelope` | a message that keeps all the rules |
//! | `encode` | the outgoing text of a message |
//! | `outgoing` | whom an outgoing text is for |
//! | `path`, `stamp` | the two fields that relays write for each other |
//! | `ack`, `nack` | the answers, both ways |
//! | `refusal` | the codes, and why a text was not taken |
//! | `write` | pieces of JSON |

mod ack;
mod decode;
mod depth;
mod encode;
mod envelope;
mod fields;
mod nack;
mod outgoing;
mod path;
mod read;
mod refusal;
mod stamp;
mod write;

#[cfg(test)]
mod tests;

pub use ack::{Ack, ids_within, write_ack, write_ack_batch};
pub use decode::{Incoming, Sender, decode};
pub use depth::DEFAULT_MAX_DEPTH;
pub use envelope::{Envelope, sets_a_key};
pub use nack::{Nack, write_nack};
pub use outgoing::{path, targeted_instances};
pub use path::max_path;
pub use refusal::{Code, Refusal};
