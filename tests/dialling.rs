//! What a relay does with the servers that it is told to dial (PROTOCOL: "Saying who you are").

#![cfg(test)]

mod local;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use local::{Local, Place, dial};
use serde_json::json;
use slipstream::clock::{Clock as _, SystemClock};
use slipstream::link::Secret;
use slipstream::relay::DialState;
use slipstream::store::{ClusterGroup, PeerKind, Tag};
use support::{Event, Peer, Server, ServerLink};

fn event(id: &str) -> serde_json::Value {
    json!({"type": "EVENT", "messageId": id})
}

#[tokio::test]
async fn an_ordinary_server_is_an_application_under_what_is_configured() {
    let server = Server::start().await;
    let mut place = Place::new("here");
    place.settings.tags = Arc::from([Tag::new("aws").unwrap(), Tag::new("prod").unwrap()]);
    place.settings.cluster_group = ClusterGroup::new("g1").unwrap();
    let mut far = dial("far", &format!("{}path?x=y", server.url()));
    far.tags = Some(Arc::from([Tag::new("web").unwrap()]));
    far.group = Some(ClusterGroup::new("g2").unwrap());
    far.token = Some(Secret::new("s3cret".to_owned()));
    place.settings.peers.push(far);
    let relay = place.start().await;

    let request = server.dialled().await;
    assert_eq!(request.line(), "GET /path?x=y HTTP/1.1");
    for (header, value) in [
        ("host", server.address.to_string().as_str()),
        ("slipstream-id", "here"),
        ("slipstream-tags", "aws,prod"),
        ("slipstream-cluster-group", "g1"),
        ("slipstream-kind", "relay"),
        ("slipstream-accept", "ack-batch"),
        ("slipstream-max-message-bytes", "1048576"),
        ("authorization", "Bearer s3cret"),
    ] {
        assert_eq!(request.header(header), Some(value), "{header}");
    }
    let mut link = request.grant(&[]).await;
    relay.links("far").await;

    let mut app = relay.connect("id=app").await;
    app.publish(json!({"type": "SK", "key": "k", "value": 1, "messageId": "m1", "targetedTags": ["web"]})).await;
    app.publish(json!({"type": "EVENT", "messageId": "m2", "targetedInstances": ["other"]})).await;
    app.publish(json!({"type": "EVENT", "messageId": "m3", "targetedInstances": ["far"]})).await;
    assert_eq!(link.take().await.id(), "m1");
    assert_eq!(link.take().await.id(), "m3", "it is an application, so that it is only sent what names it");
    relay.backlog_becomes("far", 0).await;

    link.send(event("m4")).await;
    assert_eq!(link.answer().await["messageId"], "m4");
    let got = app.take().await;
    assert_eq!((got.id(), got.string("clusterGroupId")), ("m4", "g2"));
    assert_eq!(got.json["messagePath"], json!(["far", "here"]));
    relay.stop().await;
    assert_eq!(link.closed().await, (1001, "shutting down".to_owned()));
    server.not_dialled().await;
}

#[tokio::test]
async fn messages_are_held_for_a_server_that_was_never_reached_and_across_a_restart() {
    let server = Server::start().await;
    let (address, url) = (server.address, server.url());
    drop(server);
    let mut place = Place::dialling("here", "far", &url);
    let relay = place.start().await;
    let mut app = relay.connect("id=app").await;
    app.publish(json!({"type": "EVENT", "messageId": "m1", "targetedInstances": ["whoever"]})).await;
    relay.backlog_becomes("far", 1).await;
    relay.stop().await;

    let relay = place.start().await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m2")).await;
    let server = Server::at(address).await;
    let mut link = server.granted(&[]).await;
    assert_eq!(link.take().await.id(), "m2", "it is no relay, so that what names another is not for it");
    relay.backlog_becomes("far", 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_link_that_is_lost_is_dialled_again_and_what_is_owed_is_sent_again() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    for _ in 0..3 {
        let mut link = server.granted(&[]).await;
        assert_eq!(link.message().await.id(), "m1");
    }
    let mut link = server.granted(&[]).await;
    assert_eq!(link.take().await.id(), "m1");
    relay.backlog_becomes("far", 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_refusal_is_shown_and_its_retry_after_honoured() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let refusal = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 9\r\n\r\ntoo many\n";
    let refused = Instant::now();
    server.dialled().await.answer(refusal).await;
    let seen = relay.dial_becomes("a refusal", |dial| dial.failures == 1).await;
    let error = seen.last_error.unwrap();
    assert!(error.contains("503") && error.ends_with("too many"), "{error}");
    let mut link = server.granted(&[]).await;
    assert!(refused.elapsed() >= Duration::from_secs(1), "{:?}", refused.elapsed());
    relay.dial_becomes("a link", |dial| dial.state == DialState::Up && dial.last_error.is_none()).await;
    relay.stop().await;
    link.closed().await;
}

#[tokio::test]
async fn the_page_of_a_proxy_is_shown_and_the_date_in_its_retry_after_honoured() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let page = format!("<html>\n<h1>Back soon</h1>\n{}</html>\n", "<p>padding</p>\n".repeat(200));
    let clock = SystemClock::new();
    let until = Duration::from_secs(clock.now().as_millis() / 1_000 + 3);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + until);
    let length = page.len();
    let refusal =
        format!("HTTP/1.1 503 Service Unavailable\r\nRetry-After: {date}\r\nContent-Length: {length}\r\n\r\n{page}");
    server.dialled().await.answer(&refusal).await;
    let seen = relay.dial_becomes("a refusal", |dial| dial.failures == 1).await;
    let error = seen.last_error.unwrap();
    assert!(error.contains("503") && error.contains("<html> <h1>Back soon</h1> <p>padding"), "{error}");
    assert!(error.len() < 1_200, "{} bytes are shown", error.len());
    let mut link = server.granted(&[]).await;
    assert!(u128::from(clock.now().as_millis()) >= until.as_millis(), "it was dialled before {date}");
    relay.stop().await;
    link.closed().await;
}

