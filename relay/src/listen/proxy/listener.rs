//! A listener that reads the header in which a proxy names the client.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;

use super::header::{self, Beginning, Header};
use super::networks::TrustedProxies;
use crate::link::{Ahead, Stream};
use crate::listen::linger;
use crate::listen::listener::{Accepted, ConnectInfo, HandshakeFault, Listener};

/// How much is read at first. Most headers and most requests are shorter.
const FIRST_READ: usize = 512;

/// Reads the PROXY header of connections from trusted proxies, if they begin with one, and refuses it from others.
///
/// It belongs below TLS: a proxy writes the header before anything that the client sends.
#[derive(Debug)]
pub struct ProxyListener<L> {
    inner: L,
    trusted: TrustedProxies,
}

impl<L: Listener> ProxyListener<L> {
    /// Takes up the connections of `inner`.
    #[must_use]
    pub fn new(inner: L, trusted: TrustedProxies) -> Self {
        Self { inner, trusted }
    }
}

#[async_trait]
impl<L: Listener> Listener for ProxyListener<L> {
    async fn accept(&self) -> io::Result<Accepted> {
        let accepted = self.inner.accept().await?;
        let trusted = self.trusted.clone();
        Ok(Accepted::after(accepted.remote(), async move {
            let (stream, info) = accepted.handshake().await?;
            if trusted.contains(info.socket.ip()) {
                from_proxy(stream, info).await
            } else {
                from_anyone(stream, info).await
            }
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

type Settled = io::Result<(Box<dyn Stream>, ConnectInfo)>;

/// A connection of a trusted proxy, with or without a header.
async fn from_proxy(mut stream: Box<dyn Stream>, info: ConnectInfo) -> Settled {
    let mut read = BytesMut::with_capacity(FIRST_READ);
    while stream.read_buf(&mut read).await? > 0 {
        match header::read(&read) {
            Ok(Beginning::Incomplete) => {}
            Ok(Beginning::NoHeader) => break,
            Ok(Beginning::Header(Header { client, length })) => {
                let _ = read.split_to(length);
                let info = match client {
                    Some(client) => info.with_client(client),
                    None => info,
                };
                return Ok(give_back(read, stream, info));
            }
            Err(error) => {
                return refuse(stream, "proxy_header", format!("the PROXY header cannot be read: {error}")).await;
            }
        }
    }
    Ok(give_back(read, stream, info))
}

/// A connection of anybody else, who may not say to be a proxy.
async fn from_anyone(mut stream: Box<dyn Stream>, info: ConnectInfo) -> Settled {
    let mut read = BytesMut::with_capacity(FIRST_READ);
    while stream.read_buf(&mut read).await? > 0 {
        match header::is_begun(&read) {
            None => {}
            Some(false) => break,
            Some(true) => {
                let told =
                    format!("a PROXY header came from {}, which is no proxy that this relay trusts", info.socket.ip());
                return refuse(stream, "proxy_untrusted", told).await;
            }
        }
    }
    Ok(give_back(read, stream, info))
}

fn give_back(read: BytesMut, stream: Box<dyn Stream>, info: ConnectInfo) -> (Box<dyn Stream>, ConnectInfo) {
    // What was read is mostly a request, and a small part of what was made room for.
    (Box::new(Ahead::new(read, stream)), info)
}

/// Tells why in HTTP, which a client that speaks TLS does not read; the log says it too.
async fn refuse(stream: Box<dyn Stream>, reason: &'static str, told: String) -> Settled {
    linger::refuse(stream, &told).await?;
    Err(HandshakeFault::new(reason, told).into())
}
