//! A process that stands still, and then goes on with what it had: it serves nobody whom another process serves.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::grounds::Grounds;
use crate::support::{Condition, Event, Peer, Signal, event, within};

/// Longer than it takes to be taken for dead.
const LONG: Duration = Duration::from_secs(14);

fn text(id: &str) -> String {
    json!({"type": "EVENT", "messageId": id, "targetedTags": ["here"]}).to_string()
}

/// A message lies unread at a process that stands still. Its sender links elsewhere and sends a newer one. The older one is
/// neither confirmed nor passed on after that, although the process goes on.
async fn nothing_old_is_taken_in(pause: Duration) {
    let mut grounds = Grounds::simple(2, &[]).await;
    let [one, two] = &mut grounds.members[..] else { panic!("two processes") };
    let mut receiver = Peer::connect(two.relay(), "id=receiver&tags=here").await;
    let mut former = Peer::connect(one.relay(), "id=sender").await;
    former.publish(text("m-0")).await;
    one.signal(Signal::STOP);
    former.send(text("m-1")).await;
    let mut latter = Peer::connect(two.relay(), "id=sender").await;
    latter.publish(text("m-2")).await;
    // This is the fault.
    sleep(pause).await;
    one.signal(Signal::CONT);
    loop {
        match within("the end of the former link", event(&mut former.link.reader)).await {
            Event::Answer(answer) => assert_eq!(answer["type"], "NACK", "{answer}"),
            Event::Closed(code, reason) => break println!("the former link ended with {code} {reason}"),
            Event::Message(message) => panic!("{} on the former link", message.text),
            Event::Ping(_) | Event::Pong(_) => {}
        }
    }
    // It takes part again.
    let mut other = one.link("id=other").await;
    other.publish(text("m-3")).await;
    latter.publish(text("m-4")).await;
    assert_eq!(receiver.take_ids(4).await, ["m-0", "m-2", "m-3", "m-4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_old_is_taken_in_after_a_short_stop() {
    nothing_old_is_taken_in(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_old_is_taken_in_after_a_long_stop() {
    nothing_old_is_taken_in(LONG).await;
}

/// A process that was taken for dead goes on as a new one, in the same process.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_taken_for_dead_begins_again() {
    let mut grounds = Grounds::simple(2, &[]).await;
    let [one, two] = &mut grounds.members[..] else { panic!("two processes") };
    let mut kept = Peer::connect(one.relay(), "id=kept&tags=here").await;
    let mut moved = Peer::connect(one.relay(), "id=moved&tags=here").await;
    let mut sender = Peer::connect(two.relay(), "id=sender").await;
    one.signal(Signal::STOP);
    sender.publish(text("m-0")).await;
    let mut moved_to = Peer::connect(two.relay(), "id=moved&tags=here").await;
    assert_eq!(moved_to.take().await.id(), "m-0");
    sleep(LONG).await;
    one.signal(Signal::CONT);
    for former in [&mut kept, &mut moved] {
        println!("a link of the process ended with {:?}", former.closed().await);
    }
    assert_eq!(one.failure(), None);
    let mut kept = one.link("id=kept&tags=here").await;
    assert_eq!(kept.take().await.id(), "m-0");
    sender.publish(text("m-1")).await;
    assert_eq!((kept.take().await.id(), moved_to.take().await.id()), ("m-1", "m-1"));
    moved_to.silent().await;
}

/// A process that was taken for dead while it was still opening the store opens it again, and does not end.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_taken_for_dead_while_it_opened_the_store_begins_again() {
    let grounds = Grounds::simple(1, &[]).await;
    let (mut late, ways) = grounds.new_member(&[]).await;
    // So that opening takes a while.
    ways.become_all(Condition::Slow(Duration::from_millis(200)));
    let silence = async {
        while grounds.database.processes() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
        ways.become_all(Condition::Silent);
        sleep(LONG).await;
        assert_eq!(grounds.database.processes(), 1, "it was taken for dead");
        ways.become_all(Condition::Open);
    };
    tokio::join!(late.start(), silence);
    assert_eq!((late.failed_starts, late.failure()), (0, None));
    late.link("id=other").await.publish(text("m-0")).await;
}
