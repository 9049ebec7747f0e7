//! A relay on the store: `cargo run --example relay -- FOLDER [ADDRESS]`, until Ctrl-C.
//!
//! It is what `slipstream serve` does, without its settings, its log and its admin port.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use journal_store::JournalStore;
use slipstream::clock::SystemClock;
use slipstream::link::TcpConnector;
use slipstream::listen::{AllowAll, Listener as _, TcpListener};
use slipstream::{Relay, Settings};
use slipstream_store::{Durability, MessageStore as _};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("expected the store's folder, as in: relay ./journal [127.0.0.1:7171]")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7171".to_owned());
    let address: SocketAddr =
        address.parse().with_context(|| format!("{address:?}: expected an address and a port"))?;

    // Opening reads the whole journal: that is no work for a thread of the runtime.
    let opening = tokio::task::spawn_blocking(move || JournalStore::open(folder, Durability::Full));
    let store = Arc::new(opening.await??);
    println!("store: {}", store.guarantee());

    let relay = Relay::open(store, Settings::default(), Arc::new(SystemClock::new())).await?;
    let listener = TcpListener::bind(address)?;
    println!("relay {} listens on ws://{}/", relay.id(), listener.local_addr()?);

    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    relay.run(Some(Box::new(listener)), Arc::new(AllowAll), Arc::new(TcpConnector), shutdown).await?;
    println!("stopped in order");
    Ok(())
}
