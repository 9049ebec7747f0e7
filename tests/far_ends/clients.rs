//! Libraries as clients of a relay that requires a certificate, and a credential besides: each row of the table in
//! `docs/client-libraries.md#tls` is tried.

use sha2::{Digest as _, Sha256};

use super::software;
use crate::support::{CLIENT, Files, Process, Relay, assert_has, codes, each, eventually, run_command, table, written};

const PAGE: &str = include_str!("../../docs/client-libraries.md");

/// The libraries by their rows, with the names of their clients.
const LIBRARIES: [(&str, &str); 7] = [
    ("`ws` 8.23.0 on Node 20.20", "ws-node"),
    ("`ws` in Bun 1.4.5", "ws-bun"),
    ("Bun 1.4.5, built in", "bun"),
    ("Deno 2.9.6, built in", "deno"),
    ("Python `websockets` 17.4", "websockets"),
    ("Python `aiohttp` 3.14.5", "aiohttp"),
    ("Java 17 `java.net.http.WebSocket`", "java"),
];

/// What is no library of WebSockets, and is tried by hand.
pub(super) const TOOLS: [&str; 2] = ["curl 7.88.1", "openssl 3.0 `s_client`"];

pub(super) const TOKEN: &str = "slip_the-token-of-a-test-0123456789abcdef";

/// The row that begins like this: how a link is made, and what is said if no certificate is shown.
pub(super) fn row(name: &str) -> (String, String) {
    let found = table(PAGE, "| library | how |").into_iter().find(|row| row[0] == name);
    let [_, how, without] = found.and_then(|row| row.try_into().ok()).unwrap_or_else(|| panic!("no row for {name}"));
    (how, without)
}

/// A relay that a client must show a certificate of `ca`, and be known by this certificate or by a token.
pub(super) struct Place {
    pub(super) files: Files,
    pub(super) relay: Relay,
    id: String,
}

