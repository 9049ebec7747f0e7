//! Whom the listener lets in: the program with an auth file, over real sockets (OPERATING: "Auth file").

#![cfg(test)]

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Peer, Process, Relay, Response, Signal, assert_has, eventually, ran, written};
use tempfile::TempDir;

/// What every token of these tests begins with, so that none is overlooked in an output.
const HUSH: &str = "hush-";

/// Few of the peers here answer a Close.
const SOON: [(&str, &str); 1] = [("SLIPSTREAM_SHUTDOWN_TIMEOUT", "1s")];

/// A `[[credential]]` table for `hush-TOKEN`.
fn table(token: &str, rest: &str) -> String {
    format!("[[credential]]\ntoken_sha256 = \"{}\"\n{rest}\n\n", hash(token))
}

fn hash(token: &str) -> String {
    Sha256::digest(format!("{HUSH}{token}")).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bearer(token: &str) -> (&'static str, String) {
    ("Authorization", format!("Bearer {HUSH}{token}"))
}

/// A relay with an auth file.
struct Guarded {
    relay: Relay,
    file: PathBuf,
    _folder: TempDir,
}

impl Guarded {
    async fn start(credentials: &str) -> Self {
        Self::start_with(credentials, &[]).await
    }

    async fn start_with(credentials: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("auth.toml");
        std::fs::write(&file, credentials).expect("it is written");
        let flags = [&["--auth-file", file.to_str().expect("UTF-8"), "--enable-debug-logs"], flags].concat();
        Self { relay: Relay::start(folder.path(), &flags).await, file, _folder: folder }
    }

    async fn link(&self, query: &str, token: &str) -> Peer {
        let (name, value) = bearer(token);
        Peer::connect_with(&self.relay, query, &[(name, &value)]).await
    }

    /// Links as a relay.
    async fn relay(&self, query: &str, token: &str) -> Peer {
        let (name, value) = bearer(token);
        Peer::connect_with(&self.relay, query, &[(name, &value), ("Slipstream-Kind", "relay")]).await
    }

    async fn refused(&self, query: &str, token: &str) -> Response {
        let (name, value) = bearer(token);
        Peer::refused(&self.relay, &format!("/?{query}"), &[(name, &value)]).await
    }

    /// Replaces the file as editors do, and has it read.
    async fn reload(&self, credentials: &str, told: &str) {
        self.replace(credentials);
        self.relay.process.signal(Signal::HUP);
        self.says(told).await;
    }

    fn replace(&self, credentials: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, credentials).expect("it is written");
        std::fs::rename(&new, &self.file).expect("it is renamed");
    }

    async fn says(&self, told: &str) {
        eventually(told, || async { self.relay.process.stderr().contains(told).then_some(()) }).await;
    }

    /// Stops the relay, and asserts that no token and no hash stands in anything that it printed.
    async fn stop(self) {
        let mut process = self.relay.process;
        process.signal(Signal::TERM);
        assert!(process.end().await.success());
        for printed in [process.stdout(), process.stderr()] {
            assert!(!printed.contains(HUSH), "a token was printed:\n{printed}");
            let file = std::fs::read_to_string(&self.file).unwrap_or_default();
            for line in file.lines().filter_map(|line| line.strip_prefix("token_sha256 = ")) {
                assert!(!printed.contains(line.trim_matches('"')), "a hash was printed:\n{printed}");
            }
        }
    }
}

