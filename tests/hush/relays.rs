//! Relays that run at the lowest level of logs, with secrets in their settings, from their peers, and in their messages.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::logged::{Logged, table};
use super::secrets::Secrets;
use crate::support::{FIN, Files, Peer, Server, Signal, TEXT, each, request, upgrade, within, written};

/// What a server answers to a request for a link: all that it was asked.
async fn echoes(server: &Server, line: &str) {
    let dialled = server.dialled().await;
    let asked = format!("{} {}", dialled.line(), dialled.header("authorization").unwrap_or_default());
    let answer = format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{asked}", asked.len());
    dialled.answer(&answer).await;
}

#[tokio::test]
async fn relays_that_dial_show_no_secret() {
    let (files, mut secrets) = (Files::usual(), Secrets::default());
    let [token, query, wrong] = ["the token", "the query", "the wrong token"].map(|what| secrets.make(what));
    for name in ["relay.key", "machine-7.key"] {
        secrets.keep_key("a key", &files.read(name));
    }
    let auth = written(files.folder(), "auth.toml", &table(&mut secrets, &token));
    let flags = [files.mutual("relay"), vec![format!("--auth-file={auth}")]].concat();
    let far = Logged::start(&files.path("far"), &each(&flags), &[]).await;
    let server = Server::start().await;
    let own = |id: &str, token: &str| {
        json!({"url": format!("wss://{}/?key={query}", far.relay.links), "id": id, "token": token,
            "ca": files.text("ca.pem"), "cert": files.read("machine-7.pem"), "key": files.read("machine-7.key")})
    };
    let peers = json!([own("far", &token), own("again", &wrong),
        {"url": format!("{}path?key={query}&shard=7", server.url()), "id": "server", "token": token},
        {"url": format!("ws://127.0.0.1:1/?key={query}"), "id": "nowhere", "token": token}]);
    let peers = peers.to_string();
    let near = Logged::start(&files.path("near"), &["--retry-in-n-seconds=100ms"], &[("URL_CONFIG", &peers)]).await;
    far.relay.metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, 1.0).await;
    near.says("the server refused with 401").await;
    for status in ["401 Unauthorized", "404 Not Found", "500 Oh"] {
        within("a dial", echoes(&server, status)).await;
    }
    near.says("the server refused with 500").await;
    let mut link = server.granted(&[]).await;
    let reason = [&1008_u16.to_be_bytes()[..], format!("bad token {token}").as_bytes()].concat();
    link.frame(0x88, &reason).await;
    near.says("closed by the peer with 1008").await;
    // A key and an auth file that are replaced by what cannot be used, with the secret in the wrong place.
    files.write("relay.key", files.read("machine-7.key").replacen("MIG", "M!G", 1));
    written(files.folder(), "auth.toml", &format!("[[credential]]\ntoken_sha256 = \"{token}\"\nid = \"*\"\n"));
    far.says("what was in force stays").await;
    far.relay.process.signal(Signal::HUP);
    near.relay.process.signal(Signal::HUP);
    near.says("SIGHUP").await;
    near.end(&mut secrets, "the near relay").await;
    far.end(&mut secrets, "the far relay").await;
    secrets.assert_kept();
}

/// Asks for a link, which is refused or granted, and returns all that was answered.
async fn asked(relay: SocketAddr, target: &str, headers: &[(&str, &str)]) -> String {
    match within("an answer", upgrade(relay, target, headers)).await {
        Ok(link) => format!("{:?}", link.response),
        Err(refused) => format!("{refused:?}"),
    }
}

