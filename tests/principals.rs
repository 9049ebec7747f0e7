//! What a credential lets a peer send: a relay in this process whose authorizer is the test's.

#![cfg(test)]

mod local;
mod support;

use std::sync::Arc;

use async_trait::async_trait;
use local::{Local, Place};
use serde_json::{Value, json};
use slipstream::link::{Hello, Refusal, Secret};
use slipstream::listen::{Authorizer, ConnectInfo, Principal};
use slipstream::store::{MessageType, Tag};
use support::{Peer, Server};

/// Knows two tokens: `all` may send everything, `shop` only SK and GK, and only to `orders` and `stock`.
struct Tokens;

#[async_trait]
impl Authorizer for Tokens {
    async fn authorize(&self, hello: &Hello, _: &ConnectInfo) -> Result<Principal, Refusal> {
        match hello.token.as_ref().map(Secret::expose) {
            Some("all") => Ok(Principal::named("everything")),
            Some("shop") => Ok(Principal::named("the shop")
                .may_send(["SK", "GK"].map(|name| MessageType::new(name).expect("a type")))
                .may_target(["orders", "stock"].map(|name| Tag::new(name).expect("a tag")))),
            Some(_) => Err(Refusal::forbidden("this token may not")),
            None => Err(Refusal::unauthorized("a bearer token is required")),
        }
    }
}

fn guarded() -> Place {
    let mut place = Place::new("guarded");
    place.authorizer = Arc::new(Tokens);
    place
}

async fn connect(relay: &Local, query: &str, token: &str) -> Peer {
    Peer::connect_to(relay.address, query, &[("Authorization", &format!("Bearer {token}"))]).await
}

fn set(id: &str, tags: &[&str]) -> Value {
    json!({"type": "SK", "key": "k", "value": 1, "messageId": id, "targetedTags": tags})
}

#[tokio::test]
async fn a_message_that_the_credential_does_not_permit_is_not_allowed() {
    let relay = guarded().start().await;
    let mut receiver = connect(&relay, "id=warehouse&tags=orders,money", "all").await;
    let mut shop = connect(&relay, "id=shop", "shop").await;
    for (message, part) in [
        (json!({"type": "CMD", "key": "k", "messageId": "no-1", "targetedTags": ["orders"]}), "type: "),
        (set("no-2", &["money"]), "targetedTags: "),
        (set("no-3", &["orders", "money"]), "money"),
        (set("no-4", &[]), "targetedTags: "),
    ] {
        let nack = shop.rejected(&message).await;
        assert_eq!((&nack["code"], &nack["messageId"]), (&json!("not_allowed"), &message["messageId"]), "{nack}");
        assert!(nack["reason"].as_str().is_some_and(|reason| reason.contains(part)), "{nack}");
    }
    shop.publish(set("yes-1", &["orders"])).await;
    shop.publish(set("yes-2", &["orders", "stock"])).await;
    for expected in ["yes-1", "yes-2"] {
        let message = receiver.take().await;
        assert_eq!(message.id(), expected, "nothing else was stored");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_message_that_is_not_permitted_is_told_before_anything_that_is_known_of_it() {
    let relay = guarded().start().await;
    let mut everyone = connect(&relay, "id=a", "all").await;
    let command = json!({"type": "CMD", "key": "k", "messageId": "m1"});
    everyone.publish(&command).await;
    let mut shop = connect(&relay, "id=shop", "shop").await;
    // A duplicate, and one that comes back to this relay, would be confirmed.
    assert_eq!(shop.rejected(&command).await["code"], "not_allowed");
    let looped = json!({"type": "CMD", "key": "k", "messageId": "m2", "messagePath": ["guarded"]});
    assert_eq!(shop.rejected(&looped).await["code"], "not_allowed");
    relay.stop().await;
}

#[tokio::test]
async fn what_a_restricted_peer_is_owed_reaches_it_and_its_acks_count() {
    let relay = guarded().start().await;
    let mut shop = connect(&relay, "id=shop&tags=stock", "shop").await;
    let mut everyone = connect(&relay, "id=a", "all").await;
    everyone.publish(json!({"type": "EVENT", "messageId": "m1", "targetedTags": ["stock"]})).await;
    assert_eq!(shop.take().await.id(), "m1");
    relay.backlog_becomes("shop", 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_dialled_peer_shows_no_credential_and_may_send_everything() {
    let server = Server::start().await;
    let mut place = Place::dialling("guarded", "app", &server.url());
    place.authorizer = Arc::new(Tokens);
    let relay = place.start().await;
    let mut link = server.granted(&[]).await;
    link.send(json!({"type": "EVENT", "messageId": "m1"})).await;
    assert_eq!(link.answer().await["type"], "ACK");
    relay.stop().await;
}
