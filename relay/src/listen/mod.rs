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
//! | `door` | one connection, from when it is accepted until its link runs |
//! | `check` | the credential of a peer, and how long a wrong one makes the next wait |
//! | `stay` | the places that a connection holds |
//! | `limits` | what a listener keeps to |
//! | `linger` | parting from a peer that was told something |
//! | `seldom` | warnings about what strangers do |
//! | `proxy/` | proxies in front of the listener, and how they name the client |
//! | `source/` | what is kept of the addresses that connections come from |
//! | `tls` | a listener whose links are over TLS |
//! | `authorizer` | who checks credentials: who a peer is, and what it may send |
//! | `lease` | how long what an authorizer said holds |
//! | `credentials` | the authorizer that knows tokens and certificates |
//! | `certificates` | what certificates alone permit, and until when |
//! | `admission` | who gets a link |

mod admission;
mod authorizer;
mod certificates;
mod check;
mod credentials;
mod door;
mod lease;
mod limits;
mod linger;
mod listener;
mod proxy;
mod seldom;
mod serve;
mod source;
mod stay;
mod tls;

#[cfg(test)]
mod tests;

pub use admission::{Admission, Seat};
pub use authorizer::{AllowAll, Authorizer, Principal};
pub use certificates::{AnyCertificate, EndAtExpiry};
pub use credentials::{Credential, Credentials, InvalidPattern, Pattern, Proof, Replaced, TokenHash};
pub use lease::Lease;
pub use limits::ListenLimits;
pub use listener::{Accepted, ConnectInfo, HandshakeFault, Listener, TcpListener};
pub use proxy::header as proxy_header;
pub use proxy::{InvalidNetworks, ProxyListener, TrustedProxies};
pub use seldom::Seldom;
pub use serve::serve;
pub use source::FailureLimits;
pub use tls::{TlsListener, accept_tls};
