//! No value of a key is sent after a newer one, and a peer that works through its window gets no copies.

use super::*;

/// The values of one key from 1 on.
fn values(count: u64) -> impl Iterator<Item = Pending> {
    (1..=count).map(|number| sets(number, "k"))
}

#[test]
fn only_the_newest_value_comes_again_when_none_was_acknowledged() {
    let mut fixture = Fixture::linked(values(3).chain([sets(4, "other")]));
    assert_eq!(fixture.send(at(0)), [1, 2, 3, 4]);
    fixture.tick(at(40));
    assert_eq!(fixture.send(at(40)), [3, 4]);
    assert_eq!(fixture.acknowledge(3, at(41)), ["acknowledge 3", "supersede 1", "supersede 2"]);
}

#[test]
fn the_newest_value_spends_the_attempts_of_those_that_it_stands_in_for() {
    let mut fixture = Fixture::linked(values(2));
    fixture.send(at(0));
    fixture.tick(at(40));
    fixture.read(at(40));
    assert_eq!(fixture.state.next(at(40), &limits()).unwrap().sequence, sequence(2));
    assert_eq!(fixture.commit(), ["attempt 1 1", "attempt 2 1"]);
}

#[test]
fn values_that_are_never_settled_are_given_up_all() {
    let mut fixture = Fixture::linked(values(3));
    fixture.send(at(0));
    let mut given_up = Vec::new();
    for now in (0..2_000).step_by(5) {
        fixture.state.tick(at(now), &limits());
        given_up.extend(fixture.commit());
        assert!(fixture.send(at(now)).iter().all(|sent| *sent == 3), "at {now}");
    }
    given_up.sort();
    assert_eq!(given_up, ["dead 1 unacknowledged 3", "dead 2 unacknowledged 3", "dead 3 unacknowledged 3"]);
}

#[test]
fn a_value_refused_for_now_comes_again_as_the_newest() {
    let mut fixture = Fixture::linked(values(3));
    fixture.send(at(0));
    fixture.refuse(1, Some(Code::RateLimited), at(0));
    fixture.tick(at(1));
    assert_eq!(fixture.send(at(1)), [3]);
    // The peer comes to the second one, which it had got before.
    fixture.refuse(2, Some(Code::RateLimited), at(1));
    fixture.refuse(3, Some(Code::RateLimited), at(1));
    fixture.tick(at(2));
    assert_eq!(fixture.send(at(2)), [0; 0], "the pause has doubled once");
    fixture.tick(at(3));
    assert_eq!(fixture.send(at(3)), [3]);
    assert_eq!(fixture.acknowledge(3, at(3)), ["acknowledge 3", "supersede 1", "supersede 2"]);
    assert_eq!(fixture.state.wakes_at().filter(|at| *at < 10 * SECOND), None, "nothing is held");
}

#[test]
fn an_older_value_does_not_come_again_where_the_newer_one_was_rejected() {
    let mut fixture = Fixture::linked(values(2));
    fixture.send(at(0));
    fixture.refuse(2, Some(Code::InvalidMessage), at(0));
    for now in [40, 120] {
        fixture.tick(at(now));
        assert_eq!(fixture.send(at(now)), [0; 0]);
    }
    assert_eq!(fixture.store.len(), 1, "it is owed");
    fixture.state.unlink(LinkEnd::Lost, at(130));
    fixture.state.link_up(LinkTerms::default(), at(130), &limits());
    assert_eq!(fixture.send(at(130)), [1]);
}

/// The newer one may be rejected, or expire.
#[test]
fn a_value_wanted_later_is_left_to_the_next_link_where_the_newer_one_was_rejected() {
    for deferred_first in [true, false] {
        let mut fixture = Fixture::linked(values(2));
        fixture.send(at(0));
        let defer = |fixture: &mut Fixture| fixture.refuse(1, Some(Code::RateLimited), at(0));
        if deferred_first {
            defer(&mut fixture);
        }
        fixture.refuse(2, Some(Code::InvalidMessage), at(0));
        if !deferred_first {
            defer(&mut fixture);
        }
        for now in (0..2_000).step_by(5) {
            fixture.tick(at(now));
            assert_eq!(fixture.send(at(now)), [0; 0], "at {now}");
            assert_eq!(fixture.commit(), [""; 0], "at {now}: no attempt is spent");
        }
        assert_eq!(fixture.store.len(), 1, "it is owed");
        fixture.state.unlink(LinkEnd::Lost, at(2_000));
        fixture.state.link_up(LinkTerms::default(), at(2_000), &limits());
        assert_eq!(fixture.send(at(2_000)), [1]);
        assert_eq!(fixture.acknowledge(1, at(2_001)), ["acknowledge 1"]);
    }
}

