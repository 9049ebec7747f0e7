//! Certificates that are replaced while links are up.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::links::send;
use crate::support::{CLIENT, Files, HOST, Process, Relay, Signal, assert_has, each, eventually};

const TAKEN_UP: &str = "slipstream_reloads_total{use=\"listener\",outcome=\"taken_up\"}";
const REFUSED: &str = "slipstream_reloads_total{use=\"listener\",outcome=\"refused\"}";
const LINKS: &str = "slipstream_active_connections{kind=\"application\"}";

/// A listener on the relay, which ends if its link does.
async fn listener(relay: &Relay, files: &Files) -> Process {
    let to = relay.wss();
    let client = files.client(Some("machine-7"));
    let flags = [&["listen", "--to", &to, "--id", "app-1", "--once"][..], &each(&client)].concat();
    let process = Process::spawn(flags, &[]);
    relay.metric_becomes(LINKS, 1.0).await;
    process
}

/// Waits until the log has these: what is counted may be written a moment later.
async fn says(relay: &Relay, parts: [&str; 2]) {
    eventually(&format!("{parts:?}"), || async {
        let told = relay.process.stderr();
        parts.iter().all(|part| told.contains(part)).then_some(())
    })
    .await;
}

/// Makes another authority and what it issued, in a folder like the first.
fn next(files: &Files) -> Files {
    let next = Files::usual();
    for name in ["relay.pem", "relay.key", "ca.pem"] {
        fs::copy(next.path(name), files.path(&format!("next-{name}"))).expect("copied");
    }
    next
}

#[tokio::test]
async fn certificates_that_are_written_anew_hold_for_new_links_and_keep_those_that_are_up() {
    let files = Files::usual();
    let relay = Relay::start(files.folder(), &each(&files.mutual("relay"))).await;
    let mut up = listener(&relay, &files).await;
    let next = next(&files);
    for name in ["relay.pem", "relay.key", "ca.pem"] {
        fs::rename(files.path(&format!("next-{name}")), files.path(name)).expect("renamed");
    }
    relay.metric_becomes(TAKEN_UP, 1.0).await;
    assert_eq!(send(&relay.wss(), "app-2", &next.client(Some("machine-7"))).await.0, 0, "the new authority's client");
    let old = [vec!["--tls-ca".to_owned(), next.text("ca.pem")], files.listener("machine-7")].concat();
    let (code, told) = send(&relay.wss(), "app-2", &old).await;
    assert_eq!(code, 1, "{told}");
    assert_has(&told, ["another authority of that name"]);
    up.printed("the message of the new client", |line| line.contains("key").then_some(())).await;
    assert_eq!(relay.metric(REFUSED).await, 0.0);
}

#[tokio::test]
async fn a_bad_set_is_refused_as_a_whole_and_the_old_stays() {
    let files = Files::usual();
    let relay = Relay::start(files.folder(), &each(&files.mutual("relay"))).await;
    let _up = listener(&relay, &files).await;
    let next = next(&files);
    fs::rename(files.path("next-relay.pem"), files.path("relay.pem")).expect("renamed");
    relay.metric_becomes(REFUSED, 1.0).await;
    says(&relay, ["not the key of the first certificate", "what was in force stays"]).await;
    fs::remove_file(files.path("ca.pem")).expect("removed");
    relay.metric_becomes(REFUSED, 2.0).await;
    let old = [vec!["--tls-no-verify".to_owned()], files.listener("machine-7")].concat();
    assert_eq!(send(&relay.wss(), "app-2", &old).await.0, 0, "the old authority's client");
    assert_eq!((relay.metric(TAKEN_UP).await, relay.metric(LINKS).await), (0.0, 1.0));
    fs::rename(files.path("next-relay.key"), files.path("relay.key")).expect("renamed");
    fs::rename(files.path("next-ca.pem"), files.path("ca.pem")).expect("renamed");
    relay.metric_becomes(TAKEN_UP, 1.0).await;
    assert_eq!(send(&relay.wss(), "app-2", &next.client(Some("machine-7"))).await.0, 0);
}

#[tokio::test]
async fn a_certificate_out_of_its_time_takes_no_place_of_one_that_is_valid() {
    let files = Files::usual();
    files.issue("ca", "late", HOST, -1);
    files.issue("ca", "later", HOST, -1);
    files.issue_from("ca", "early", HOST, OffsetDateTime::now_utc() + Duration::days(2), 90);
    let relay = Relay::start(files.folder(), &each(&files.listener("relay"))).await;
    for (times, name, part) in
        [(1.0, "late", "the certificate has expired"), (2.0, "early", "is not valid yet, only from")]
    {
        put(&files, name);
        relay.metric_becomes(REFUSED, times).await;
        relay.says(part).await;
        assert_has(&relay.process.stderr(), ["and the one in force is valid", "what was in force stays"]);
        assert_eq!(send(&relay.wss(), "app-1", &files.client(None)).await.0, 0, "{name}");
    }
    assert_eq!(relay.metric(TAKEN_UP).await, 0.0);
    // One who starts with such a certificate gets it, and then any other may follow.
    let started = Relay::start(&files.path("started"), &each(&files.listener("late"))).await;
    put_over(&files, "later", "late");
    started.metric_becomes(TAKEN_UP, 1.0).await;
    put_over(&files, "machine-7", "late");
    started.metric_becomes(TAKEN_UP, 2.0).await;
}