impl Place {
    /// It keeps messages for this client and for a watcher.
    pub(super) async fn start(id: &str) -> Self {
        let files = Files::usual();
        files.authority("other");
        files.issue("other", "stranger", CLIENT, 90);
        // An id that the token's credential named exactly would be no id for the certificate.
        let credentials = format!(
            "[[credential]]\nname = \"a certificate\"\ncertificate_subject = \"machine-7\"\nid = \"*\"\n\n\
             [[credential]]\nname = \"a token\"\ntoken_sha256 = \"{:x}\"\nid = \"{id}*\"\n",
            Sha256::digest(TOKEN)
        );
        let mut flags = files.mutual("relay");
        let kept = format!(r#"[{{"id":"{id}"}},{{"id":"watcher"}}]"#);
        flags.extend(["--auth-file".to_owned(), written(files.folder(), "auth.toml", &credentials)]);
        flags.extend(["--subscribers".to_owned(), kept, "--enable-debug-logs".to_owned()]);
        let relay = Relay::start(files.folder(), &each(&flags)).await;
        Self { files, relay, id: id.to_owned() }
    }

    /// Runs a command of the program under this id, and returns what it printed.
    async fn command(&self, command: &str, id: &str, rest: &[&str]) -> String {
        let (url, own) = (self.relay.wss(), self.files.client(Some("machine-7")));
        let mut process = Process::spawn([&[command, "--to", &url, "--id", id], &each(&own)[..], rest].concat(), &[]);
        assert!(process.end().await.success(), "{}", process.stderr());
        process.stdout()
    }

    /// Has the relay keep a message for the client.
    pub(super) async fn send(&self) {
        self.command("send", "sender", &["in", "1"]).await;
    }

    /// The next messages that came to the relay, by their keys.
    pub(super) async fn watch(&self, keys: &[&str]) {
        let printed = self.command("listen", "watcher", &["--count", &keys.len().to_string()]).await;
        let seen: Vec<&str> = printed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(seen, keys, "{printed}");
    }

    /// Where the client links.
    pub(super) fn url(&self) -> String {
        format!("{}?id={}", self.relay.wss(), self.id)
    }

    /// Waits until so many messages are kept for the client.
    async fn owes(&self, messages: f64) {
        self.relay.metric_becomes(&format!(r#"slipstream_backlog{{peer="{}"}}"#, self.id), messages).await;
    }

    pub(super) async fn says(&self, part: &str) {
        eventually(part, || async { self.relay.process.stderr().contains(part).then_some(()) }).await;
    }

    /// What a library's client sees that takes the servers of `ca` and shows the certificate `own`.
    async fn client(&self, ca: &str, own: Option<&str>, token: &str) -> String {
        let own = |kind| own.map_or_else(String::new, |own| self.files.text(&format!("{own}.{kind}")));
        let mut command = software::client(&self.id).await;
        command.args([&self.url(), &self.files.text(ca), &own("pem"), &own("key"), token]);
        run_command(&mut command).await
    }

    /// A client that links: it takes a message and acknowledges it, and sends one that is acknowledged.
    async fn is_served(&self, token: &str) {
        self.send().await;
        let said = self.client("ca.pem", Some("machine-7"), token).await;
        assert_has(&said, ["SK ", "ACK of-", "closed with 1000"]);
        self.owes(0.0).await;
    }
}

/// Tries a library. Returns the relay, and what the library said of one that it does not trust.
async fn plays(name: &str) -> (Place, String) {
    let (_, id) = LIBRARIES.into_iter().find(|(row, _)| *row == name).expect("a library of the list");
    let place = Place::start(id).await;
    place.is_served("").await;
    place.says("principal=\"a certificate\" kind=Application").await;
    place.is_served(TOKEN).await;
    place.says("principal=\"a token\" kind=Application").await;
    // The second message of the client is the first once more, which the relay knows.
    place.watch(&["in", "out", "in"]).await;

    place.send().await;
    let without = place.client("ca.pem", None, TOKEN).await;
    assert_has(&without, codes(&row(name).1).collect::<Vec<_>>());
    place.says("the client showed no certificate, and one is required here").await;
    let stranger = place.client("ca.pem", Some("stranger"), TOKEN).await;
    let doubted = place.client("other.pem", Some("machine-7"), TOKEN).await;
    for said in [&without, &stranger, &doubted] {
        assert!(!said.contains("SK ") && !said.contains("closed with 1000"), "{said}");
    }
    place.owes(1.0).await;
    (place, doubted)
}

#[test]
fn each_row_is_tried_in_its_version_and_says_what_the_client_does() {
    let rows = table(PAGE, "| library | how |");
    let names: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let tried: Vec<&str> = LIBRARIES.iter().map(|(row, _)| *row).chain(TOOLS).collect();
    assert_eq!(names, tried);
    let clients = [
        include_str!("client.mjs"),
        include_str!("client_websockets.py"),
        include_str!("client_aiohttp.py"),
        include_str!("Client.java"),
        include_str!("by_hand.rs"),
        include_str!("software.rs"),
    ]
    .concat();
    for row in &rows {
        for code in codes(&row[1]) {
            assert!(clients.contains(code), "no client has {code}");
        }
        let of_the_system = row[0].starts_with("Java") || TOOLS.contains(&row[0].as_str());
        let installed = row[0].split([' ', ',']).any(software::installs);
        assert!(installed || of_the_system, "{} is not what is installed", row[0]);
    }
}

#[tokio::test]
async fn npm_ws_on_node() {
    plays("`ws` 8.23.0 on Node 20.20").await;
}

#[tokio::test]
async fn ws_in_bun() {
    plays("`ws` in Bun 1.4.5").await;
}

#[tokio::test]
async fn bun() {
    plays("Bun 1.4.5, built in").await;
}

#[tokio::test]
async fn deno() {
    let (place, doubted) = plays("Deno 2.9.6, built in").await;
    assert_has(&doubted, ["received fatal alert: NoApplicationProtocol"]);
    place.says("the far end does not speak http/1.1 over TLS (ALPN)").await;
}

#[tokio::test]
async fn pypi_websockets() {
    plays("Python `websockets` 17.4").await;
}

#[tokio::test]
async fn pypi_aiohttp() {
    plays("Python `aiohttp` 3.14.5").await;
}

#[tokio::test]
async fn java() {
    plays("Java 17 `java.net.http.WebSocket`").await;
}