#[tokio::test]
async fn each_bound_of_a_credential_lets_in_and_refuses() {
    let credentials = table("exact", "id = \"shop-1\"\ntags = [\"aws\", \"team-*\"]")
        + &table("prefix", "id = \"shop-*\"")
        + &table("relay", "id = \"relay-*\"\nrelay = true")
        + &table("any", "id = \"*\"\ntags = [\"*\"]");
    let guarded = Guarded::start(&credentials).await;
    let relay_kind = ("Slipstream-Kind", "relay");
    for (token, query, kind) in [
        ("exact", "id=shop-1&tags=aws,team-a", None),
        ("prefix", "id=shop-2", None),
        ("relay", "id=relay-aws", Some(relay_kind)),
        ("relay", "id=relay-azure", None),
        ("any", "id=whoever&tags=whatever", None),
        ("any", "", None),
    ] {
        let (name, value) = bearer(token);
        let headers: Vec<_> = [(name, value.as_str())].into_iter().chain(kind).collect();
        Peer::connect_with(&guarded.relay, query, &headers).await.ping(b"it lives").await;
    }
    for (token, query, kind, told) in [
        ("exact", "id=shop-2", None, "id: this credential is for shop-1, not for shop-2"),
        ("exact", "", None, "id: this credential is for shop-1; name the id"),
        ("exact", "id=shop-1&tags=aws,gcp", None, "tags: this credential does not permit gcp"),
        ("prefix", "id=shop", None, "id: this credential is for shop-*, not for shop"),
        ("prefix", "id=shop-2&tags=aws", None, "tags: this credential does not permit aws"),
        ("any", "id=whoever", Some(relay_kind), "Slipstream-Kind: this credential does not permit a relay"),
    ] {
        let (name, value) = bearer(token);
        let headers: Vec<_> = [(name, value.as_str())].into_iter().chain(kind).collect();
        let refusal = Peer::refused(&guarded.relay, &format!("/?{query}"), &headers).await;
        assert_eq!(refusal.status, 403, "{token} {query}");
        assert_has(&refusal.body, [told]);
    }
    guarded.relay.metric_becomes("slipstream_connection_errors_total{reason=\"forbidden\"}", 6.0).await;
    guarded.stop().await;
}

#[tokio::test]
async fn a_token_comes_in_the_header_or_as_a_subprotocol_and_never_in_the_url() {
    let guarded = Guarded::start(&table("right", "id = \"shop-1\"")).await;
    let protocols = format!("slipstream.v1, slipstream.bearer.{HUSH}right");
    let by_protocol = [("Sec-WebSocket-Protocol", protocols.as_str())];
    let browser = Peer::connect_with(&guarded.relay, "id=shop-1", &by_protocol).await;
    assert_eq!(browser.link.response.header("sec-websocket-protocol"), Some("slipstream.v1"));
    let wrong = format!("slipstream.v1, slipstream.bearer.{HUSH}wrong");
    let in_the_url = format!("/?id=shop-1&token={HUSH}right&access_token={HUSH}right");
    let (name, wrong_header) = bearer("wrong");
    for (target, headers, told) in [
        ("/?id=shop-1", vec![], "a credential is required"),
        (in_the_url.as_str(), vec![], "a token in the URL does not count"),
        ("/?id=shop-1", vec![(name, wrong_header.as_str())], "this token is not known here"),
        ("/?id=shop-1", vec![("Sec-WebSocket-Protocol", wrong.as_str())], "this token is not known here"),
        ("/?id=shop-1", vec![(name, wrong_header.as_str()), by_protocol[0]], "this token is not known here"),
        ("/?id=shop-1", vec![(name, "Basic aHVzaDpodXNo")], "a credential is required"),
    ] {
        let refusal = Peer::refused(&guarded.relay, target, &headers).await;
        assert_eq!((refusal.status, refusal.header("www-authenticate")), (401, Some("Bearer")), "{headers:?}");
        assert_has(&refusal.body, [told]);
        assert!(!refusal.body.contains(HUSH), "{}", refusal.body);
    }
    for reason in ["no_credential", "wrong_credential"] {
        let series = format!("slipstream_connection_errors_total{{reason=\"{reason}\"}}");
        guarded.relay.metric_becomes(&series, 3.0).await;
    }
    guarded.stop().await;
}

#[tokio::test]
async fn what_may_be_sent_is_bounded() {
    let bounds = "id = \"shop-1\"\nmay_send = [\"SK\", \"EVENT\"]\nmay_target = [\"orders\"]";
    let guarded = Guarded::start(&(table("shop", bounds) + &table("any", "id = \"*\"\ntags = [\"*\"]"))).await;
    let mut receiver = guarded.link("id=warehouse&tags=orders,money", "any").await;
    let mut shop = guarded.link("id=shop-1", "shop").await;
    let message = |id: &str, message_type: &str, tags: &[&str]| json!({"type": message_type, "key": "k", "value": 1, "messageId": id, "targetedTags": tags});
    for (message, part) in [
        (message("no-1", "CMD", &["orders"]), "type: "),
        (message("no-2", "SK", &["orders", "money"]), "money"),
        (message("no-3", "SK", &[]), "targetedTags: "),
    ] {
        let nack = shop.rejected(&message).await;
        assert_eq!(nack["code"], "not_allowed", "{nack}");
        assert_has(nack["reason"].as_str().expect("a reason"), [part]);
    }
    shop.publish(message("yes", "SK", &["orders"])).await;
    assert_eq!(receiver.take().await.id(), "yes", "nothing else was stored");
    guarded.stop().await;
}

