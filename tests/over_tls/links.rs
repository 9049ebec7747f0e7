//! Links over TLS: who gets one, and what is told to those who do not.

use std::process::Stdio;

use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::{CLIENT, Files, HOST, Process, Relay, Sealer, assert_has, each, eventually, ran, within};

/// Sends one message under this id, and returns how that ended and what was said.
pub(super) async fn send(url: &str, id: &str, flags: &[String]) -> (i32, String) {
    let mut arguments = vec!["send", "--to", url, "--id", id, "--timeout", "20s"];
    arguments.extend(each(flags));
    arguments.extend(["key", "1"]);
    let mut process = Process::spawn(arguments, &[]);
    let code = process.end().await.code().expect("it ends by itself");
    (code, process.stderr())
}

async fn sent(relay: &Relay, id: &str, flags: &[String]) {
    let (code, told) = send(&relay.wss(), id, flags).await;
    assert_eq!(code, 0, "{told}");
}

async fn refused(relay: &Relay, flags: &[String], part: &str) {
    let (code, told) = send(&relay.wss(), "app-1", flags).await;
    assert_eq!(code, 1, "{told}");
    assert_has(&told, [part]);
}

/// The series of a reason.
pub(super) fn errors(reason: &str) -> String {
    format!("slipstream_connection_errors_total{{reason=\"{reason}\"}}")
}

/// What openssl's client makes of the relay, after it sent this.
async fn s_client(relay: &Relay, arguments: &[&str], text: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &relay.links.to_string()]).args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("openssl runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).await.expect("written");
    drop(stdin);
    let ran = within("openssl to end", child.wait_with_output()).await.expect("awaited");
    String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned()
}

