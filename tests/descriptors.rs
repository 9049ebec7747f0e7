//! More clients than the relay may have files: it still says how it is, and still commits.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod support;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use support::{Peer, Relay, eventually, get, upgrade, within};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const FILES: u64 = 64;
const CLIENTS: usize = 200;

/// Lets a relay that runs have only so many files open.
fn limit(relay: &Relay) {
    let pid = i32::try_from(relay.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
    let limit = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    prlimit(Some(pid), Resource::Nofile, limit).expect("it may have fewer");
}

#[tokio::test]
async fn with_every_file_in_use_it_says_how_it_is_and_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--handshake-timeout", "1h"]).await;
    limit(&relay);
    let mut sender = Peer::connect(&relay, "id=sender").await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        // Whether it is taken in is another matter.
        let mut client = within("a connection", TcpStream::connect(relay.links)).await.expect("the kernel takes it");
        client.write_all(b"GET / HTTP/1.1\r\n").await.expect("it is sent");
        clients.push(client);
    }
    eventually("the files to be used up", async || {
        relay.process.stderr().contains("could not be accepted").then_some(())
    })
    .await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(relay.admin, path).await.status, 200, "{path}");
    }
    sender.publish(json!({"type": "EVENT"})).await;
    let most = usize::try_from(FILES).expect("it is small");
    assert!(relay.process.open_files() + 8 < most, "{} are open", relay.process.open_files());
    drop(clients);
    // It may be busy with the clients that are gone.
    eventually("a link", async || upgrade(relay.links, "/?id=other", &[]).await.ok()).await;
    sender.publish(json!({"type": "EVENT"})).await;
    assert!(relay.stop().await.success());
}
