//! What is lost with a process, with the standby and with the primary: nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::database::Database;
use super::grounds::{Grounds, lead};
use super::member::Member;
use crate::support::{Event, FIN, LIMIT, PONG, Peer, Server, get, upgrade};

fn text(id: &str) -> String {
    json!({"type": "EVENT", "messageId": id, "targetedTags": ["here"]}).to_string()
}

/// Sends a message as an application does that loses none: until it is confirmed, over as many links as it takes.
async fn confirmed(relay: SocketAddr, sender: &str, id: &str) {
    loop {
        if let Ok(mut link) = upgrade(relay, &format!("/?id={sender}"), &[]).await {
            link.writer.text(&text(id));
            while link.writer.flush().await.is_ok() {
                match event(&mut link).await {
                    Event::Answer(answer) if answer["type"] == "ACK" => return,
                    Event::Answer(answer) => {
                        assert_eq!(answer["code"], "storage_unavailable", "{answer}");
                        sleep(Duration::from_millis(50)).await;
                        link.writer.text(&text(id));
                    }
                    Event::Ping(payload) => link.writer.frame(FIN | PONG, &payload),
                    Event::Closed(..) => break,
                    other => panic!("{other:?} at {sender}"),
                }
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn event(link: &mut crate::support::Link) -> Event {
    crate::support::event(&mut link.reader).await
}

/// Takes the messages with these ids, whichever come again, over as many links as it takes.
async fn takes_all(relay: SocketAddr, receiver: &str, ids: &[&str]) {
    let mut left = ids.to_vec();
    while !left.is_empty() {
        let target = format!("/?id={receiver}&tags=here");
        let Ok(mut link) = upgrade(relay, &target, &[]).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        while !left.is_empty() && link.writer.flush().await.is_ok() {
            match event(&mut link).await {
                Event::Message(message) => {
                    if let Some(at) = left.iter().position(|id| *id == message.id()) {
                        assert_eq!(at, 0, "{} before {}", message.id(), left[0]);
                        left.remove(0);
                    }
                    link.writer.text(&json!({"type": "ACK", "messageId": message.id()}).to_string());
                    link.writer.flush().await.expect("the link is up");
                }
                Event::Ping(payload) => link.writer.frame(FIN | PONG, &payload),
                Event::Closed(..) => break,
                other => panic!("{other:?} at {receiver}"),
            }
        }
    }
}

/// Waits until a process is as ready as wanted, and returns what it says of that.
async fn ready(member: &Member, status: u16, says: &str) -> String {
    let begun = Instant::now();
    loop {
        let ready = get(member.admin, "/readyz").await;
        if ready.status == status && ready.body.contains(says) {
            return ready.body;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "not {status} with {says:?}: {} {}\n{}",
            ready.status,
            ready.body,
            member.said()
        );
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_of_a_killed_process_find_everything_at_another_and_its_dial_moves_there() {
    let server = Server::start().await;
    let outside = json!([{"url": server.url(), "id": "outside", "tags": ["here"]}]).to_string();
    let mut grounds = Grounds::simple(1, &[("URL_CONFIG", &outside)]).await;
    let mut dialled = server.granted(&[]).await;
    grounds.add_member(&[("URL_CONFIG", &outside)]).await;
    let [one, two] = &mut grounds.members[..] else { panic!("two processes") };
    server.not_dialled().await;
    let mut receiver = Peer::connect(one.relay(), "id=receiver&tags=here").await;
    let mut sender = Peer::connect(one.relay(), "id=sender").await;
    sender.publish(text("m-0")).await;
    assert_eq!((receiver.take().await.id(), dialled.take().await.id()), ("m-0", "m-0"));
    sender.publish(text("m-1")).await;
    one.kill().await;
    takes_all(two.links, "receiver", &["m-1"]).await;
    confirmed(two.links, "sender", "m-2").await;
    takes_all(two.links, "receiver", &["m-2"]).await;
    // Once the process is taken for dead.
    let mut dialled = server.granted(&[]).await;
    let mut ids = vec![dialled.take().await.id().to_owned(), dialled.take().await.id().to_owned()];
    if ids[0] == "m-0" {
        // Its acknowledgement need not have been committed.
        ids = vec![ids.remove(1), dialled.take().await.id().to_owned()];
    }
    assert_eq!(ids, ["m-1", "m-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_confirmed_without_the_standby_and_nothing_is_lost() {
    let mut grounds = Grounds::safe(2).await;
    let Grounds { members, database, .. } = &mut grounds;
    let [one, two] = &members[..] else { panic!("two processes") };
    drop(Peer::connect(two.relay(), "id=receiver&tags=here").await);
    confirmed(one.links, "sender", "m-0").await;
    database.kill_standby();
    let sending = [(one, "one", "m-1"), (two, "two", "m-2")]
        .map(|(member, sender, id)| tokio::spawn(confirmed(member.links, sender, id)));
    for member in [one, two] {
        println!("{}", ready(member, 503, "standby").await);
    }
    assert!(!sending.iter().any(JoinHandle::is_finished), "it is confirmed without the standby");
    database.begin_standby();
    for sending in sending {
        crate::support::within("the messages to be confirmed", sending).await.expect("it does not panic");
    }
    for member in [one, two] {
        ready(member, 200, "").await;
    }
    let mut receiver = Peer::connect(two.relay(), "id=receiver&tags=here").await;
    let mut ids = receiver.take_ids(3).await;
    ids.sort();
    assert_eq!(ids, ["m-0", "m-1", "m-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_go_on_at_the_new_primary_without_a_restart() {
    let mut grounds = Grounds::safe(2).await;
    let Grounds { members, database, ways, .. } = &mut grounds;
    let addresses = [members[0].links, members[1].links];
    drop(Peer::connect(members[1].relay(), "id=receiver&tags=here").await);
    confirmed(addresses[0], "sender", "m-0").await;
    let sending = tokio::spawn(async move {
        for number in 1..200 {
            confirmed(addresses[number % 2], "sender", &format!("m-{number}")).await;
        }
    });
    fail_over(database);
    // Nothing is confirmed until there is a standby again.
    database.add_standby();
    lead(ways, database);
    crate::support::within("all messages to be confirmed", sending).await.expect("it does not panic");
    let ids: Vec<_> = (0..200).map(|number| format!("m-{number}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    crate::support::within("all of them", takes_all(addresses[0], "receiver", &ids)).await;
    for member in members {
        assert_eq!((member.failure(), member.failed_starts), (None, 0));
        ready(member, 200, "").await;
    }
}

fn fail_over(database: &mut Database) {
    database.lose_primary();
    database.promote();
}
