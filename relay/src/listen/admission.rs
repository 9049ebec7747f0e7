//! Who gets a link, and what a peer that gets one does with it. The relay decides; here is only what it is asked.

use std::future::Future;
use std::net::SocketAddr;

use async_trait::async_trait;

use super::authorizer::Principal;
use crate::link::{Hello, Refusal, Socket, Welcome};

/// Decides who gets a link.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// What a peer that is admitted gets.
    type Seat: Seat;

    /// Admits a peer, before it is told so. `remote` is the address of its end, and `principal` who its credential says
    /// that it is.
    ///
    /// # Errors
    /// Why not; the peer gets it.
    ///
    /// # Cancellation
    /// The future is dropped where it stands when the handshake takes too long, or the listener shuts down.
    async fn admit(
        &self,
        hello: Hello,
        remote: SocketAddr,
        principal: Principal,
    ) -> Result<(Welcome, Self::Seat), Refusal>;

    /// The address of the peer in the link that it has from this listener and that a new one takes over; `None` if it has
    /// none. If there is no room, only a peer with such a link gets in: if the listener is full, from anywhere, and if
    /// its address has all the connections that it may have, with a link from the same address.
    fn takes_over(&self, _: &Hello) -> Option<SocketAddr> {
        None
    }
}

/// A peer that was admitted. It is dropped unused if the peer went away before its link began.
pub trait Seat: Send + 'static {
    /// Runs the link.
    fn run(self, socket: Socket) -> impl Future<Output = ()> + Send;
}
