//! How links begin that others dial: accepts connections, runs the transport's handshake, answers the upgrade request,
//! and seats those who are admitted.
//!
//! Nothing here decides who a peer is or what follows: the first is the [`Authorizer`]'s, the second the
//! [`Admission`]'s. What an unknown peer can take is bounded: the number of its connections, the time of its handshake,
//! and the memory of its request.
//!
//! | file | subject |
//! | --- | --- |
//! | `listener` | where connections come from, and what their transport knows of the peer |
//! | `serve` | the loop that accepts |
//! | `linger` | parting from a peer that was told something |
//! | `tls` | a listener whose links are over TLS |
//! | `door` | one connection, from when it is accepted until its link runs, and the limits |
//! | `authorizer` | who checks credentials: who a peer is, and what it may send |
//! | `admission` | who gets a link |

mod admission;
mod authorizer;
mod door;
mod linger;
mod listener;
mod serve;
mod tls;

#[cfg(test)]
mod tests;

pub use admission::{Admission, Seat};
pub use authorizer::{AllowAll, Authorizer, Principal};
pub use door::ListenLimits;
pub use listener::{Accepted, ConnectInfo, Listener, TcpListener};
pub use serve::serve;
pub use tls::{TlsListener, accept_tls};