#[tokio::test]
async fn a_server_that_cannot_prove_that_it_read_the_key_gets_no_link() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let wrong = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    server.dialled().await.answer(wrong).await;
    let seen = relay.dial_becomes("a failed dial", |dial| dial.failures == 1).await;
    assert!(seen.last_error.unwrap().contains("Sec-WebSocket-Accept"));
    relay.stop().await;
}

#[tokio::test]
async fn the_circuit_opens_after_so_many_failures_and_closes_when_the_server_is_there() {
    let server = Server::start().await;
    let (address, url) = (server.address, server.url());
    drop(server);
    let mut place = Place::dialling("here", "far", &url);
    place.settings.dial.attempts = 3;
    let relay = place.start().await;
    let seen = relay.dial_becomes("an open circuit", |dial| dial.state == DialState::CircuitOpen).await;
    assert!(seen.failures >= 3 && seen.last_error.is_some(), "{seen:?}");
    // It is dialled on.
    relay.dial_becomes("another dial", |dial| dial.failures > seen.failures).await;
    let server = Server::at(address).await;
    let link = server.granted(&[]).await;
    let seen = relay.dial_becomes("a closed circuit", |dial| dial.state == DialState::Up).await;
    assert_eq!((seen.failures, seen.last_error), (0, None));
    drop(link);
    server.granted(&[]).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_server_with_this_relays_own_id_is_refused() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let mut link = server.granted(&[("Slipstream-Id", "here"), ("Slipstream-Kind", "relay")]).await;
    assert_eq!(link.closed().await.0, 1006);
    let seen = relay.dial_becomes("a failed dial", |dial| dial.failures == 1).await;
    let error = seen.last_error.unwrap();
    assert!(error.contains("here") && error.contains("own"), "{error}");
    assert_eq!(relay.remembered().await.len(), 1, "nobody but the alias is remembered");
    relay.stop().await;
}

#[tokio::test]
async fn no_message_over_the_announced_limit_is_sent() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let mut link = server.granted(&[("Slipstream-Max-Message-Bytes", "500")]).await;
    let mut app = relay.connect("id=app").await;
    app.publish(json!({"type": "SK", "key": "k", "value": "v".repeat(500), "messageId": "long"})).await;
    app.publish(event("short")).await;
    assert_eq!(link.take().await.id(), "short");
    relay.backlog_becomes("far", 0).await;
    assert_eq!(relay.observer.observe().await.store.unwrap().dead_letters, 1);
    relay.stop().await;
}