#[tokio::test]
async fn only_a_credential_for_an_id_takes_its_link_over() {
    let credentials = table("shop", "id = \"shop-1\"") + &table("other", "id = \"other-*\"");
    let guarded = Guarded::start(&credentials).await;
    let mut first = guarded.link("id=shop-1", "shop").await;
    assert_eq!(guarded.refused("id=shop-1", "other").await.status, 403);
    assert_eq!(guarded.refused("id=shop-1", "wrong").await.status, 401);
    first.ping(b"nobody took it over").await;
    let mut second = guarded.link("id=shop-1", "shop").await;
    assert_eq!(first.closed().await.0, 4000);
    second.ping(b"it lives").await;
    guarded.stop().await;
}

#[tokio::test]
async fn what_is_kept_for_a_relay_is_for_no_application() {
    let credentials = table("any", "id = \"*\"") + &table("relay", "id = \"azure-*\"\nrelay = true");
    // One that is dialled and has never answered, and one that has linked by itself.
    let dialled = r#"[{"url":"ws://127.0.0.1:1/","id":"gcp-1"}]"#;
    let guarded = Guarded::start_with(&credentials, &["--url-config", dialled]).await;
    drop(guarded.relay("id=azure-1", "relay").await);
    let mut shop = guarded.link("id=shop", "any").await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "messageId": "kept"})).await;
    for (id, told) in [
        ("azure-1", "id: azure-1 is a relay, and this credential does not permit a relay"),
        ("gcp-1", "id: gcp-1 is a peer that this relay dials, and this credential does not permit a relay"),
    ] {
        let refusal = guarded.refused(&format!("id={id}"), "any").await;
        assert_eq!((refusal.status, refusal.body.trim_end()), (403, told));
    }
    guarded.relay.metric_becomes("slipstream_connection_errors_total{reason=\"forbidden\"}", 2.0).await;
    assert_eq!(guarded.link("id=azure-1", "relay").await.take().await.id(), "kept", "also as an application");
    // That is what it is from now on, with nothing that is kept for a relay.
    guarded.link("id=azure-1", "any").await.ping(b"it lives").await;
    guarded.stop().await;
}

#[tokio::test]
async fn an_id_is_of_the_credential_that_names_it_from_when_it_does() {
    let any = table("any", "id = \"*\"");
    let guarded = Guarded::start(&any).await;
    let mut early = guarded.link("id=azure-1", "any").await;
    guarded.reload(&(any + &table("azure", "id = \"azure-1\"")), "kept=1 added=1 ended=0").await;
    early.ping(b"its credential is the same").await;
    guarded.link("id=azure-1", "azure").await.ping(b"it lives").await;
    assert_eq!(early.closed().await.0, 4000, "it is taken over");
    let refusal = guarded.refused("id=azure-1", "any").await;
    assert_eq!(refusal.status, 403);
    assert_has(&refusal.body, ["but not for azure-1, which another credential names"]);
    guarded.stop().await;
}

#[tokio::test]
async fn a_credential_that_is_taken_away_or_changed_ends_its_links() {
    let credentials =
        table("kept", "id = \"kept\"") + &table("gone", "id = \"gone\"") + &table("changed", "id = \"*\"");
    let guarded = Guarded::start(&credentials).await;
    let mut kept = guarded.link("id=kept", "kept").await;
    let mut gone = [guarded.link("id=gone", "gone").await, guarded.link("id=someone", "changed").await];
    let changed = table("changed", "id = \"someone\"") + &table("kept", "id = \"kept\"\nname = \"the same\"");
    guarded.reload(&(table("new", "id = \"new\"") + &changed), "kept=1 added=2 ended=2").await;
    for (peer, told) in gone.iter_mut().zip(["taken away", "changed"]) {
        assert_eq!(peer.closed().await, (1008, format!("the credential was {told}")));
    }
    kept.ping(b"it lives").await;
    assert_eq!(guarded.refused("id=gone", "gone").await.status, 401, "it does not come back");
    guarded.link("id=someone", "changed").await.ping(b"it lives").await;
    guarded.link("id=new", "new").await.ping(b"it lives").await;
    kept.publish(json!({"type": "SK", "key": "k", "value": 1})).await;
    guarded.stop().await;
}

