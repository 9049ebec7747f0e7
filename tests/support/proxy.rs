//! A stretch of network that can be cut and mended.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes streams on while it is whole.
#[derive(Debug)]
pub struct Proxy {
    /// Where it takes streams.
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    work: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
struct Way {
    to: SocketAddr,
    whole: bool,
}

impl Proxy {
    /// A whole one, to this address.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let way = watch::Sender::new(Way { to, whole: true });
        let seen = way.subscribe();
        let work = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("it can be accepted");
                tokio::spawn(pass(stream, seen.clone()));
            }
        });
        Self { address, way, work }
    }

    /// The URL of what is behind it.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Ends every stream, and each new one at once.
    pub fn cut(&self) {
        self.way.send_modify(|way| way.whole = false);
    }

    /// Passes new streams on again.
    pub fn mend(&self) {
        self.way.send_modify(|way| way.whole = true);
    }

    /// Passes new streams on to another address.
    pub fn lead_to(&self, to: SocketAddr) {
        self.way.send_modify(|way| way.to = to);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn pass(mut near: TcpStream, mut way: watch::Receiver<Way>) {
    let Way { to, whole } = *way.borrow();
    if !whole {
        return;
    }
    let Ok(mut far) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = way.wait_for(|way| !way.whole) => {}
    }
}
