//! Our own link code as an echo, in both roles.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::vec::Drain;

use bytes::Bytes;
use parking_lot::Mutex;
use slipstream::link::{
    FrameBatch, Inbox, LinkControl, LinkLimits, Offer, Outbound, Role, Socket, Target, TcpConnector, connect, run,
};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::case::MAX_MESSAGE;
use super::handshake;

/// What came and is to go back.
#[derive(Default)]
struct Echo {
    texts: Mutex<VecDeque<Bytes>>,
    last: Mutex<Option<Bytes>>,
    wake: Notify,
}

struct Taken(Arc<Echo>);

impl Inbox for Taken {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        for text in texts {
            *self.0.last.lock() = Some(text.clone());
            self.0.texts.lock().push_back(text);
            self.0.wake.notify_one();
        }
    }
}

impl Outbound for Echo {
    fn fill(&self, frames: &mut FrameBatch) {
        let mut texts = self.texts.lock();
        while !frames.is_full()
            && let Some(text) = texts.pop_front()
        {
            frames.text_bytes(&text);
        }
    }

    async fn ready(&self) {
        self.wake.notified().await;
    }
}

/// Echoes until the link has ended. Returns the last text that came.
async fn echo(socket: Socket, role: Role) -> Option<Bytes> {
    let echo = Arc::<Echo>::default();
    let limits = LinkLimits { max_message_bytes: MAX_MESSAGE, ..LinkLimits::default() };
    run(socket, role, Taken(Arc::clone(&echo)), Arc::clone(&echo), limits, LinkControl::new()).await;
    echo.last.lock().take()
}

/// Listens on a free port.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    (listener, address)
}

/// Takes links for ever.
pub(crate) async fn serve(listener: TcpListener) {
    let mut links = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("it can be accepted");
        links.spawn(async { echo(Socket::new(Box::new(handshake::grant(stream).await)), Role::Server).await });
    }
}

/// Dials a server for one link, and returns when that has ended. Returns the last text that came.
pub(crate) async fn dial(server: SocketAddr, path: &str) -> Option<Bytes> {
    let target = Target::parse(&format!("ws://{server}{path}")).expect("a URL");
    let connected = connect(&TcpConnector, &target, &Offer::default(), Duration::from_secs(60)).await;
    echo(connected.expect("a link is granted").socket, Role::Client).await
}