#[tokio::test]
async fn a_relay_shows_nothing_of_what_peers_bring() {
    let (folder, mut secrets) = (tempfile::tempdir().expect("a folder"), Secrets::default());
    let [token, wrong, payload] = ["the token", "the wrong token", "the payload"].map(|what| secrets.make(what));
    let auth = written(folder.path(), "auth.toml", &table(&mut secrets, &token));
    let flags = ["--auth-file", &auth, "--max-message-bytes=2000", "--max-depth=5", "--max-backlog=3"];
    let place = Logged::start(folder.path(), &flags, &[]).await;
    let (links, admin) = (place.relay.links, place.relay.admin);
    let bearer = |token: &str| ("Authorization", format!("Bearer {token}"));
    let [right, bad] = [&token, &wrong].map(|token| bearer(token));
    for (target, headers) in [
        ("/?id=a".to_owned(), vec![(right.0, right.1.clone())]),
        ("/?id=a".to_owned(), vec![(bad.0, bad.1.clone())]),
        ("/?id=a".to_owned(), vec![("Authorization", format!("Basic {token}"))]),
        ("/?id=a".to_owned(), vec![("Authorization", format!("Bearer {token} {token}"))]),
        ("/?id=a".to_owned(), vec![("Sec-WebSocket-Protocol", format!("slipstream.v1, slipstream.bearer.{token}"))]),
        ("/?id=a".to_owned(), vec![("Sec-WebSocket-Protocol", format!("slipstream.bearer.{wrong}, slipstream.v1"))]),
        ("/?id=a".to_owned(), vec![("Sec-WebSocket-Protocol", format!("slipstream.bearer.{wrong}"))]),
        ("/?id=a".to_owned(), vec![("Sec-WebSocket-Protocol", format!("bearer.{wrong}"))]),
        (format!("/?id=a&token={token}"), vec![]),
        (format!("/?id=a&access_token={token}"), vec![(right.0, right.1.clone())]),
        (format!("/?id=&token={token}"), vec![(right.0, right.1.clone())]),
        (format!("/{token}"), vec![(right.0, right.1.clone())]),
        ("/?id=a".to_owned(), vec![("Cookie", format!("session={wrong}")), (right.0, right.1.clone())]),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        secrets.look("an answer", &asked(links, &target, &headers).await);
    }
    let said = messages(&place, &payload, &right.1).await;
    // Peers are shown their own messages, of course; an answer need not repeat them.
    for answer in said {
        secrets.look("an answer to a message", &answer.to_string());
    }
    let headers = format!("Authorization: Bearer {token}\r\nCookie: {wrong}\r\n");
    for (method, path, body) in [
        ("GET", format!("/metrics?token={token}"), String::new()),
        ("GET", format!("/nowhere?token={token}"), String::new()),
        ("PUT", "/api/v1/logging".to_owned(), format!(r#"{{"token":"{token}"}}"#)),
        ("PUT", "/api/v1/logging".to_owned(), format!(r#"{{"level":"trace" "{token}""#)),
        ("POST", "/api/v1/backup".to_owned(), format!(r#"{{"name":"a","password":"{token}"}}"#)),
    ] {
        let headers = format!("{headers}Content-Type: application/json\r\n");
        secrets.look("a page", &request(admin, method, &path, &headers, &body).await.body);
    }
    place.end(&mut secrets, "the relay").await;
    let store = folder.path().join("store").display().to_string();
    for command in [&["check"][..], &["check", "--full"], &["stats"], &["stats", "--json"], &["compact"]] {
        secrets.look_at(&[&["store"], command, &["--storage-path", &store]].concat(), &[], "").await;
    }
    secrets.assert_kept();
}

/// Sends messages that hold the payload, in order and not, and returns what the sender was answered.
async fn messages(place: &Logged, payload: &str, bearer: &str) -> Vec<Value> {
    let headers = [("Authorization", bearer)];
    let connect = async |query: &str| Peer::connect_to(place.relay.links, query, &headers).await;
    drop(connect("id=away&tags=away").await);
    drop(connect("id=small&tags=small&maxMessageBytes=100").await);
    let (mut receiver, mut sender) = (connect("id=receiver&tags=here").await, connect("id=sender").await);
    let mut said = vec![
        sender
            .publish(json!({"type": "SK", "key": "k", "value": payload, "messageId": "m1", "targetedTags": ["here"]}))
            .await,
    ];
    receiver.take().await;
    for text in [
        json!({"type": "EVENT", "messageId": "m1", "value": payload}).to_string(),
        json!({"type": "EVENT", "mandatory": true, "value": payload, "targetedTags": ["nobody"]}).to_string(),
        json!({"type": "EVENT", "value": {"a": {"b": {"c": {"d": {"e": payload}}}}}}).to_string(),
        json!({"type": "EVENT", "value": payload, "expiresAt": "never"}).to_string(),
        json!({"value": payload}).to_string(),
        format!(r#"{{"type":"EVENT","value":"{payload}"#),
        format!(r#"{{"type":"EVENT","value":{payload}}}"#),
        format!(r#"{{"type":"EVENT","value":"{payload}","value":"{payload}"}}"#),
        payload.to_owned(),
    ] {
        said.push(sender.rejected(text).await);
    }
    for number in 0..3 {
        let message = json!({"type": "EVENT", "messageId": format!("a{number}"), "value": payload, "targetedTags": ["away", "small"]});
        said.push(sender.publish(message).await);
    }
    said.push(sender.rejected(json!({"type": "EVENT", "value": payload, "targetedTags": ["away"]})).await);
    let _small = connect("id=small&tags=small&maxMessageBytes=100").await;
    place.relay.metric_becomes_at_least("slipstream_dead_letters", 3.0).await;
    sender.link.writer.frame(FIN | TEXT, [payload.as_bytes(), b"\xff"].concat().as_slice());
    sender.link.writer.flush().await.expect("the link is up");
    said.push(json!(sender.closed().await));
    let mut sender = connect("id=sender").await;
    sender.send(json!({"type": "EVENT", "value": payload.repeat(60)})).await;
    said.push(json!(sender.closed().await));
    said
}
