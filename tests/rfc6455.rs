//! RFC 6455, case by case: what a link of ours makes of every frame that is right or wrong, in both roles, and what other
//! libraries make of the same bytes. `docs/rfc6455.md` tells where they differ and why.

#![cfg(test)]

mod support;
mod websocket;

use std::future::Future;
use std::net::SocketAddr;

use slipstream::link::{Offer, Role, Target, TcpConnector, connect};
use support::{LIMIT, within};
use tokio::net::{TcpListener, TcpStream};
use websocket::{cases, handshake, known, libraries, ours, play};

/// Plays every case against an end that has this role there, and asserts that what is known comes of each.
async fn play_all<F: Future<Output = TcpStream>>(end: &str, role: Role, mut link: impl FnMut() -> F) {
    let far = if role == Role::Server { Role::Client } else { Role::Server };
    let mut wrong = Vec::new();
    for case in cases::all().into_iter().filter(|case| known::is_played(case, end)) {
        let stream = within("a link with the other end", link()).await;
        let expected = known::expected(&case, end, role);
        let came = play(stream, far, &case, &expected).await.to_string();
        if !known::fits(&came, &expected, end) {
            wrong.push(format!("{} {}: {came}, expected {expected}", case.section, case.name));
        }
    }
    assert!(wrong.is_empty(), "{end} as {role:?} is otherwise in {} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Plays every case against a server.
async fn play_with_server(end: &str, server: SocketAddr) {
    play_all(end, Role::Server, || handshake::ask(server)).await;
}

/// Plays every case against a client that dials this listener again and again.
async fn play_with_client(end: &str, listener: &TcpListener) {
    let link = || async {
        let (stream, _) = listener.accept().await.expect("it can be accepted");
        handshake::grant(stream).await
    };
    play_all(end, Role::Client, link).await;
}

#[tokio::test]
async fn our_link_as_a_server() {
    let (listener, server) = ours::listen().await;
    let serving = tokio::spawn(ours::serve(listener));
    play_with_server("Slipstream", server).await;
    serving.abort();
}

#[tokio::test]
async fn our_link_as_a_client() {
    let (listener, server) = ours::listen().await;
    let dialling = tokio::spawn(async move {
        loop {
            ours::dial(server, "/").await;
        }
    });
    play_with_client("Slipstream", &listener).await;
    dialling.abort();
}

#[tokio::test]
async fn our_client_takes_no_compression_that_it_did_not_ask_for() {
    let (listener, server) = ours::listen().await;
    let target = Target::parse(&format!("ws://{server}/")).expect("a URL");
    let dialling = tokio::spawn(async move { connect(&TcpConnector, &target, &Offer::default(), LIMIT).await });
    let (stream, _) = within("a dial", listener.accept()).await.expect("it can be accepted");
    let _granted = handshake::grant_with(stream, "Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    let error = within("the end of the dial", dialling).await.expect("no panic").expect_err("section 9.1");
    support::assert_has(&error.to_string(), ["an extension", "not asked for"]);
}

/// Plays every case against a library, in both roles.
async fn play_with_library(library: &str) {
    let command = libraries::command(library).await;
    let (_server, address) = libraries::serve(command).await;
    play_with_server(library, address).await;
    let (listener, address) = ours::listen().await;
    let _client = libraries::dial(libraries::command(library).await, address);
    play_with_client(library, &listener).await;
}

#[tokio::test]
async fn npm_ws() {
    play_with_library("ws").await;
}

#[tokio::test]
async fn pypi_websockets() {
    play_with_library("websockets").await;
}

#[tokio::test]
async fn libwebsockets() {
    play_with_library("libwebsockets").await;
}