#[tokio::test]
async fn what_a_peer_is_shown_is_not_replaced_by_one_that_has_expired() {
    let files = Files::usual();
    files.issue("ca", "late", CLIENT, -1);
    let far = Relay::start(&files.path("far"), &each(&files.mutual("relay"))).await;
    let [ca, certificate, key] = ["ca.pem", "machine-7.pem", "machine-7.key"].map(|name| files.text(name));
    let peers = json!([{"url": far.wss(), "id": "far", "ca": ca, "cert": certificate, "key": key}]).to_string();
    let near = Relay::start(&files.path("near"), &["--instance-id", "near", "--url-config", &peers]).await;
    near.metric_becomes("slipstream_active_connections{kind=\"relay\"}", 1.0).await;
    put_over(&files, "late", "machine-7");
    near.metric_becomes("slipstream_reloads_total{use=\"dial\",outcome=\"refused\"}", 1.0).await;
    assert!(near.metric("slipstream_tls_certificate_expiry_seconds{use=\"dial\"}").await > 86_400.0);
}

/// Puts a certificate and its key in the place of the relay's.
fn put(files: &Files, name: &str) {
    put_over(files, name, "relay");
}

fn put_over(files: &Files, name: &str, place: &str) {
    for kind in ["pem", "key"] {
        fs::copy(files.path(&format!("{name}.{kind}")), files.path(&format!("{place}.{kind}"))).expect("copied");
    }
}

/// What Kubernetes mounts: `NAME -> ..data/NAME`, and `..data` leads to a folder that is swapped as a whole.
fn mount(mount: &Path, from: &Files, version: &str) {
    let folder = mount.join(version);
    fs::create_dir_all(&folder).expect("a folder");
    for name in ["relay.pem", "relay.key"] {
        fs::copy(from.path(name), folder.join(name)).expect("copied");
        if !mount.join(name).exists() {
            let _ = symlink(Path::new("..data").join(name), mount.join(name));
        }
    }
    symlink(version, mount.join("..data_tmp")).expect("linked");
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("swapped");
}

#[tokio::test]
async fn a_mount_of_kubernetes_is_swapped() {
    let files = Files::usual();
    let secret = files.path("secret");
    mount(&secret, &files, "..1");
    let (certificate, key) = (files.text("secret/relay.pem"), files.text("secret/relay.key"));
    let relay = Relay::start(files.folder(), &["--tls-cert", &certificate, "--tls-key", &key]).await;
    let next = Files::usual();
    mount(&secret, &next, "..2");
    relay.metric_becomes(TAKEN_UP, 1.0).await;
    assert_eq!(send(&relay.wss(), "app-1", &next.client(None)).await.0, 0);
}

#[tokio::test]
async fn a_hangup_reads_them_again_and_says_what_is_wrong_with_them() {
    let files = Files::usual();
    files.issue("ca", "soon", HOST, 20);
    let relay = Relay::start(files.folder(), &each(&files.listener("soon"))).await;
    let warned = |count| {
        let relay = &relay;
        eventually("a warning", move || async move {
            let told = relay.process.stderr();
            (told.matches("expires in 19 days").count() == count).then_some(())
        })
    };
    warned(1).await;
    relay.process.signal(Signal::HUP);
    relay.metric_becomes(TAKEN_UP, 1.0).await;
    warned(2).await;
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_is_refused_and_holds_up_nothing() {
    let files = Files::usual();
    let relay = Relay::start(files.folder(), &each(&files.mutual("relay"))).await;
    assert_eq!(relay.metric(REFUSED).await, 0.0, "it is there before the first time");
    fs::rename(files.path("relay.key"), files.path("kept.key")).expect("renamed");
    let made = std::process::Command::new("mkfifo").arg(files.path("relay.key")).status();
    assert!(made.expect("mkfifo runs").success());
    relay.metric_becomes(REFUSED, 1.0).await;
    says(&relay, ["relay.key: expected a file", "what was in force stays"]).await;
    relay.process.signal(Signal::HUP);
    relay.metric_becomes(REFUSED, 2.0).await;
    fs::rename(files.path("kept.key"), files.path("relay.key")).expect("renamed");
    relay.metric_becomes(TAKEN_UP, 1.0).await;
}