#[tokio::test]
async fn a_message_goes_over_tls_and_an_unknown_authority_is_named() {
    let files = Files::usual();
    files.authority("other");
    let relay = Relay::start(files.folder(), &each(&files.listener("relay"))).await;
    sent(&relay, "app-1", &files.client(None)).await;
    let other = ["--tls-ca".to_owned(), files.text("other.pem")];
    refused(&relay, &other, "no authority that is trusted here has issued it").await;
    refused(&relay, &[], "no authority that is trusted here has issued it").await;
    sent(&relay, "app-1", &["--tls-no-verify".to_owned()]).await;
    let name = format!("wss://localhost:{}/", relay.links.port());
    assert_eq!(send(&name, "app-1", &files.client(None)).await.0, 0, "by its name");
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_with_both_names() {
    let files = Files::usual();
    files.issue("ca", "elsewhere", "basicConstraints=CA:FALSE\nsubjectAltName=DNS:relay.example", 90);
    let relay = Relay::start(files.folder(), &each(&files.listener("elsewhere"))).await;
    refused(&relay, &files.client(None), "127.0.0.1").await;
    refused(&relay, &files.client(None), "relay.example").await;
}

#[tokio::test]
async fn a_relay_starts_with_a_certificate_out_of_its_time_and_its_clients_are_told_which() {
    let files = Files::usual();
    files.issue("ca", "late", HOST, -1);
    files.issue_from("ca", "early", HOST, OffsetDateTime::now_utc() + Duration::days(2), 90);
    for (name, part) in [("late", "it has expired"), ("early", "it is not valid yet; are the clocks right?")] {
        let relay = Relay::start(&files.path(name), &each(&files.listener(name))).await;
        refused(&relay, &files.client(None), part).await;
        relay.says("every peer that verifies it refuses the link").await;
    }
}

#[tokio::test]
async fn every_client_must_show_a_certificate_of_the_authority() {
    let files = Files::usual();
    files.authority("other");
    files.issue("other", "stranger", CLIENT, 90);
    files.issue("ca", "late", CLIENT, -1);
    files.issue_from("ca", "early", CLIENT, OffsetDateTime::now_utc() + Duration::days(2), 90);
    files.issue("ca", "revoked", CLIENT, 90);
    files.revoke("ca", &["revoked"], 30);
    let mut flags = files.mutual("relay");
    flags.extend(["--tls-client-crl".to_owned(), files.text("ca.crl"), "--enable-debug-logs".to_owned()]);
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    sent(&relay, "app-1", &files.client(Some("machine-7"))).await;
    refused(&relay, &files.client(None), "the peer requires a client certificate").await;
    refused(&relay, &files.client(Some("stranger")), "does not trust the authority").await;
    for untimely in ["late", "early"] {
        let client = files.client(Some(untimely));
        refused(&relay, &client, "has expired or is not valid yet, says the far end; are the clocks right?").await;
    }
    refused(&relay, &files.client(Some("revoked")), "was revoked, says the far end").await;
    relay.metric_becomes_at_least(&errors("wrong_certificate"), 4.0).await;
    relay.metric_becomes_at_least(&errors("no_certificate"), 1.0).await;
    let told = relay.process.stderr();
    let parts = ["showed no certificate", "no authority that is trusted here", "it has expired", "it was revoked"];
    assert_has(&told, parts.into_iter().chain(["it is not valid yet; are the clocks right?"]));
}

#[tokio::test]
async fn the_clients_of_an_authority_that_is_none_or_has_expired_are_taken() {
    let files = Files::usual();
    files.expired_authority("old");
    files.issue("old", "aged", CLIENT, 90);
    files.issue("machine-7", "forged", CLIENT, 90);
    files.write("unfit.pem", files.read("old.pem") + &files.read("machine-7.pem"));
    let flags = [files.listener("relay"), vec!["--tls-client-ca".to_owned(), files.text("unfit.pem")]].concat();
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    sent(&relay, "app-1", &files.client(Some("aged"))).await;
    sent(&relay, "app-1", &files.client(Some("forged"))).await;
    refused(&relay, &files.client(Some("machine-7")), "does not trust the authority").await;
    relay.says("the authority CN=old has expired").await;
    relay.says("CN=machine-7 is not an authority").await;
}

#[tokio::test]
async fn an_operator_sees_who_is_refused_and_why() {
    let files = Files::usual();
    files.authority("other");
    files.issue("other", "stranger", CLIENT, 90);
    let flags = [files.mutual("relay"), vec!["--trusted-proxies=127.0.0.1".to_owned()]].concat();
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    let refusals = |part: &str| -> Vec<String> {
        let told = relay.process.stderr();
        let lines = told.lines().filter(|line| line.contains("WARN") && line.contains("a connection was refused"));
        lines.filter(|line| line.contains(part)).map(str::to_owned).collect()
    };
    let sealer = Sealer::new(&files, None);
    for number in 1..=3 {
        let mut stream = TcpStream::connect(relay.links).await.expect("it listens");
        let header = format!("PROXY TCP4 203.0.113.9 127.0.0.1 471{number} 7171\r\n");
        stream.write_all(header.as_bytes()).await.expect("written");
        let mut sealed = sealer.seal(relay.links.ip(), stream).await.expect("a client is done before it is judged");
        sealed.read(&mut [0]).await.expect_err("an alert");
        relay.metric_becomes(&errors("no_certificate"), f64::from(number)).await;
    }
    let told = eventually("who showed none", || async { refusals("showed no certificate").pop() }).await;
    assert_has(&told, ["remote=203.0.113.9:4711"]);
    refused(&relay, &files.client(Some("stranger")), "does not trust the authority").await;
    eventually("who is a stranger", || async { refusals("no authority that is trusted here").pop() }).await;
    let other = [vec!["--tls-ca".to_owned(), files.text("other.pem")], files.listener("machine-7")].concat();
    refused(&relay, &other, "no authority that is trusted here").await;
    relay.metric_becomes_at_least(&errors("tls"), 1.0).await;
    eventually("who does not trust this end", || async { refusals("the certificate of this end").pop() }).await;
    // One that leaves is none that was refused.
    TcpStream::connect(relay.links).await.expect("it listens").write_all(&[0x16]).await.expect("written");
    relay.metric_becomes(&errors("handshake"), 1.0).await;
    let known = ["showed no certificate", "no authority that is trusted here", "the certificate of this end"];
    let unknown = refusals("").into_iter().find(|line| !known.iter().any(|part| line.contains(part)));
    assert_eq!(unknown, None);
}

#[tokio::test]
async fn no_session_is_taken_up_again() {
    let files = Files::usual();
    let relay = Relay::start(files.folder(), &each(&files.mutual("relay"))).await;
    let (ca, certificate, key) = (files.text("ca.pem"), files.text("machine-7.pem"), files.text("machine-7.key"));
    let own = ["-CAfile", &ca, "-cert", &certificate, "-key", &key, "-verify_return_error"];
    for version in ["-tls1_3", "-tls1_2"] {
        let told = s_client(&relay, &[&own[..], &[version, "-reconnect"]].concat(), "Q\n").await;
        assert_has(&told, ["Verification: OK"]);
        assert!(!told.contains("Reused,"), "{told}");
        assert!(!told.contains("session ticket:"), "{version}: {told}");
    }
    let told = s_client(&relay, &[&own[..], &["-alpn", "h2,http/1.1"]].concat(), "Q\n").await;
    assert_has(&told, ["ALPN protocol: http/1.1"]);
}

#[tokio::test]
async fn who_speaks_the_wrong_protocol_is_told_so() {
    let files = Files::usual();
    let flags = [files.listener("relay"), vec!["--enable-debug-logs".to_owned()]].concat();
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    let (code, told) = send(&format!("ws://{}/", relay.links), "app-1", &[]).await;
    assert_eq!(code, 1, "{told}");
    assert_has(&told, ["400", "this port speaks TLS", "wss://"]);
    eventually("the relay's own words", || async {
        relay.process.stderr().contains("the client speaks no TLS").then_some(())
    })
    .await;
    let plain = tempfile::tempdir().expect("a folder");
    let plain = Relay::start(plain.path(), &[]).await;
    let (code, told) = send(&format!("wss://{}/", plain.links), "app-1", &files.client(None)).await;
    assert_eq!(code, 1, "{told}");
    assert_has(&told, ["does not speak TLS"]);
    eventually("the relay's own words", || async {
        plain.process.stderr().contains("the client speaks TLS, which this port does not").then_some(())
    })
    .await;
    plain.metric_becomes_at_least(&errors("tls"), 1.0).await;
}

#[tokio::test]
async fn the_admin_port_speaks_tls_too() {
    let files = Files::usual();
    let backups = files.path("backups");
    std::fs::create_dir(&backups).expect("a folder");
    let flags = [
        vec!["--metrics-tls-cert".to_owned(), files.text("relay.pem")],
        vec!["--metrics-tls-key".to_owned(), files.text("relay.key")],
        vec!["--backup-path".to_owned(), files.text("backups")],
    ]
    .concat();
    let relay = Relay::start(files.folder(), &each(&flags)).await;
    let page = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--cacert",
            &files.text("ca.pem"),
            &format!("https://{}/metrics", relay.admin),
        ])
        .output();
    let page = within("curl", page).await.expect("curl runs");
    let page = String::from_utf8_lossy(&[page.stdout, page.stderr].concat()).into_owned();
    let expiry = "slipstream_tls_certificate_expiry_seconds{use=\"admin\"} ";
    let left = page.lines().find_map(|line| line.strip_prefix(expiry)).unwrap_or_else(|| panic!("{page}"));
    let days = left.parse::<f64>().expect("a number") / 86_400.0;
    assert!((89.0..91.0).contains(&days), "{days}");
    let admin = format!("https://{}", relay.admin);
    let mut arguments = vec!["store", "backup", "--json", "--admin", &admin, "now.db"];
    let client = files.client(None);
    arguments.extend(each(&client));
    let mut process = Process::spawn(arguments, &[]);
    assert!(process.end().await.success(), "{}", process.stderr());
    let made: Value = serde_json::from_str(&process.stdout()).expect("JSON");
    assert_eq!(made["state"], "done");
    let mut process = Process::spawn(["store", "backup", "--admin", &admin, "again.db"], &[]);
    assert!(!process.end().await.success());
    assert_has(&process.stderr(), ["no authority that is trusted here"]);
    let (code, _, said) = ran(&["status", "--admin", &format!("http://{}", relay.admin)], &[]).await;
    assert_eq!(code, Some(1));
    assert_has(&said, ["this port speaks TLS: expected a URL that begins with wss:// or https://"]);
}
