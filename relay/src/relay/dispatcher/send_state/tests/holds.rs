//! What becomes of deliveries that the peer refuses for now.

use super::*;

fn limits_with(window: u32, queue_items: usize, queue_bytes: usize) -> LaneLimits {
    let rules = DeliveryRules { window: NonZeroU32::new(window).unwrap(), ..DeliveryRules::default() };
    LaneLimits { rules, queue_items, queue_bytes, total_bytes: 1000 }
}

#[test]
fn a_refusal_for_now_holds_everything_back_and_spends_no_attempt() {
    let mut fixture = Fixture::linked([pending(1), pending(2), pending(3)]);
    assert_eq!(fixture.send(at(0)), [1, 2, 3]);
    for number in [2, 1] {
        assert!(fixture.refuse(number, Some(Code::RateLimited), at(0)).is_empty());
    }
    fixture.store.push(pending(4));
    fixture.state.link.offer(&forward(4), &limits());
    assert_eq!(fixture.send(at(0)), Vec::<u64>::new(), "it pauses");
    assert_eq!(fixture.state.wakes_at(), Some(SECOND));
    fixture.tick(at(1));
    assert_eq!(fixture.send(at(1)), [1], "only the oldest one goes out until it is answered");
    assert!(fixture.refuse(1, Some(Code::RateLimited), at(1)).is_empty());
    fixture.tick(at(2));
    assert_eq!(fixture.send(at(2)), Vec::<u64>::new(), "the pause has doubled");
    fixture.tick(at(3));
    assert_eq!(fixture.send(at(3)), [1]);
    assert_eq!(fixture.acknowledge(1, at(3)), ["acknowledge 1"]);
    assert_eq!(fixture.send(at(3)), [2, 4], "the rest follows in order");
}

#[test]
fn a_refused_delivery_that_ends_lets_the_others_go() {
    let mut fixture = Fixture::linked([pending(1), pending(2)]);
    fixture.limits.rules.window = NonZeroU32::MIN;
    assert_eq!(fixture.send(at(0)), [1]);
    fixture.refuse(1, Some(Code::StorageUnavailable), at(0));
    fixture.state.settled(sequence(1), at(0));
    assert_eq!(fixture.send(at(0)), [2]);
}

#[test]
fn the_pause_outlives_the_refused_delivery_while_others_were_refused_too() {
    let mut fixture = Fixture::linked([pending(1), pending(2), pending(3)]);
    assert_eq!(fixture.send(at(0)), [1, 2, 3]);
    for number in 1..=3 {
        fixture.refuse(number, Some(Code::StorageUnavailable), at(0));
    }
    fixture.state.give_up([(sequence(1), 0)], &DeadLetterReason::Backlog, at(0));
    assert_eq!(fixture.commit(), ["dead 1 backlog 0"]);
    assert_eq!(fixture.send(at(0)), Vec::<u64>::new(), "it pauses");
    fixture.tick(at(1));
    assert_eq!(fixture.send(at(1)), [2], "only the oldest one goes out until it is answered");
    fixture.acknowledge(2, at(1));
    assert_eq!(fixture.send(at(1)), [3]);
}

#[test]
fn an_older_delivery_that_is_refused_while_a_page_is_read_is_not_lost() {
    let mut fixture = Fixture::linked([pending(1), pending(2), pending(3)]);
    fixture.limits = limits_with(4, 2, 1000);
    assert_eq!(fixture.send(at(0)), [1, 2, 3]);
    for number in [3, 2] {
        fixture.refuse(number, Some(Code::RateLimited), at(0));
    }
    fixture.tick(at(1));
    fixture.state.ask_page(&fixture.limits).unwrap();
    // The page begins behind this one, and what it shows would take all the room.
    fixture.refuse(1, Some(Code::RateLimited), at(1));
    fixture.state.load(page([2, 3], false), at(1));
    assert_eq!(fixture.send(at(1)), [1]);
    fixture.acknowledge(1, at(1));
    assert_eq!(fixture.send(at(1)), [2, 3]);
}

