//! The network: hosts, routes between them with their weather, and connections that can be cut, severed and reset.
//!
//! Every end belongs to a [`Life`], one run of a program on a host. When a life ends, all its ends fail at once, so
//! that nothing of it reaches the world any more.

mod connection;
mod pipe;
mod routes;
mod sockets;
mod stream;

pub(crate) use self::pipe::Weather;
pub(crate) use self::routes::{Crash, Life, Network};
