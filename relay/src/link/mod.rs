//! One WebSocket with a peer: the handshake, the frames, the reader, the writer, the keepalive.
//!
//! What a text means is not decided here: the reader hands it to an [`Inbox`] and waits until that has taken it, the
//! writer asks an [`Outbound`] for what is to be sent whenever it has room. Between the two nothing is queued but one
//! batch of bytes. Who dials whom, and who is let in, is decided in `dial/`, `client.rs` and `listen/`.
//!
//! | file | subject |
//! | --- | --- |
//! | `stream`, `target` | the byte streams that a link runs over, who makes them, and where they lead |
//! | `ahead`, `sealed` | such a stream of which something was read already, and one in TLS |
//! | `handshake/` | the HTTP exchange, both sides: who a peer says it is, and why it may not be here |
//! | `frames` | outgoing frames, gathered into one write |
//! | `assembler` | incoming frames to whole texts |
//! | `reader`, `writer` | the two halves of a running link |
//! | `silence`, `sent` | how long nothing came, and what became of what was written |
//! | `keepalive` | whether the peer lives |
//! | `awake` | waiting in time that this process saw pass |
//! | `connect` | how a link begins from the end that dials |
//! | `shown` | what a dialled server was shown, which nothing that comes from there may tell |
//! | `control`, `close` | how a link is asked to end, and how it ended |
//! | `run` | the halves together |

mod ahead;
mod assembler;
pub(crate) mod awake;
mod close;
mod connect;
mod control;
mod frames;
mod handshake;
mod keepalive;
mod limits;
mod reader;
mod run;
mod sealed;
mod sent;
mod shown;
mod silence;
mod stream;
mod target;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use ahead::Ahead;
pub use close::{CloseCode, Ended};
pub use connect::{ConnectError, Connected, connect};
pub use control::LinkControl;
pub use frames::{FrameBatch, Role};
pub(crate) use handshake::accept;
pub use handshake::{Announced, HandshakeError, Hello, Offer, Refusal, RetryAfter, Secret, Welcome, offer};
pub use limits::LinkLimits;
pub use reader::Inbox;
pub use run::run;
pub(crate) use sealed::Sealed;
pub use stream::{Connector, ReadHalf, SendHalf, Socket, Stream, TcpConnector, WriteHalf};
pub use target::{Target, Transport};
pub use writer::Outbound;