/// A peer refuses all that it gets for some rounds, then for some rounds takes the one that comes again and refuses
/// the rest, then takes everything. Each time the oldest comes again alone, and in the end all has come in order.
fn holds_and_goes_on(limits: LaneLimits) {
    const DELIVERIES: u64 = 40;
    let mut fixture = Fixture::new((1..=DELIVERIES).map(pending));
    fixture.limits = limits;
    fixture.state.link_up(LinkTerms::default(), at(0), &limits);
    let mut sent = fixture.send(at(0));
    let mut now = 0;
    let mut oldest = 1;
    for round in 0..12 {
        for number in sent {
            fixture.refuse(number, Some(Code::StorageUnavailable), at(now));
            fixture.read(at(now));
            // What was never sent waits beside what is sent again.
            assert!(fixture.state.link.queued_bytes() <= 2 * limits.queue_bytes, "{limits:?}");
        }
        assert_eq!(fixture.send(at(now)), Vec::<u64>::new(), "it pauses");
        now += 60;
        fixture.tick(at(now));
        sent = fixture.send(at(now));
        assert_eq!(sent, [oldest], "round {round} of {limits:?}");
        if round >= 6 {
            fixture.acknowledge(oldest, at(now));
            oldest += 1;
            sent = fixture.send(at(now));
            assert!(sent.is_sorted() && sent.first() == Some(&oldest), "{sent:?} in round {round} of {limits:?}");
        }
    }
    let mut came = Vec::new();
    while !sent.is_empty() {
        for number in sent {
            came.push(number);
            fixture.acknowledge(number, at(now));
        }
        sent = fixture.send(at(now));
    }
    assert_eq!(came, (oldest..=DELIVERIES).collect::<Vec<_>>(), "{limits:?}");
}

#[test]
fn a_hold_on_more_bytes_than_the_lane_may_keep_goes_on() {
    // Each text has six or seven bytes.
    holds_and_goes_on(limits_with(20, 100, 50));
}

#[test]
fn a_hold_on_more_deliveries_than_the_lane_may_keep_goes_on() {
    holds_and_goes_on(limits_with(20, 4, 1000));
}

#[test]
fn a_hold_goes_on_while_all_lanes_together_keep_too_much() {
    holds_and_goes_on(limits_with(20, 1, 1000));
}

#[test]
fn nothing_new_overtakes_what_is_still_to_be_read_again() {
    let mut fixture = Fixture::linked((1..=5).map(pending));
    fixture.limits = limits_with(4, 2, 1000);
    assert_eq!(fixture.send(at(0)), [1, 2, 3, 4]);
    for number in 1..=4 {
        fixture.refuse(number, Some(Code::RateLimited), at(0));
        fixture.read(at(0));
    }
    fixture.tick(at(1));
    assert_eq!(fixture.send(at(1)), [1]);
    fixture.acknowledge(1, at(1));
    fixture.read(at(1));
    // The writer may be quicker than the store.
    let limits = fixture.limits;
    let at_once: Vec<_> = std::iter::from_fn(|| fixture.state.next(at(1), &limits)).collect();
    assert!(at_once.iter().all(|forward| forward.sequence < sequence(5)), "{at_once:?}");
    let rest = fixture.send(at(1));
    assert_eq!([at_once.iter().map(|forward| forward.sequence.get()).collect(), rest].concat(), [2, 3, 4, 5]);
}

#[test]
fn an_older_delivery_that_is_not_answered_goes_again_beside_the_refused_one() {
    let mut fixture = Fixture::linked([pending(1), pending(2)]);
    fixture.limits.queue_items = 1;
    assert_eq!(fixture.send(at(0)), [1, 2]);
    fixture.refuse(2, Some(Code::RateLimited), at(37));
    fixture.tick(at(38));
    assert_eq!(fixture.send(at(38)), [1, 2], "the one is due, and the pause of the other has ended");
    fixture.acknowledge(2, at(38));
    fixture.store.push(pending(3));
    fixture.state.link.fall_behind();
    assert_eq!(fixture.send(at(38)), [3], "it was the answer to the refused one that counts");
}