#[tokio::test]
async fn a_file_that_changes_is_read_without_a_signal() {
    let guarded = Guarded::start(&table("old", "id = \"*\"")).await;
    let mut old = guarded.link("id=a", "old").await;
    guarded.replace(&table("new", "id = \"*\""));
    assert_eq!(old.closed().await.0, 1008);
    guarded.link("id=a", "new").await.ping(b"it lives").await;
    guarded.stop().await;
}

#[tokio::test]
async fn a_file_with_faults_leaves_what_is_in_force() {
    let guarded = Guarded::start(&table("right", "id = \"*\"")).await;
    let mut peer = guarded.link("id=a", "right").await;
    let faulty = table("new", "id = \"*\"\ncolour = 1") + &format!("[[credential]]\ntoken_sha256 = \"{HUSH}new\"\n");
    guarded.reload(&faulty, "what was in force stays").await;
    assert_has(
        &guarded.relay.process.stderr(),
        ["line 4, credential 1 of 2: there is no such field", "credential 2 of 2: id: "],
    );
    guarded.reload("", "expected at least one [[credential]]").await;
    std::fs::remove_file(&guarded.file).expect("it is there");
    guarded.says("there is no such file").await;
    // What is there now is no file either, and that is something else.
    std::fs::create_dir(&guarded.file).expect("a folder");
    guarded.says("auth.toml: expected a file").await;
    let named = format!("purpose=\"credentials\" files=\"{}\"", guarded.file.display());
    guarded.relay.says(&named).await;
    peer.ping(b"it lives").await;
    assert_eq!(guarded.refused("id=b", "new").await.status, 401);
    guarded.link("id=b", "right").await.ping(b"it lives").await;
    guarded.stop().await;
}

#[tokio::test]
async fn a_start_tells_every_fault_of_the_file_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let faulty = format!("[[credential]]\ntoken_sha256 = \"{HUSH}1\"\n[[credentials]]\n");
    let file = written(folder.path(), "auth.toml", &faulty);
    for command in ["serve", "check"] {
        let arguments = if command == "serve" { vec!["serve"] } else { vec!["config", "check"] };
        let (code, stdout, told) = ran(&[&arguments[..], &["--auth-file", &file]].concat(), &[]).await;
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{told}");
        assert_has(
            &told,
            ["3 faults", "line 3: there is no such table", "token_sha256: expected 64", "id: it is missing"],
        );
        assert!(!told.contains(HUSH), "{told}");
    }
}

