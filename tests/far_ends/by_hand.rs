//! curl and openssl, which know TLS and no WebSockets: requests written by hand, and servers that are none.

use std::net::{IpAddr, TcpListener};
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::clients::{Place, TOKEN, TOOLS, row};
use crate::support::{FIN, Files, Relay, TEXT, assert_has, codes, eventually, frame, own_loopback, within};

/// What makes a request one for an upgrade.
const HEADERS: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// What comes if the upgrade is granted to a client for which a message is kept.
const GRANTED: [&str; 2] = ["HTTP/1.1 101 Switching Protocols", r#"{"type":"SK","key":"in","#];

/// Waits until all of this has come over a stream.
async fn comes(stream: &mut (impl AsyncRead + Unpin), wanted: &[&str]) {
    let mut seen = Vec::new();
    within(&wanted.join(", "), async {
        while !wanted.iter().all(|wanted| String::from_utf8_lossy(&seen).contains(wanted)) {
            let read = stream.read_buf(&mut seen).await.expect("it can be read");
            assert!(read > 0, "it ended before {wanted:?}:\n{}", String::from_utf8_lossy(&seen));
        }
    })
    .await;
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().expect("tests/run installs it")
}

#[tokio::test]
async fn curl() {
    let place = Place::start("curl").await;
    place.send().await;
    let curl = |own: bool| {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--include", "--no-buffer", "--cacert"])
            .arg(place.files.path("ca.pem"));
        if own {
            command.arg("--cert").arg(place.files.path("machine-7.pem"));
            command.arg("--key").arg(place.files.path("machine-7.key"));
        }
        for header in HEADERS {
            command.args(["--header", header]);
        }
        command.arg(place.url().replace("wss://", "https://"));
        command
    };
    let mut child = spawn(&mut curl(true));
    comes(child.stdout.as_mut().expect("it is piped"), &GRANTED).await;
    let ended = within("curl", curl(false).output()).await.expect("curl runs");
    assert_has(&String::from_utf8_lossy(&ended.stderr), codes(&row(TOOLS[0]).1).collect::<Vec<_>>());
    place.says("the client showed no certificate").await;
}

#[tokio::test]
async fn openssl_s_client() {
    let place = Place::start("s_client").await;
    place.send().await;
    let s_client = |own: bool| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-verify_return_error", "-connect", &place.relay.links.to_string()]);
        command.arg("-CAfile").arg(place.files.path("ca.pem"));
        if own {
            command.arg("-cert").arg(place.files.path("machine-7.pem"));
            command.arg("-key").arg(place.files.path("machine-7.key"));
        }
        command
    };
    let host = format!("Host: {}", place.relay.links);
    let token = format!("Authorization: Bearer {TOKEN}");
    let request = [&["GET /?id=s_client HTTP/1.1", &host, &token], &HEADERS[..], &["", ""]].concat().join("\r\n");
    let mut child = spawn(&mut s_client(true));
    let (mut stdin, mut stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    stdin.write_all(request.as_bytes()).await.expect("it reads");
    comes(&mut stdout, &GRANTED).await;
    let message = json!({"type": "SK", "key": "out", "value": 1, "messageId": "of-s_client"}).to_string();
    stdin.write_all(&frame(FIN | TEXT, message.as_bytes())).await.expect("it reads");
    comes(&mut stdout, &[r#""messageId":"of-s_client""#]).await;
    place.watch(&["in", "out"]).await;
    // Without end of input, it waits for what the relay says.
    let mut child = spawn(&mut s_client(false));
    let said = row(TOOLS[1]).1;
    comes(child.stderr.as_mut().expect("it is piped"), &codes(&said).collect::<Vec<_>>()).await;
}

/// An `s_server` that requires a certificate of `ca`, and where it listens. It has an input as long as it lives.
async fn s_server(files: &Files, host: IpAddr, answering: &[&str]) -> (Child, String) {
    let listener = TcpListener::bind((host, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", &address, "-cert", "any.pem", "-key", "any.key", "-CAfile", "ca.pem"]);
    command.args(["-Verify", "1", "-verify_return_error"]).args(answering).current_dir(files.folder());
    let child = spawn(&mut command);
    // A connection without TLS is over for it at once.
    eventually("s_server", || async { TcpStream::connect(&address).await.ok().map(drop) }).await;
    (child, address)
}

#[tokio::test]
async fn openssl_s_server_is_no_server_of_websockets_and_the_relay_says_what_it_got() {
    let files = Files::usual();
    let host = own_loopback();
    files.issue("ca", "any", &format!("basicConstraints=CA:FALSE\nsubjectAltName=IP:{host}"), 90);
    files.authority("other");
    files.issue("other", "stranger", "basicConstraints=CA:FALSE", 90);
    let (mut silent, nothing) = s_server(&files, host, &[]).await;
    let (_page, page) = s_server(&files, host, &["-www"]).await;
    let (_reversed, reversed) = s_server(&files, host, &["-rev"]).await;
    let entry = |id: &str, address: &str, own: Option<&str>| {
        let mut entry = json!({"id": id, "url": format!("wss://{address}/"), "ca": files.text("ca.pem")});
        if let Some(own) = own {
            entry["cert"] = files.text(&format!("{own}.pem")).into();
            entry["key"] = files.text(&format!("{own}.key")).into();
        }
        entry
    };
    let peers = json!([
        entry("silent", &nothing, Some("machine-7")),
        entry("page", &page, Some("machine-7")),
        entry("reversed", &reversed, Some("machine-7")),
        entry("without", &page, None),
        entry("stranger", &page, Some("stranger")),
    ]);
    let relay = Relay::start(files.folder(), &["--url-config", &peers.to_string(), "--handshake-timeout=5s"]).await;
    for (id, said) in [
        ("page", "there is no WebSocket server at this URL: the answer was 200 OK: <HTML>"),
        ("reversed", "the answer is no HTTP"),
        ("without", "the peer requires a client certificate"),
        ("stranger", "the far end does not trust the authority that has issued the certificate of this end"),
        ("silent", "the server took the connection and has not answered the upgrade request: no link within 5s"),
    ] {
        let failed = format!("a dial failed peer={id} ");
        let line = eventually(id, || async {
            relay.process.stderr().lines().find(|line| line.contains(&failed)).map(str::to_owned)
        });
        assert_has(&line.await, [said]);
    }
    // TLS was established, with the certificate that was shown, and the request came through it.
    comes(silent.stdout.as_mut().expect("it is piped"), &["subject=CN = machine-7", "sec-websocket-key"]).await;
}
