//! What a relay holds for a server that it dials before it knows who is there (PROTOCOL: "Saying who you are").

#![cfg(test)]

mod local;
mod support;

use std::time::Duration;

use local::{Local, Place};
use serde_json::json;
use slipstream::store::Peer as Remembered;
use support::{Peer, Relay, Server, ServerLink, upgrade};

const RELAY: [(&str, &str); 2] = [("Slipstream-Id", "relay-b"), ("Slipstream-Kind", "relay")];

fn event(id: &str) -> serde_json::Value {
    json!({"type": "EVENT", "messageId": id})
}

/// The remembered peers as `id`, or `id alias` where the two differ.
async fn peers(relay: &Local) -> Vec<String> {
    let peers = relay.remembered().await.into_iter();
    let alias = |peer: &Remembered| peer.alias.clone().filter(|alias| *alias != peer.id);
    peers.map(|peer| alias(&peer).map_or(peer.id.to_string(), |alias| format!("{} {alias}", peer.id))).collect()
}

async fn take_ids(link: &mut ServerLink, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(link.take().await.id().to_owned());
    }
    ids
}

#[tokio::test]
async fn what_was_held_under_the_alias_moves_in_order_and_stays_with_its_peer_across_restarts() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    // It asks, and is kept waiting until there is something to move.
    let relay = place.start().await;
    let request = server.dialled().await;
    let mut app = relay.connect("id=app").await;
    for id in ["m1", "m2", "m3"] {
        app.publish(event(id)).await;
    }
    assert_eq!(peers(&relay).await, ["app", "far"]);
    let mut link = request.grant(&RELAY).await;
    assert_eq!(take_ids(&mut link, 2).await, ["m1", "m2"]);
    assert_eq!(link.message().await.id(), "m3");
    assert_eq!(peers(&relay).await, ["app", "relay-b far"]);
    app.publish(event("m4")).await;
    assert_eq!(link.message().await.id(), "m4");
    relay.backlog_becomes("relay-b", 2).await;
    relay.stop().await;

    // After a restart it is known who is behind the alias, and nothing is held twice.
    let relay = place.start().await;
    let request = server.dialled().await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m5")).await;
    assert_eq!(peers(&relay).await, ["app", "relay-b far"]);
    relay.backlog_becomes("relay-b", 3).await;
    let mut link = request.grant(&RELAY).await;
    assert_eq!(take_ids(&mut link, 3).await, ["m3", "m4", "m5"]);
    app.publish(event("m6")).await;
    assert_eq!(take_ids(&mut link, 1).await, ["m6"]);
    relay.backlog_becomes("relay-b", 0).await;
    assert_eq!(peers(&relay).await, ["app", "relay-b far"]);
    relay.stop().await;
}

/// A message that is only for these applications.
fn event_for(id: &str, instances: &[&str]) -> serde_json::Value {
    json!({"type": "EVENT", "messageId": id, "targetedInstances": instances})
}