#[test]
fn a_value_acknowledged_early_comes_again_if_an_older_one_was_sent_since() {
    let mut fixture = Fixture::new(values(3));
    fixture.limits.rules.window_bytes = 1;
    fixture.state.link_up(LinkTerms::default().with(&peer(PeerKind::Application, None)), at(0), &limits());
    assert_eq!(fixture.send(at(0)), [1]);
    // The peer handled the third one on an earlier link, and handles the first one again.
    assert!(fixture.acknowledge(3, at(0)).is_empty());
    assert_eq!(fixture.acknowledge(1, at(0)), ["acknowledge 1"]);
    let mut sent = Vec::new();
    while let [number] = fixture.send(at(0))[..] {
        sent.push(number);
        fixture.acknowledge(number, at(0));
    }
    assert_eq!(sent.last(), Some(&3));
}

#[test]
fn a_peer_that_settles_one_delivery_in_each_timeout_gets_no_copy() {
    const DELIVERIES: u64 = 200;
    let mut fixture = Fixture::linked((1..=DELIVERIES).map(pending));
    fixture.limits.rules.window = NonZeroU32::new(100).unwrap();
    fixture.limits.queue_items = 1_000;
    fixture.limits.queue_bytes = 1 << 20;
    let mut sent = fixture.send(at(0));
    for number in 1..=DELIVERIES {
        let now = at(number * 29);
        fixture.tick(now);
        sent.extend(fixture.send(now));
        assert_eq!(fixture.acknowledge(number, now), [format!("acknowledge {number}")]);
    }
    assert_eq!(sent.len() as u64, DELIVERIES);
}

#[test]
fn bytes_in_flight_are_bounded_and_one_delivery_may_always_go() {
    let with = |bytes: usize, number| Pending { text: Bytes::from("v".repeat(bytes)), ..pending(number) };
    let mut fixture = Fixture::new([with(300, 1), with(10, 2), with(80, 3), with(20, 4)]);
    fixture.limits.rules.window_bytes = 100;
    fixture.state.link_up(LinkTerms::default().with(&peer(PeerKind::Application, None)), at(0), &limits());
    assert_eq!(fixture.send(at(0)), [1]);
    fixture.acknowledge(1, at(0));
    assert_eq!(fixture.send(at(0)), [2, 3]);
    fixture.acknowledge(2, at(0));
    assert_eq!(fixture.send(at(0)), [4]);
    let mut fixture = Fixture::new((1..=8).map(|number| with(400, number)));
    fixture.limits.rules.window_bytes = 100;
    fixture.limits.rules.window = NonZeroU32::new(100).unwrap();
    fixture.state.link_up(LinkTerms::default().with(&peer(PeerKind::Relay, None)), at(0), &limits());
    assert_eq!(fixture.send(at(0)), [1, 2, 3, 4], "a relay may have sixteen times as many");
}

#[test]
fn the_largest_delivery_is_given_up_when_the_peer_says_that_one_is_too_large() {
    let mut fixture = Fixture::linked([pending(1), pending(2), pending(3)]);
    fixture.store[1].text = Bytes::from_static(b"a long text");
    fixture.send(at(0));
    fixture.state.unlink(LinkEnd::TooLarge, at(1));
    fixture.state.link_up(LinkTerms::default(), at(1), &limits());
    // The store does not know it yet.
    fixture.state.ask_page(&limits()).unwrap();
    fixture.state.load(page(1..=3, false), at(1));
    assert_eq!(fixture.commit(), ["dead 2 too_large 0"]);
    assert_eq!(fixture.send(at(1)), [1, 3]);
}
