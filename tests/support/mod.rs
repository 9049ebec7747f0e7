//! What the tests of the daemon share: the program as a process, a WebSocket written out by hand, and a peer that
//! speaks the protocol over it.
//!
//! Nothing here uses the library under test: what the tests see is what went over a socket.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test target is a program of its own and uses its part of this"
)]

mod application;
mod bulk;
mod certificates;
mod everything;
mod far;
mod holder;
mod http;
mod page;
mod pair;
mod peer;
mod process;
mod prometheus;
mod proxied;
mod proxy;
mod sealed;
mod server;
mod slow;
mod stores;
mod websocket;
mod workshop;

use std::fmt::Debug;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

pub use self::application::{Application, Progress};
pub use self::bulk::{bulk_id, drain, drain_part, fill, fill_as};
pub use self::certificates::{CLIENT, Files, HOST, each};
pub use self::everything::{FILLING, assert_delivers_everything, fill_with_everything};
pub use self::far::{Far, Way};
pub use self::holder::Holder;
pub use self::http::{Response, get, put, request};
pub use self::page::{codes, table};
pub use self::pair::{Exchanged, Pair};
pub use self::peer::{Event, Message, Peer, event};
pub use self::process::{Process, Relay, Signal, allow_links, ran, written};
pub use self::prometheus::Prometheus;
pub use self::proxied::{Kind as ProxyKind, Proxied, certificate};
pub use self::proxy::{Condition, Proxy};
pub use self::sealed::Sealer;
pub use self::server::{Dialled, Server, ServerLink};
pub use self::slow::Slow;
pub use self::stores::{
    ENGINES, Ended, an_engine, assert_whole, bulk_message, counts, counts_of_any_engine, files, spawn_store, store,
    store_json, store_with_backlog,
};
pub use self::websocket::{
    BINARY, CLOSE, CONTINUE, FIN, Frame, Link, PING, PONG, Reader, Stream, TEXT, Writer, frame, upgrade, upgrade_after,
    upgrade_over,
};
pub use self::workshop::{
    npm_workshop, npm_workshop_of, python_workshop, python_workshop_of, run, run_command, workshop,
};

/// How long anything may take that must happen. It is far more than a slow machine needs: it ends a test that would
/// hang, and decides nothing else.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Waits for `future`, and ends the test where it takes longer than [`LIMIT`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {LIMIT:?} in vain for {what}"),
    }
}

/// Asks `look` again and again until it answers something, and ends the test where it does not within [`LIMIT`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    within(what, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// An address of this machine that nobody else uses, so that a port of it stays free while nobody listens there.
pub fn own_loopback() -> IpAddr {
    static GIVEN: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    // 127.0.0.1 is where the ports are that the system chooses.
    Ipv4Addr::new(127, high | 1, low, GIVEN.fetch_add(1, Ordering::Relaxed)).into()
}

/// A number from the environment of the test run.
pub fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: got {text:?}, expected a whole number")))
}

/// Asserts that `text` has each of `parts`.
pub fn assert_has<'a>(text: &str, parts: impl IntoIterator<Item = &'a str> + Debug) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}
