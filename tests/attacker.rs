//! An attacker at each way in from outside, for as long as `SLIPSTREAM_ATTACK_SECONDS` says: the relay's memory stays
//! within what its limits allow and is given back, and good peers are served throughout.
//!
//! What the attacker does follows from a seed, which is printed. `SLIPSTREAM_ATTACK_SEED` repeats it.

#![cfg(test)]

mod attack;
mod support;

use std::net::SocketAddr;
use std::path::Path;

use attack::{Admin, Credentials, PROXY, Plain, Proxied, Tls, flags, withstand};
use sha2::{Digest as _, Sha256};
use support::{CLIENT, Files, Peer, Relay, Sealer, each, upgrade, upgrade_over, written};

/// A relay with small limits.
async fn relay(folder: &Path, further: &[String]) -> Relay {
    Relay::start(folder, &each(&[flags(), further.to_vec()].concat())).await
}

/// Links a peer that says so of itself, if it is let in.
async fn link(relay: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Option<Peer> {
    upgrade(relay, &format!("/?{query}"), headers).await.ok().map(Peer::on)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_listener() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(folder.path(), &[]).await;
    let links = relay.links;
    withstand("the listener", relay, Plain(links), async |query| link(links, query, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_listener_with_mutual_tls() {
    let (files, other) = (Files::usual(), Files::usual());
    other.issue("ca", "stranger", CLIENT, 90);
    for name in ["stranger.pem", "stranger.key"] {
        std::fs::copy(other.path(name), files.path(name)).expect("copied");
    }
    let relay = relay(files.folder(), &files.mutual("relay")).await;
    let links = relay.links;
    let shows = |own| Sealer::new(&files, own);
    let member = shows(Some("machine-7"));
    let surface = Tls { relay: links, member: member.clone(), stranger: shows(Some("stranger")), nobody: shows(None) };
    let link = async |query: &str| {
        let stream = member.connect(links).await.ok()?;
        upgrade_over(stream, "", &format!("/?{query}"), &[]).await.ok().map(Peer::on)
    };
    withstand("mutual TLS", relay, surface, link).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_listener_behind_a_proxy() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(folder.path(), &[format!("--trusted-proxies={PROXY}")]).await;
    let links = relay.links;
    withstand("behind a proxy", relay, Proxied(links), async |query| link(links, query, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_listener_with_credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = |token: &str, id: &str| {
        let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[credential]]\ntoken_sha256 = \"{hash}\"\nid = \"{id}\"\ntags = [\"*\"]\n\n")
    };
    let tables = table("of-the-good-peers", "*") + &table("of-the-attacker", "app-*");
    let file = written(folder.path(), "auth.toml", &tables);
    let relay = relay(folder.path(), &[format!("--auth-file={file}")]).await;
    let links = relay.links;
    let surface = Credentials { relay: links, token: "of-the-attacker".to_owned() };
    let headers = [("Authorization", "Bearer of-the-good-peers")];
    withstand("credentials", relay, surface, async |query| link(links, query, &headers).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_admin_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(folder.path(), &[]).await;
    let (links, admin) = (relay.links, relay.admin);
    withstand("the admin port", relay, Admin(admin), async |query| link(links, query, &[]).await).await;
}
