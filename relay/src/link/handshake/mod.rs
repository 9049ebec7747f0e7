//! How a link begins: the HTTP exchange, and what its two ends say of themselves in it.
//!
//! | file | subject |
//! | --- | --- |
//! | `upgrade` | the exchange, both sides |
//! | `hello`, `headers` | who a peer says it is, and where that stands |
//! | `subprotocol`, `secret` | the subprotocols that a client may name, and the credential among them |
//! | `refusal` | why a peer gets no link |

mod headers;
mod hello;
mod refusal;
mod secret;
mod subprotocol;
mod upgrade;

pub use hello::{Announced, Hello, Welcome};
pub use refusal::Refusal;
pub use secret::Secret;
pub(crate) use upgrade::accept;
pub use upgrade::{HandshakeError, Offer, RetryAfter, offer};
