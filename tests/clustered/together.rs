//! What processes that share a store are together, while nothing befalls them.

use serde_json::{Value, json};

use super::grounds::Grounds;
use super::member::{Member, RELAY};
use crate::support::{Peer, eventually, get, request};

/// A message that names its receivers by a tag.
fn tagged(id: &str, tag: &str) -> String {
    json!({"type": "EVENT", "messageId": id, "targetedTags": [tag]}).to_string()
}

async fn asked(member: &Member, path: &str) -> Value {
    let response = get(member.admin, path).await;
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    response.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_takes_in_comes_to_who_is_linked_to_another() {
    let grounds = Grounds::simple(2, &[]).await;
    let [one, two] = &grounds.members[..] else { panic!("two processes") };
    let mut receiver = Peer::connect(one.relay(), "id=receiver&tags=here").await;
    let mut sender = Peer::connect(two.relay(), "id=sender").await;
    for number in 0..20 {
        let id = format!("m-{number}");
        sender.publish(tagged(&id, "here")).await;
        let message = receiver.take().await;
        assert_eq!((message.id(), &message.json["messagePath"]), (id.as_str(), &json!(["sender", RELAY])));
    }
    let mut sender_too = Peer::connect(one.relay(), "id=sender-too").await;
    for number in 20..40 {
        let by = if number % 2 == 0 { &mut sender } else { &mut sender_too };
        by.publish(tagged(&format!("m-{number}"), "here")).await;
    }
    let ids: Vec<_> = (20..40).map(|number| format!("m-{number}")).collect();
    assert_eq!(receiver.take_ids(20).await, ids, "in the one order in which they were confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_with_one_process_takes_over_the_link_with_another() {
    let grounds = Grounds::simple(2, &[]).await;
    let [one, two] = &grounds.members[..] else { panic!("two processes") };
    let mut sender = Peer::connect(one.relay(), "id=sender").await;
    let mut former = Peer::connect(one.relay(), "id=receiver&tags=here").await;
    sender.publish(tagged("m-0", "here")).await;
    assert_eq!(former.message().await.id(), "m-0", "it is not acknowledged");
    let mut latter = Peer::connect(two.relay(), "id=receiver&tags=here").await;
    assert_eq!(latter.take().await.id(), "m-0");
    assert_eq!(former.closed().await, (4000, "taken over".to_owned()));
    sender.publish(tagged("m-1", "here")).await;
    assert_eq!(latter.take().await.id(), "m-1");
    // And back.
    let mut last = Peer::connect(one.relay(), "id=receiver&tags=here").await;
    assert_eq!(latter.closed().await, (4000, "taken over".to_owned()));
    sender.publish(tagged("m-2", "here")).await;
    let mut came = vec![last.take().await.id().to_owned()];
    while came.last().is_some_and(|id| id != "m-2") {
        // The acknowledgements of these were read, and not committed before the link was taken over.
        came.push(last.take().await.id().to_owned());
    }
    assert!(["m-0", "m-1", "m-2"].map(str::to_owned).ends_with(&came), "{came:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_answers_for_all() {
    let grounds = Grounds::simple(2, &[]).await;
    let [one, two] = &grounds.members[..] else { panic!("two processes") };
    let mut sender = Peer::connect(one.relay(), "id=sender").await;
    let mut receiver = Peer::connect(two.relay(), "id=receiver&tags=here").await;
    drop(Peer::connect(two.relay(), "id=away&tags=here").await);
    sender.publish(tagged("m-0", "here")).await;
    receiver.take().await;
    sender.publish(tagged("m-1", "here")).await;
    let refused = receiver.message().await;
    receiver.send(json!({"type": "NACK", "messageId": refused.id(), "code": "broken", "reason": "no"})).await;
    for member in [one, two] {
        eventually("what both processes know to be told by each", || async {
            let peers = asked(member, "/api/v1/peers").await;
            let counts = |id: &str| {
                let peer = peers["items"].as_array()?.iter().find(|peer| peer["id"] == id)?;
                Some((peer["link"].as_str()? == "up", peer["backlog"].as_u64()?, peer["deadLetters"].as_u64()?))
            };
            let told = [counts("sender"), counts("receiver"), counts("away")];
            (told == [Some((true, 0, 0)), Some((true, 0, 1)), Some((false, 2, 0))]).then_some(())
        })
        .await;
        let status = asked(member, "/api/v1/status").await;
        assert_eq!((&status["peers"]["up"], &status["peers"]["down"]), (&json!(2), &json!(1)), "{status}");
        let trace = asked(member, "/api/v1/messages/m-1").await;
        let state = |peer: &str| {
            let deliveries = trace["deliveries"].as_array().expect("a list");
            deliveries.iter().find(|delivery| delivery["peer"] == peer).map(|delivery| delivery["state"].clone())
        };
        assert_eq!((state("receiver"), state("away")), (Some(json!("dead")), Some(json!("pending"))), "{trace}");
        let dead = asked(member, "/api/v1/dead-letters").await;
        assert_eq!(dead["items"][0]["messageId"], "m-1", "{dead}");
    }
    // The process to which the peer is not linked has it sent again.
    let redriven = request(one.admin, "POST", "/api/v1/dead-letters/redrive?peer=receiver", "", "").await;
    assert_eq!(redriven.status, 200, "{}", redriven.body);
    assert_eq!(receiver.take().await.id(), "m-1");
}
