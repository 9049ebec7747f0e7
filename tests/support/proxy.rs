//! A stretch of network that can be cut and mended.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes streams on to an address while it is whole.
#[derive(Debug)]
pub struct Proxy {
    /// Where it takes streams.
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Proxy {
    /// A whole one.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let whole = watch::Sender::new(true);
        let state = whole.subscribe();
        let work = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("it can be accepted");
                tokio::spawn(pass(stream, to, state.clone()));
            }
        });
        Self { address, whole, work }
    }

    /// The URL of what is behind it.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Ends every stream, and each new one at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Passes new streams on again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn pass(mut near: TcpStream, to: SocketAddr, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(to).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}
