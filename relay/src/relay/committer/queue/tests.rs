//! What waits in the queue, and for what.

use slipstream_conformance::fixture::{plain, put};
use tokio::task::yield_now;

use super::*;
use crate::relay::dispatcher::Wake;
use crate::relay::links::Outbox;

fn message(text: &'static str) -> Submission {
    let record = Box::new(Record { text: text.into(), ..plain("m", &[]) });
    let reply = ReplyTo(Arc::new(Outbox::new(1, Arc::<Wake>::default())));
    let (read_at, from_relay, mandatory, trace) = (Duration::ZERO, false, false, None);
    let instances = Box::default();
    let routed_by = Default::default();
    Submission::Message(
        record,
        Arrival { reply, read_at, from_relay, unrouted: None, routed_by, instances, mandatory, trace },
    )
}

fn room(places: usize, bytes: u32) -> (CommitQueue, Submissions) {
    queue(&StageLimits { commit_queue: places, commit_queue_bytes: bytes, ..StageLimits::default() })
}

#[tokio::test]
async fn a_burst_that_meets_the_limit_of_bytes_waits_for_the_answers_to_what_came_before() {
    let (queue, mut submissions) = room(100, 10);
    let mut burst = queue.burst();
    assert!(burst.try_add(message("1234")).is_none() && burst.try_add(message("567890")).is_none());
    let rest = burst.try_add(message("!")).expect("there is no room");
    queue.submit(burst).unwrap();
    let mut burst = queue.burst();
    let waiting = tokio::spawn(async move {
        burst.add(rest).await.unwrap();
        burst
    });
    let taken: Vec<usize> =
        [submissions.at_hand(), submissions.at_hand()].into_iter().flatten().map(|taken| taken.length()).collect();
    assert_eq!((taken, submissions.at_hand().is_none()), (vec![4, 6], true));
    yield_now().await;
    assert!(!waiting.is_finished(), "what was taken has its bytes until it is answered");
    drop(submissions.share());
    assert_eq!(waiting.await.unwrap().submissions.len(), 1);
}

#[tokio::test]
async fn a_place_is_free_once_a_burst_was_taken_and_when_it_is_dropped() {
    let (queue, mut submissions) = room(2, 100);
    let mut burst = queue.burst();
    assert!(burst.try_add(message("a")).is_none() && burst.try_add(message("b")).is_none());
    assert!(burst.try_add(message("c")).is_some());
    drop(burst);
    let mut burst = queue.burst();
    assert!(burst.try_add(message("a")).is_none() && burst.try_add(message("b")).is_none());
    queue.submit(burst).unwrap();
    submissions.next().await.unwrap();
    assert!(queue.burst().try_add(message("c")).is_some(), "it was not all taken");
    submissions.next().await.unwrap();
    assert!(queue.burst().try_add(message("c")).is_none());
}

#[tokio::test]
async fn one_larger_than_the_room_may_wait_alone_and_nobody_waits_for_a_committer_that_has_ended() {
    let (queue, submissions) = room(100, 4);
    let mut burst = queue.burst();
    assert!(burst.try_add(message("far too long")).is_none() && burst.try_add(message("x")).is_some());
    let mut other = queue.burst();
    let waiting = tokio::spawn(async move { other.add(message("y")).await });
    yield_now().await;
    assert!(!waiting.is_finished());
    drop(submissions);
    assert_eq!(waiting.await.unwrap(), Err(StoreError::Closed));
    assert_eq!(queue.submit(burst), Err(StoreError::Closed));
    assert_eq!(queue.apply_each(vec![put(plain("m", &[]))]).await, Err(StoreError::Closed));
}