#[tokio::test]
async fn batched_acks_go_only_to_a_server_that_takes_them() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    for (headers, batched) in [(&[("Slipstream-Accept", "ack-batch")][..], true), (&[], false)] {
        let mut link = server.granted(headers).await;
        let round = u8::from(batched);
        // Sent at once, so that they are answered together: the first commit takes the others along.
        for number in 0..200 {
            link.send(event(&format!("m{round}-{number}"))).await;
        }
        let (mut answered, mut answers) = (0, 0);
        while answered < 200 {
            let answer = link.answer().await;
            answers += 1;
            answered += answer["messageIds"].as_array().map_or(1, Vec::len);
        }
        assert_eq!(answers < 200, batched, "{answers} ACKs");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_peer_that_links_by_itself_takes_over_and_is_not_dialled_meanwhile() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    let relay = place.start().await;
    let mut link = server.granted(&[("Slipstream-Id", "far")]).await;
    relay.links("far").await;
    let mut itself = relay.connect("id=far&tags=t").await;
    assert_eq!(link.closed().await, (4000, "taken over".to_owned()));
    server.not_dialled().await;
    assert_eq!(relay.observer.dials()[0].failures, 0);
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    assert_eq!(itself.take().await.id(), "m1");
    drop(itself);
    let mut link = server.granted(&[]).await;
    app.publish(event("m2")).await;
    loop {
        // The ACK of m1 may have been lost with the link.
        let message = link.take().await;
        if message.id() == "m2" {
            break;
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn configured_tags_and_group_win_over_announced_ones_whichever_end_began_the_link() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    place.settings.peers[0].tags = Some(Arc::from([Tag::new("configured").unwrap()]));
    let relay = place.start().await;
    let announced = [("Slipstream-Id", "far"), ("Slipstream-Tags", "x,y"), ("Slipstream-Cluster-Group", "theirs")];
    let mut link = server.granted(&announced).await;
    relay.links("far").await;
    let as_remembered = async || {
        let peers = relay.remembered().await;
        let peer = peers.iter().find(|peer| peer.id.as_str() == "far").unwrap();
        assert_eq!(peer.kind, PeerKind::Application);
        (peer.tags.iter().map(ToString::to_string).collect::<Vec<_>>(), peer.group.to_string())
    };
    assert_eq!(as_remembered().await, (vec!["configured".to_owned()], "theirs".to_owned()));
    let itself = Peer::connect_to(relay.address, "id=far&tags=z&clusterGroupId=ours", &[]).await;
    assert!(matches!(link.event().await, Event::Closed(4000, _)));
    assert_eq!(as_remembered().await, (vec!["configured".to_owned()], "ours".to_owned()));
    drop(itself);
    relay.stop().await;
}

/// A relay `here` that dials a relay with this id, which dials it too; the two links in the order in which they began.
async fn two_links(relay: &Local, server: &Server, id: &str, own_first: bool) -> (ServerLink, Peer) {
    let query = format!("id={id}");
    let announced = [("Slipstream-Id", id), ("Slipstream-Kind", "relay")];
    let request = server.dialled().await;
    if own_first {
        let own = request.grant(&announced).await;
        relay.links(id).await;
        return (own, Peer::connect_to(relay.address, &query, &announced[1..]).await);
    }
    let theirs = Peer::connect_to(relay.address, &query, &announced[1..]).await;
    relay.links(id).await;
    (request.grant(&announced).await, theirs)
}

#[tokio::test]
async fn of_two_links_at_once_the_one_that_the_smaller_id_dialled_stays_whichever_began_first() {
    for (id, own_stays) in [("aaa", false), ("zzz", true)] {
        for own_first in [true, false] {
            let server = Server::start().await;
            let mut place = Place::dialling("here", "far", &server.url());
            let relay = place.start().await;
            let (mut own, mut theirs) = two_links(&relay, &server, id, own_first).await;
            let taken_over = (4000, "taken over".to_owned());
            let mut app = relay.connect("id=app").await;
            if own_stays {
                assert_eq!(theirs.closed().await, taken_over, "{id} {own_first}");
                app.publish(event("m1")).await;
                assert_eq!(own.take().await.id(), "m1");
            } else {
                assert_eq!(own.closed().await, taken_over, "{id} {own_first}");
                app.publish(event("m1")).await;
                assert_eq!(theirs.take().await.id(), "m1");
            }
            assert_eq!(relay.observer.dials()[0].failures, 0, "a link that gives way is no failed dial");
            server.not_dialled().await;
            relay.stop().await;
        }
    }
}

#[tokio::test]
async fn a_link_that_begins_long_after_another_takes_over_whoever_dialled_it() {
    let server = Server::start().await;
    let mut place = Place::dialling("here", "far", &server.url());
    // So long do links count as begun at once.
    let at_once = place.settings.dial.timeout.max(place.settings.listen.handshake_timeout);
    let relay = place.start().await;
    let announced = [("Slipstream-Id", "zzz"), ("Slipstream-Kind", "relay")];
    let mut own = server.granted(&announced).await;
    relay.links("zzz").await;
    // The clock alone goes on; nothing has to be done within that time.
    tokio::time::pause();
    tokio::time::advance(2 * at_once).await;
    tokio::time::resume();
    let mut theirs = Peer::connect_to(relay.address, "id=zzz", &announced[1..]).await;
    assert_eq!(own.closed().await, (4000, "taken over".to_owned()));
    let mut app = relay.connect("id=app").await;
    app.publish(event("m1")).await;
    assert_eq!(theirs.take().await.id(), "m1");
    relay.stop().await;
}
