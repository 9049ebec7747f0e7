//! How long credentials wait, and for whom.

use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn failures(limits: FailureLimits) -> Failures {
    Failures::new(limits, Duration::from_secs(10))
}

fn source(last: u8) -> Source {
    Source::of(Ipv4Addr::new(192, 0, 2, last).into())
}

fn id(text: &str) -> PeerId {
    PeerId::new(text).expect("an id")
}

/// Tries wrong credentials, and returns how long each waited, in milliseconds.
fn fail(failures: &Failures, times: usize, now: Instant) -> Vec<u128> {
    let attempt = |_| {
        let attempt = failures.attempt(source(1), None, now).expect("nobody waits");
        attempt.failed(now);
        attempt.wait().as_millis()
    };
    (0..times).map(attempt).collect()
}

fn wait(failures: &Failures, source: Source, id: Option<&PeerId>, now: Instant) -> u128 {
    failures.attempt(source, id, now).expect("few wait").wait().as_millis()
}

#[test]
fn after_a_few_failures_each_waits_longer_up_to_a_limit() {
    let (failures, now) = (failures(FailureLimits::default()), Instant::now());
    assert_eq!(fail(&failures, 12, now), [0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
    assert_eq!(wait(&failures, source(2), None, now), 0, "another address does not wait");
    let hurried = Failures::new(FailureLimits::default(), Duration::from_secs(1));
    assert_eq!(fail(&hurried, 9, now)[5..], [250, 500, 500, 500], "the handshake leaves time to check it");
}

#[test]
fn failures_are_forgiven_one_by_one() {
    let (failures, now) = (failures(FailureLimits::default()), Instant::now());
    fail(&failures, 1_000, now);
    let later = |seconds| wait(&failures, source(1), None, now + Duration::from_secs(seconds));
    assert_eq!([0, 120, 150, 180, 210, 240].map(later), [4000, 2000, 1000, 500, 250, 0]);
}

#[test]
fn only_a_few_wait_at_a_time() {
    let (failures, now) = (failures(FailureLimits::default()), Instant::now());
    fail(&failures, 20, now);
    let waiting: Vec<_> = (0..8).map(|_| failures.attempt(source(1), None, now).expect("few wait")).collect();
    assert!(failures.attempt(source(1), None, now).is_none());
    assert_eq!(wait(&failures, source(2), None, now), 0, "another address is not held up");
    drop(waiting);
    assert_eq!(wait(&failures, source(1), None, now), 4000);
    assert!(failures.remembered.lock().waiting.is_empty());
}

#[test]
fn a_peer_whose_credential_was_good_does_not_wait_with_the_others() {
    let (failures, now) = (failures(FailureLimits::default()), Instant::now());
    let (shop, stranger) = (id("shop"), id("stranger"));
    failures.attempt(source(1), Some(&shop), now).expect("nobody waits").succeeded();
    fail(&failures, 20, now);
    assert_eq!(wait(&failures, source(1), Some(&shop), now), 0);
    assert_eq!(wait(&failures, source(1), Some(&stranger), now), 4000);
    for _ in 0..20 {
        failures.attempt(source(1), Some(&shop), now).expect("nobody waits").failed(now);
    }
    assert_eq!(wait(&failures, source(1), Some(&shop), now), 4000, "its name alone opens nothing");
}

#[test]
fn a_good_credential_forgives_nothing() {
    let (failures, now) = (failures(FailureLimits::default()), Instant::now());
    fail(&failures, 20, now);
    failures.attempt(source(1), Some(&id("own")), now).expect("few wait").succeeded();
    assert_eq!(wait(&failures, source(1), None, now), 4000);
}

#[test]
fn what_is_remembered_is_bounded() {
    let (failures, now) = (failures(FailureLimits { max_remembered: 100, ..FailureLimits::default() }), Instant::now());
    for number in 0..10_000_u32 {
        let source = Source::of(IpAddr::from(number.to_be_bytes()));
        failures.attempt(source, None, now).expect("nobody waits").failed(now);
        failures.attempt(source, Some(&id("shop")), now).expect("nobody waits").succeeded();
    }
    let remembered = failures.remembered.lock();
    let last = (Source::of(IpAddr::from(9_999_u32.to_be_bytes())), None);
    assert!(remembered.forgiven.get(&last).is_some());
    assert!(remembered.forgiven.len() <= 100 && remembered.good.len() <= 100);
}