#[tokio::test]
async fn beyond_loopback_a_relay_starts_only_if_it_asks_who_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, _, told) = ran(&["config", "check", "--listen", "0.0.0.0:0"], &[]).await;
    assert_eq!(code, Some(2));
    assert_has(&told, ["SLIPSTREAM_LISTEN", "SLIPSTREAM_AUTH_FILE", "SLIPSTREAM_TLS_CLIENT_CA"]);
    let file = written(folder.path(), "auth.toml", &table("right", "id = \"*\""));
    let flags = ["--listen", "0.0.0.0:0", "--auth-file", &file];
    let mut arguments = vec!["serve", "--metrics-port", "0", "--storage-path"];
    let store = folder.path().join("store");
    arguments.push(store.to_str().expect("UTF-8"));
    let relay = Relay::ready(Process::spawn([&arguments[..], &flags].concat(), &SOON)).await;
    let relay = Relay { links: ([127, 0, 0, 1], relay.links.port()).into(), ..relay };
    let (name, value) = bearer("right");
    Peer::connect_with(&relay, "id=a", &[(name, &value)]).await.ping(b"it lives").await;
    assert_eq!(Peer::refused(&relay, "/?id=a", &[]).await.status, 401);
    relay.says("tokens cross the network in clear text").await;
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_token_is_made_with_its_lines_for_the_file() {
    let (code, printed, _) =
        ran(&["token", "--id", "shop-*", "--tags", "aws,team-*", "--name", "a \"shop\""], &[]).await;
    assert_eq!(code, Some(0));
    let token = printed.lines().find(|line| line.starts_with("slip_")).expect("a token").to_owned();
    assert!(token.len() == 48 && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    let lines = printed.split_once("[[credential]]").expect("a table").1;
    let (code, record, _) = ran(&["token", "--relay", "--json"], &[]).await;
    let record: Value = serde_json::from_str(&record).expect("one JSON object");
    let other = record["token"].as_str().expect("a token");
    assert_eq!(code, Some(0));
    assert_ne!(token, other);
    let credentials = format!("[[credential]]{lines}\n{}", record["credential"].as_str().expect("a table"));
    let guarded = Guarded::start(&credentials).await;
    for (token, query, kind) in [(token.as_str(), "id=shop-1&tags=aws", None), (other, "", Some("relay"))] {
        let authorization = format!("Bearer {token}");
        let kind = kind.map(|kind| ("Slipstream-Kind", kind));
        let headers: Vec<_> = [("Authorization", authorization.as_str())].into_iter().chain(kind).collect();
        Peer::connect_with(&guarded.relay, query, &headers).await.ping(b"it lives").await;
    }
    assert!(!guarded.relay.process.stderr().contains("slip_"));
    guarded.stop().await;
}

#[tokio::test]
async fn commands_take_their_token_from_a_file_or_from_the_environment() {
    let credentials = table("shop", "id = \"shop-1\"") + &table("any", "id = \"*\"\ntags = [\"bench-*\"]");
    let guarded = Guarded::start(&credentials).await;
    let url = guarded.relay.url();
    let token = written(guarded.file.parent().expect("a folder"), "token", &format!("{HUSH}shop\n"));
    let mut listening =
        Process::spawn(["listen", "--to", &url, "--id", "shop-1", "--token-file", &token, "--json"], &[]);
    guarded.says("link up").await;
    let variable = [("SLIPSTREAM_TOKEN", "hush-any"), ("SLIPSTREAM_URL", url.as_str())];
    let (code, _, told) = ran(&["send", "order:1", "5"], &variable).await;
    assert_eq!(code, Some(0), "{told}");
    listening.printed("the message", |line| line.contains("order:1").then_some(())).await;
    let (code, _, told) = ran(&["send", "order:1", "5"], &variable[1..]).await;
    assert_eq!(code, Some(1), "without a token");
    assert_has(&told, ["401", "a credential is required"]);
    let load = ["bench", "relay", "--messages", "10", "--warmup", "0s", "--admin", "http://127.0.0.1:1"];
    let (code, _, told) = ran(&load, &variable).await;
    assert_eq!(code, Some(0), "{told}");
    guarded.reload(&table("any", "id = \"*\""), "ended=2").await;
    assert_eq!(listening.end().await.code(), Some(1), "it comes back once, and is told");
    assert_has(&listening.stderr(), ["1008", "the credential was taken away", "401"]);
    assert!(!listening.stderr().contains(HUSH) && !listening.stdout().contains(HUSH) && !told.contains(HUSH));
    guarded.stop().await;
}

#[tokio::test]
async fn a_relay_that_dials_with_a_token_is_let_in_and_told_when_it_is_taken_away() {
    let relays = table("relay", "id = \"relay-b\"\ntags = [\"azure\"]\nrelay = true");
    let guarded = Guarded::start(&(relays + &table("any", "id = \"*\""))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let peers = format!("[{{\"url\":{:?},\"id\":\"relay-a\",\"token\":\"{HUSH}relay\"}}]", guarded.relay.url());
    let mut flags = vec!["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--instance-id", "relay-b"];
    let store = folder.path().join("store");
    let file = written(folder.path(), "b.toml", &format!("url_config = '{peers}'\nstorage_path = {store:?}\n"));
    flags.extend(["--tags", "azure", "--retry-in-n-seconds", "10ms", "--config", &file]);
    let dialling = Relay::ready(Process::spawn(flags, &SOON)).await;
    let mut behind = Peer::connect(&dialling, "id=behind").await;
    let mut here = guarded.link("id=here", "any").await;
    guarded.relay.metric_becomes("slipstream_active_connections{kind=\"relay\"}", 1.0).await;
    here.publish(json!({"type": "SK", "key": "k", "value": 1, "messageId": "m1"})).await;
    assert_eq!(behind.take().await.id(), "m1");
    guarded.reload(&table("any", "id = \"*\""), "ended=1").await;
    dialling.metric_becomes_at_least("slipstream_connection_errors_total{reason=\"dial_refused\"}", 1.0).await;
    eventually("the refusal in the log", || async { dialling.process.stderr().contains("401").then_some(()) }).await;
    assert!(!dialling.process.stderr().contains(HUSH));
    here.publish(json!({"type": "SK", "key": "k", "value": 2, "messageId": "m2"})).await;
    assert!(dialling.stop().await.success());
    guarded.stop().await;
}