#[tokio::test]
async fn an_ordinary_server_that_comes_up_later_gets_only_what_is_for_it() {
    let server = Server::start().await;
    let (address, url) = (server.address, server.url());
    drop(server);
    let folder = tempfile::tempdir().expect("a folder");
    let peers = json!([{"url": url, "id": "far"}]).to_string();
    let flags = ["--instance-id", "here", "--retry-in-n-seconds", "200ms", "--url-config", &peers];
    let (owed, expired) = (r#"slipstream_backlog{peer="far"}"#, r#"slipstream_deliveries_total{outcome="expired"}"#);
    let relay = Relay::start(folder.path(), &flags).await;
    let mut app = Peer::connect(&relay, "id=app").await;
    app.publish(event_for("m1", &["somebody-else"])).await;
    app.publish(event("m2")).await;
    app.publish(event_for("m3", &["somebody-else", "far"])).await;
    app.publish(event_for("m4", &["somebody-else"])).await;
    relay.metric_becomes(owed, 4.0).await;

    let server = Server::at(address).await;
    let mut link = server.granted(&[]).await;
    assert_eq!(link.take().await.id(), "m2");
    assert_eq!(link.take().await.id(), "m3");
    app.publish(event_for("m5", &["somebody-else"])).await;
    app.publish(event("m6")).await;
    assert_eq!(link.take().await.id(), "m6");
    relay.metric_becomes(owed, 0.0).await;
    assert_eq!(relay.metric(expired).await, 2.0, "what it did not get is settled");
    assert_eq!(relay.metric("slipstream_dead_letters").await, 0.0);
    assert!(relay.stop().await.success());
    assert_eq!(support::counts(&folder.path().join("store")).await["pending"], 0);
}

#[tokio::test]
async fn what_was_held_under_the_alias_of_an_application_goes_by_both_its_names_and_not_back_to_it() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let request = server.dialled().await;
    // It comes by itself first, and nobody knows that it is the one behind the alias.
    let mut itself = relay.connect("id=shop").await;
    itself.publish(event("m1")).await;
    let mut app = relay.connect("id=app").await;
    app.publish(event_for("m2", &["far"])).await;
    app.publish(event_for("m3", &["shop"])).await;
    app.publish(event_for("m4", &["somebody-else"])).await;
    assert_eq!(itself.take().await.id(), "m3");
    relay.backlog_becomes("shop", 0).await;
    relay.backlog_becomes("far", 4).await;
    let mut link = request.grant(&[("Slipstream-Id", "shop")]).await;
    assert_eq!(itself.closed().await, (4000, "taken over".to_owned()));
    assert_eq!(link.take().await.id(), "m2");
    assert_eq!(link.take().await.id(), "m3", "it was owed to both");
    app.publish(event("m5")).await;
    assert_eq!(link.take().await.id(), "m5");
    relay.backlog_becomes("shop", 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_in_the_place_of_an_ordinary_server_gets_what_was_held_for_that() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let link = server.granted(&[]).await;
    relay.links("far").await;
    let mut app = relay.connect("id=app").await;
    // Nobody knew that there would be others behind it.
    app.publish(event_for("m1", &["behind"])).await;
    app.publish(event_for("m2", &["far"])).await;
    app.publish(event("m3")).await;
    drop(link);
    let mut link = server.granted(&RELAY).await;
    assert_eq!(take_ids(&mut link, 2).await, ["m2", "m3"]);
    app.publish(event_for("m4", &["behind"])).await;
    assert_eq!(take_ids(&mut link, 1).await, ["m4"]);
    relay.backlog_becomes("relay-b", 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_or_comes_twice_while_the_alias_is_given_up() {
    const MESSAGES: usize = 300;
    for round in 0..20 {
        let server = Server::start().await;
        let mut place = Place::dialling("here", "far", &server.url());
        let relay = place.start().await;
        let request = server.dialled().await;
        let mut app = relay.connect("id=app").await;
        // The link begins somewhere in the middle of them.
        for number in 0..MESSAGES {
            app.link.writer.text(&event(&format!("m{number}")).to_string());
        }
        app.link.writer.flush().await.expect("the link is up");
        for _ in 0..round * 10 {
            app.answer().await;
        }
        let mut link = request.grant(&RELAY).await;
        for number in 0..MESSAGES {
            assert_eq!(link.take().await.id(), format!("m{number}"), "in round {round}");
        }
        relay.backlog_becomes("relay-b", 0).await;
        drop(link);
        relay.stop().await;
    }
}

#[tokio::test]
async fn what_is_held_for_a_server_that_was_replaced_stays_its_own() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let mut link = server.granted(&[("Slipstream-Id", "first")]).await;
    relay.links("first").await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    assert_eq!(link.message().await.id(), "m1");
    drop(link);

    let mut link = server.granted(&[("Slipstream-Id", "second")]).await;
    relay.links("second").await;
    assert_eq!(peers(&relay).await, ["app", "first", "second far"]);
    app.publish(event("m2")).await;
    assert_eq!(link.take().await.id(), "m2");
    relay.stop().await;

    let relay = place.start().await;
    assert_eq!(peers(&relay).await, ["app", "first", "second far"]);
    // The former one comes by itself.
    let mut first = relay.connect("id=first").await;
    assert_eq!(first.take_ids(2).await, ["m1", "m2"]);
    // One that announces nothing is an application under the alias.
    let mut link = server.granted(&[]).await;
    relay.links("far").await;
    assert_eq!(peers(&relay).await, ["app", "far", "first", "second"]);
    let mut app = relay.connect("id=app").await;
    app.publish(event("m3")).await;
    assert_eq!(link.take().await.id(), "m3");
    relay.stop().await;
}

#[tokio::test]
async fn an_ordinary_server_that_announces_an_id_later_keeps_what_it_is_owed() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let mut link = server.granted(&[]).await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    app.publish(event("m2")).await;
    assert_eq!(link.take().await.id(), "m1");
    drop(link);
    let mut link = server.granted(&RELAY).await;
    assert_eq!(link.take().await.id(), "m2");
    assert_eq!(peers(&relay).await, ["app", "relay-b far"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_links_by_itself_before_it_is_dialled_gets_what_was_held_under_the_alias_too() {
    // Of the two links the one that the smaller id dialled stays; `here` stands between the two.
    for (id, own_stays) in [("zzz", true), ("aaa", false)] {
        let server = Server::start().await;
        let mut place = Place::dialling("here", "far", &server.url());
        let relay = place.start().await;
        let request = server.dialled().await;
        let mut app = relay.connect("id=app").await;
        app.publish(event("m1")).await;
        let query = format!("id={id}");
        let kind = [("Slipstream-Kind", "relay")];
        let mut itself = support::Peer::connect_to(relay.address, &query, &kind).await;
        relay.links(id).await;
        app.publish(event("m2")).await;
        assert_eq!(itself.take().await.id(), "m2");

        let mut link = request.grant(&[("Slipstream-Id", id), kind[0]]).await;
        if own_stays {
            assert_eq!(itself.closed().await, (4000, "taken over".to_owned()));
            assert_eq!(link.take().await.id(), "m1");
        } else {
            assert_eq!(link.closed().await, (4000, "taken over".to_owned()));
            assert_eq!(itself.take().await.id(), "m1");
        }
        server.not_dialled().await;
        assert_eq!(
            peers(&relay).await.last().unwrap(),
            &if own_stays { format!("{id} far") } else { "app".to_owned() }
        );
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_dialled_peer_is_forgotten_for_being_away_only_once_it_is_dialled_no_more() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    place.settings.peer_ttl = Duration::from_millis(1);
    place.settings.stages.janitor_interval = Duration::from_millis(10);
    let relay = place.start().await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    // Another peer that goes at the same time is forgotten.
    drop(relay.connect("id=passer-by").await);
    let forgotten = || async { (peers(&relay).await == ["app", "far"]).then_some(()) };
    support::eventually("the passer-by to be forgotten", forgotten).await;
    relay.backlog_becomes("far", 1).await;
    let mut link = server.granted(&RELAY).await;
    assert_eq!(link.take().await.id(), "m1");
    drop((link, server));
    let kept = || async { (peers(&relay).await == ["app", "relay-b far"]).then_some(()) };
    support::eventually("the peer in place of its alias", kept).await;
    drop(relay.connect("id=passer-by").await);
    support::eventually("the passer-by to be forgotten", kept).await;
    drop(app);
    relay.stop().await;

    place.settings.peers.clear();
    let relay = place.start().await;
    let forgotten = || async { peers(&relay).await.is_empty().then_some(()) };
    support::eventually("everyone to be forgotten", forgotten).await;
    relay.stop().await;
}

/// Asserts that an application gets no link under this id, and is told so.
async fn refused_as_alias(address: std::net::SocketAddr, id: &str) {
    let refused = support::within("a refusal", upgrade(address, &format!("/?id={id}"), &[])).await;
    let response = refused.expect_err("it is the alias of another").expect("it is told so");
    assert_eq!(response.status, 400);
    support::assert_has(&response.body, [id, "alias", "announced"]);
}

#[tokio::test]
async fn no_application_links_under_the_alias_of_a_peer_that_has_not_announced_an_id() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    // While it is dialled.
    let request = server.dialled().await;
    let before = relay.remembered().await;
    refused_as_alias(relay.address, "far").await;
    assert_eq!(relay.remembered().await, before, "no state is touched");
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    relay.backlog_becomes("far", 1).await;
    request.answer("HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n").await;
    // Between two dials, which go on, and while it is linked and has announced nothing.
    refused_as_alias(relay.address, "far").await;
    let mut link = server.granted(&[]).await;
    relay.links("far").await;
    refused_as_alias(relay.address, "far").await;
    assert_eq!(link.message().await.id(), "m1");
    drop(link);
    relay.stop().await;

    // After a restart, too, and until it has announced an id.
    let relay = place.start().await;
    let request = server.dialled().await;
    refused_as_alias(relay.address, "far").await;
    let mut link = request.grant(&RELAY).await;
    assert_eq!(link.take().await.id(), "m1", "what is owed to the alias is the relay's");
    assert_eq!(peers(&relay).await, ["app", "relay-b far"]);
    // From then on it is an id like any other.
    let mut application = relay.connect("id=far").await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m2")).await;
    assert_eq!((application.take().await.id(), link.take().await.id()), ("m2", "m2"));
    assert_eq!(peers(&relay).await, ["app", "far", "relay-b far"]);
    relay.stop().await;
    let relay = place.start().await;
    relay.connect("id=far").await;
    relay.stop().await;
}

#[tokio::test]
async fn what_an_application_is_owed_stays_its_own_where_its_id_becomes_an_alias_later() {
    let server = Server::start().await;
    let (address, url) = (server.address, server.url());
    drop(server);
    let mut place = Place::new("here");
    let relay = place.start().await;
    drop(relay.connect("id=far").await);
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    relay.stop().await;

    place.settings.peers.push(local::dial("far", &url));
    // A restart before the first contact changes nothing.
    for id in ["m2", "m3"] {
        let relay = place.start().await;
        refused_as_alias(relay.address, "far").await;
        relay.connect("id=app").await.publish(event(id)).await;
        relay.stop().await;
    }
    let relay = place.start().await;
    let server = Server::at(address).await;
    let mut link = server.granted(&RELAY).await;
    assert_eq!(take_ids(&mut link, 2).await, ["m2", "m3"], "what came since it was configured");
    let mut application = relay.connect("id=far").await;
    assert_eq!(application.take_ids(3).await, ["m1", "m2", "m3"], "nothing of it was lost");
    assert_eq!(peers(&relay).await, ["app", "far", "relay-b far"]);

    // Where no id is announced any more, the application keeps its id.
    drop(link);
    server.granted(&[]).await;
    let seen = relay.dial_becomes("a failed dial", |dial| dial.failures > 0).await;
    support::assert_has(&seen.last_error.expect("an error"), ["far", "application"]);
    let mut app = relay.connect("id=app").await;
    app.publish(event("m4")).await;
    assert_eq!(application.take().await.id(), "m4");
    relay.stop().await;
}

#[tokio::test]
async fn an_application_that_is_dialled_from_now_on_gets_what_it_is_owed() {
    let server = Server::start().await;
    let mut place = Place::new("here");
    let relay = place.start().await;
    drop(relay.connect("id=far").await);
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    relay.stop().await;

    place.settings.peers.push(local::dial("far", &server.url()));
    let relay = place.start().await;
    relay.connect("id=app").await.publish(event("m2")).await;
    let mut link = server.granted(&[]).await;
    assert_eq!(take_ids(&mut link, 2).await, ["m1", "m2"]);
    relay.backlog_becomes("far", 0).await;
    assert_eq!(peers(&relay).await, ["app", "far"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_has_linked_under_the_alias_itself_keeps_what_it_is_owed() {
    let kind = [("Slipstream-Kind", "relay")];
    let server = Server::start().await;
    let mut place = Place::dialling("here", "relay-a", &server.url());
    let relay = place.start().await;
    let request = server.dialled().await;
    let mut itself = Peer::connect_to(relay.address, "id=relay-a", &kind).await;
    relay.links("relay-a").await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    assert_eq!(itself.message().await.id(), "m1");
    drop(itself);
    // Somebody else answers where it is dialled.
    let mut link = request.grant(&RELAY).await;
    relay.links("relay-b").await;
    app.publish(event("m2")).await;
    assert_eq!(link.take().await.id(), "m2", "it is owed nothing from before");
    relay.backlog_becomes("relay-a", 2).await;
    drop(link);
    relay.stop().await;
    let relay = place.start().await;
    let mut itself = Peer::connect_to(relay.address, "id=relay-a", &kind).await;
    assert_eq!(itself.take_ids(2).await, ["m1", "m2"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_server_that_has_announced_its_alias_is_another_than_one_that_announces_another_id() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let mut link = server.granted(&[("Slipstream-Id", "far")]).await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    assert_eq!(link.message().await.id(), "m1");
    drop(link);
    let mut link = server.granted(&[("Slipstream-Id", "other")]).await;
    relay.links("other").await;
    app.publish(event("m2")).await;
    assert_eq!(link.take().await.id(), "m2");
    relay.backlog_becomes("far", 2).await;
    let mut itself = relay.connect("id=far").await;
    assert_eq!(itself.take_ids(2).await, ["m1", "m2"]);
    relay.stop().await;
}

#[tokio::test]
async fn the_store_keeps_whose_the_alias_is() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let peers = json!([{"url": server.url(), "id": "far"}]).to_string();
    let flags = ["--instance-id", "here", "--retry-in-n-seconds", "100ms", "--url-config", &peers];
    let relay = Relay::start(folder.path(), &flags).await;
    let _request = server.dialled().await;
    Peer::connect(&relay, "id=app").await.publish(event("m1")).await;
    refused_as_alias(relay.links, "far").await;
    assert!(relay.stop().await.success());

    let relay = Relay::start(folder.path(), &flags).await;
    refused_as_alias(relay.links, "far").await;
    // The dial of the run before may still wait to be accepted.
    let mut link = loop {
        let mut link = server.granted(&RELAY).await;
        if let support::Event::Message(message) = link.event().await {
            assert_eq!(message.id(), "m1", "it was owed to the alias");
            break link;
        }
    };
    link.send(json!({"type": "ACK", "messageId": "m1"})).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="relay-b"}"#, 0.0).await;
    drop(Peer::connect(&relay, "id=far").await);
    assert!(relay.stop().await.success());
    let relay = Relay::start(folder.path(), &flags).await;
    Peer::connect(&relay, "id=far").await;
}
