//! Client certificates as credentials: the program on both ends, over TLS (OPERATING: "Auth file").

#![cfg(test)]

mod support;

use support::{CLIENT, Files, Process, Relay, assert_has, each, ran, written};
use time::{Duration, OffsetDateTime};

/// The usual files, and clients that have other names.
fn files() -> Files {
    let files = Files::usual();
    files.issue("ca", "some-machine", "basicConstraints=CA:FALSE\nsubjectAltName=DNS:shop.example", 90);
    files.issue("ca", "stranger", "basicConstraints=CA:FALSE", 90);
    files
}

/// What `send` said that showed the certificate of `name`, and how it ended.
async fn send(files: &Files, relay: &Relay, name: &str, id: &str) -> (Option<i32>, String) {
    run(files, name, &["send", "--to", &relay.wss(), "--id", id, "k", "1"]).await
}

/// What a command said that showed the certificate of `name`, and how it ended.
async fn run(files: &Files, name: &str, command: &[&str]) -> (Option<i32>, String) {
    let mut process = Process::spawn([command, &each(&files.client(Some(name)))].concat(), &[]);
    let status = process.end().await;
    (status.code(), process.stderr())
}

#[tokio::test]
async fn the_names_of_a_certificate_are_bound_to_ids() {
    let files = files();
    let file = written(
        files.folder(),
        "auth.toml",
        "[[credential]]\ncertificate_subject = \"machine-7\"\nid = \"machine-7\"\n\n\
         [[credential]]\ncertificate_subject = \"shop.example\"\nid = \"shop-*\"\n",
    );
    let flags = [files.mutual("relay"), vec!["--auth-file".to_owned(), file]].concat();
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    for (name, id) in [("machine-7", "machine-7"), ("some-machine", "shop-1")] {
        let (code, told) = send(&files, &relay, name, id).await;
        assert_eq!(code, Some(0), "{name}: {told}");
    }
    for (name, id, parts) in [
        ("machine-7", "shop-1", ["403", "this credential is for machine-7, not for shop-1"]),
        ("some-machine", "machine-7", ["403", "this credential is for shop-*, not for machine-7"]),
        ("stranger", "stranger", ["401", "no credential here is for the names of this certificate: stranger"]),
    ] {
        let (code, told) = send(&files, &relay, name, id).await;
        assert_eq!(code, Some(1), "{name}: {told}");
        assert_has(&told, parts);
    }
    relay.says("principal=\"machine-7\"").await;
    relay.says("principal=\"shop.example\"").await;
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn an_application_of_a_trial_gets_the_id_of_no_relay() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join("demo").join(name).to_str().expect("UTF-8").to_owned();
    let (code, _, told) = ran(&["tls", "demo", &file("")], &[]).await;
    assert_eq!(code, Some(0), "{told}");
    let tls = |name: &str| {
        ["--tls-cert".to_owned(), file(&format!("{name}.pem")), "--tls-key".to_owned(), file(&format!("{name}.key"))]
    };
    let others = ["--tls-client-ca".to_owned(), file("ca.pem"), "--auth-file".to_owned(), file("auth.toml")];
    let relay = Relay::start(folder.path(), &each(&[tls("relay-aws"), others].concat())).await;
    for (name, id, expected) in [
        ("relay-azure", "relay-azure", None),
        ("app", "shop", None),
        (
            "app",
            "relay-azure",
            Some("this credential is for *, but not for relay-azure, which another credential names"),
        ),
        ("app", "relay-gcp", Some("403")),
        ("relay-gcp", "relay-azure", Some("this credential is for relay-gcp, not for relay-azure")),
    ] {
        let own = [tls(name).to_vec(), vec!["--tls-ca".to_owned(), file("ca.pem")]].concat();
        let (url, send) = (relay.wss(), ["send", "k", "1", "--id", id, "--to"]);
        let (code, _, told) = ran(&[&send[..], &[&url], &each(&own)].concat(), &[]).await;
        assert_eq!(code, Some(i32::from(expected.is_some())), "{name} as {id}: {told}");
        assert_has(&told, expected);
    }
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn without_an_auth_file_every_certificate_of_the_authority_is_let_in() {
    let files = files();
    let flags = [files.mutual("relay"), vec!["--tls-end-at-expiry".to_owned()]].concat();
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    let (code, told) = send(&files, &relay, "stranger", "anything").await;
    assert_eq!(code, Some(0), "{told}");
    relay.says("CN=stranger").await;
    let other = Files::usual();
    std::fs::copy(files.path("ca.pem"), other.path("ca.pem")).expect("it is copied");
    let (code, told) = send(&other, &relay, "machine-7", "anything").await;
    assert_eq!(code, Some(1), "another authority has issued it: {told}");
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_link_ends_with_its_certificate_if_that_is_asked_for() {
    let files = files();
    let flags = [files.mutual("relay"), vec!["--tls-end-at-expiry".to_owned()]].concat();
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    // On a slow machine the first certificates have expired before they are shown.
    for seconds in [2, 4, 8, 16, 32, 64] {
        let end = OffsetDateTime::now_utc() + Duration::seconds(seconds);
        files.issue_until("ca", "short", CLIENT, end);
        let (code, told) = run(&files, "short", &["listen", "--to", &relay.wss(), "--id", "short", "--once"]).await;
        assert_eq!(code, Some(1));
        if told.contains("1008") {
            assert_has(&told, ["the certificate has expired"]);
            assert!(relay.stop().await.success());
            return;
        }
    }
    panic!("no link has ended with its certificate:\n{}", relay.process.stderr());
}
