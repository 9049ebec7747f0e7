//! A relay inside another program, over the engine that this program chose.
//!
//! `cargo run --package slipstream-embed-example` starts a relay over an SQLite store in a temporary folder, sends one
//! message through a real WebSocket, receives it as another application, and shuts down. Any other `MessageStore` fits
//! in the place of this one.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use slipstream_relay::client::{Client, ClientOptions, Received};
use slipstream_relay::clock::SystemClock;
use slipstream_relay::link::TcpConnector;
use slipstream_relay::listen::{AllowAll, Listener as _, TcpListener};
use slipstream_relay::store::PeerId;
use slipstream_relay::{Relay, Settings};
use slipstream_sqlite::StoreOptions;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let options = StoreOptions::new(folder.path().join("store"));
    let store = Arc::new(tokio::task::spawn_blocking(move || slipstream_sqlite::open(&options)).await??);
    let relay = Relay::open(store, Settings::default(), Arc::new(SystemClock::new())).await?;
    let listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let url = format!("ws://{}/", listener.local_addr()?);
    println!("relay {} listens on {url}", relay.id());

    let shutdown = CancellationToken::new();
    let running =
        tokio::spawn(relay.run(Some(Box::new(listener)), Arc::new(AllowAll), Arc::new(TcpConnector), shutdown.clone()));

    let shop = connect(&url, "shop").await?;
    let warehouse = connect(&url, "warehouse").await?;
    let (mut orders, mut confirms) = shop.split();
    let (mut acks, mut deliveries) = warehouse.split();

    orders.send(r#"{"type":"SK","key":"order:1","value":{"total":100}}"#).await?;
    orders.flush().await?;
    println!("the shop got        {}", next_text(&mut confirms).await?);
    let delivery = next_text(&mut deliveries).await?;
    println!("the warehouse got   {delivery}");
    let message: serde_json::Value = serde_json::from_str(&delivery)?;
    let ack = serde_json::json!({"type": "ACK", "messageId": message["messageId"]});
    acks.send(&ack.to_string()).await?;
    acks.flush().await?;

    shutdown.cancel();
    running.await??;
    println!("the relay has stopped in order");
    Ok(())
}

async fn connect(url: &str, id: &str) -> anyhow::Result<Client> {
    let options = ClientOptions { id: Some(PeerId::new(id)?), ..ClientOptions::default() };
    Ok(Client::connect(url, &options).await?)
}

async fn next_text(receiver: &mut slipstream_relay::client::ClientReceiver) -> anyhow::Result<String> {
    let next = tokio::time::timeout(Duration::from_secs(10), receiver.next()).await?;
    match next.context("the link ended")?? {
        Received::Text(text) => Ok(String::from_utf8(text.to_vec())?),
        other => bail!("expected a text, got {other:?}"),
    }
}
