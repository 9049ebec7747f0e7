use slipstream_store::Identity;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

fn delivery(number: u64, group: &str, id: &str) -> Delivery {
    let identity = Identity { group: ClusterGroup::new(group).unwrap(), id: MessageId::new(id).unwrap() };
    Delivery {
        sequence: sequence(number),
        metadata: Arc::new(Metadata { identity, sets: None, read_at: None, trace: None }),
        attempts: 0,
        bytes: 10,
        overtaken: false,
        is_deferred: false,
        state: DeliveryState::HeldBack,
    }
}

fn setting(number: u64, sets: Option<Key>) -> Delivery {
    let mut delivery = delivery(number, "g", &format!("m{number}"));
    let identity = delivery.metadata.identity.clone();
    delivery.metadata = Arc::new(Metadata { identity, sets, read_at: None, trace: None });
    delivery
}

fn send(in_flight: &mut InFlight, number: u64, now: Duration) {
    in_flight.push(delivery(number, "g", &format!("m{number}")), false);
    in_flight.written(now, TIMEOUT);
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// The deliveries that are due, if each may take ten seconds.
fn overdue(in_flight: &mut InFlight, now: Duration) -> Vec<u64> {
    in_flight.overdue(now, Duration::ZERO, |_| TIMEOUT).into_iter().map(Sequence::get).collect()
}

fn settle(in_flight: &mut InFlight, id: &str, group: Option<&str>) -> Option<u64> {
    let group = group.map(|group| ClusterGroup::new(group).unwrap());
    let named = in_flight.named(&MessageId::new(id).unwrap(), group.as_ref())?;
    in_flight.remove(named).map(|delivery| delivery.sequence.get())
}

#[test]
fn an_ack_without_a_group_settles_the_one_sent_first() {
    let mut in_flight = InFlight::default();
    for (sequence, group) in [(1, "a"), (2, "b"), (3, "c")] {
        in_flight.push(delivery(sequence, group, "m"), false);
    }
    assert_eq!(settle(&mut in_flight, "m", Some("b")), Some(2));
    assert_eq!(settle(&mut in_flight, "m", None), Some(1));
    assert_eq!(settle(&mut in_flight, "m", None), Some(3));
    assert_eq!(settle(&mut in_flight, "m", None), None);
    assert_eq!(in_flight.len(), 0);
}

#[test]
fn acks_in_any_order_find_their_flight_while_more_is_sent() {
    let mut in_flight = InFlight::default();
    let mut owed = std::collections::BTreeSet::new();
    for sequence in 1..=5000_u64 {
        in_flight.push(delivery(sequence, "g", &format!("m{sequence}")), false);
        owed.insert(sequence);
        // A fixed walk through early, late and middle ones.
        if sequence % 3 != 0 {
            let nth = usize::try_from(sequence * 7919).unwrap() % owed.len();
            let settled = *owed.iter().nth(nth).unwrap();
            assert_eq!(settle(&mut in_flight, &format!("m{settled}"), Some("g")), Some(settled));
            assert_eq!(settle(&mut in_flight, &format!("m{settled}"), None), None, "settled twice");
            owed.remove(&settled);
        }
        assert_eq!(in_flight.len(), owed.len());
    }
    for sequence in owed {
        assert_eq!(settle(&mut in_flight, &format!("m{sequence}"), None), Some(sequence));
    }
    assert_eq!(in_flight.slots.len(), 0);
}

#[test]
fn older_flights_of_the_same_key_are_found() {
    let mut in_flight = InFlight::default();
    let key = Key::new("k").unwrap();
    for (number, sets) in [(1, "k"), (2, "other"), (3, ""), (4, "k"), (5, "k"), (6, "k")] {
        let sets = (!sets.is_empty()).then(|| Key::new(sets).unwrap());
        in_flight.push(setting(number, sets), false);
    }
    in_flight.remove(sequence(4));
    let mut older = Vec::new();
    in_flight.older(sequence(5), &key, &mut older);
    assert_eq!(older, [sequence(1)]);
}

#[test]
fn what_is_due_is_found_once_and_what_is_sent_again_has_a_new_time() {
    let mut in_flight = InFlight::default();
    assert_eq!(in_flight.due(), None);
    for number in 1..=3 {
        send(&mut in_flight, number, SECOND * u32::try_from(number).unwrap());
    }
    assert_eq!(in_flight.due(), Some(11 * SECOND));
    assert_eq!(overdue(&mut in_flight, 10 * SECOND), [0; 0]);
    assert_eq!(in_flight.overdue(12 * SECOND, SECOND / 2, |_| TIMEOUT), [sequence(1), sequence(2)]);
    assert_eq!(in_flight.due(), Some(13 * SECOND));
    for number in [1, 2] {
        in_flight.send_again(sequence(number), true);
    }
    assert_eq!(in_flight.first_unread(), Some(sequence(1)));
    assert!(in_flight.was_read(sequence(1)) && !in_flight.was_read(sequence(1)) && !in_flight.was_read(sequence(3)));
    in_flight.resent(sequence(1));
    in_flight.written(13 * SECOND, TIMEOUT);
    assert_eq!(overdue(&mut in_flight, 13 * SECOND), [3]);
    in_flight.send_again(sequence(3), true);
    assert!(in_flight.unread(None, sequence(2)).eq([sequence(2)]));
    assert!(in_flight.unread(Some(sequence(2)), Sequence::LAST).eq([sequence(3)]));
    in_flight.remove(sequence(2));
    assert_eq!(in_flight.first_unread(), Some(sequence(3)));
    assert_eq!(in_flight.due(), Some(23 * SECOND));
    in_flight.remove(sequence(3));
    assert_eq!(in_flight.first_unread(), None);
}

#[test]
fn what_is_still_being_written_is_not_late() {
    let mut in_flight = InFlight::default();
    in_flight.push(delivery(1, "g", "m1"), false);
    assert_eq!(overdue(&mut in_flight, 100 * SECOND), [0; 0]);
    in_flight.written(100 * SECOND, TIMEOUT);
    assert_eq!(overdue(&mut in_flight, 109 * SECOND), [0; 0]);
    assert_eq!(overdue(&mut in_flight, 110 * SECOND), [1]);
}

#[test]
fn a_settlement_gives_time_to_all_that_was_sent_after_it_and_to_nothing_before() {
    let mut in_flight = InFlight::default();
    for number in 1..=4 {
        send(&mut in_flight, number, Duration::ZERO);
    }
    in_flight.settle(sequence(3), 9 * SECOND);
    assert_eq!(overdue(&mut in_flight, 10 * SECOND), [1, 2], "they were sent before it");
    in_flight.settle(sequence(1), 15 * SECOND);
    assert_eq!(overdue(&mut in_flight, 24 * SECOND), [0; 0], "what was settled at the front counts, too");
    assert_eq!(overdue(&mut in_flight, 25 * SECOND), [2, 4]);
    // What this end gave up is no sign of the peer.
    in_flight.remove(sequence(2));
    assert_eq!(overdue(&mut in_flight, 25 * SECOND), [0; 0], "found once");
    in_flight.written(25 * SECOND, Duration::ZERO);
    send(&mut in_flight, 5, 25 * SECOND);
    assert_eq!(overdue(&mut in_flight, 35 * SECOND), [4, 5]);
}

#[test]
fn what_is_sent_again_stands_behind_all_that_was_sent_before() {
    let mut in_flight = InFlight::default();
    for number in 1..=3 {
        send(&mut in_flight, number, Duration::ZERO);
    }
    in_flight.send_again(sequence(1), true);
    in_flight.resent(sequence(1));
    in_flight.written(10 * SECOND, TIMEOUT);
    in_flight.settle(sequence(3), 15 * SECOND);
    assert_eq!(overdue(&mut in_flight, 20 * SECOND), [2]);
    assert_eq!(overdue(&mut in_flight, 25 * SECOND), [1, 2]);
}

#[test]
fn a_newer_value_stands_in_for_the_older_ones_of_its_key() {
    let mut in_flight = InFlight::default();
    let key = Key::new("k").unwrap();
    for number in 1..=3 {
        in_flight.push(setting(number, Some(key.clone())), false);
        in_flight.written(SECOND * u32::try_from(number).unwrap(), TIMEOUT);
    }
    assert_eq!(overdue(&mut in_flight, 12 * SECOND), [0; 0]);
    assert_eq!(in_flight.newest_like(sequence(1)), sequence(3));
    assert_eq!(overdue(&mut in_flight, 13 * SECOND), [3]);
}

#[test]
fn what_is_held_back_is_not_in_flight() {
    let mut in_flight = InFlight::default();
    in_flight.push(delivery(1, "g", "m1"), true);
    send(&mut in_flight, 2, Duration::ZERO);
    assert_eq!((in_flight.len(), in_flight.bytes()), (1, 10));
    assert_eq!(in_flight.first_sent().map(|delivery| delivery.sequence), Some(sequence(2)));
    assert_eq!(overdue(&mut in_flight, 10 * SECOND), [2]);
    in_flight.send_again(sequence(1), false);
    assert_eq!((in_flight.len(), in_flight.bytes(), in_flight.held().count()), (2, 20, 0));
    assert_eq!(settle(&mut in_flight, "m1", None), Some(1));
    assert_eq!(settle(&mut in_flight, "m2", None), Some(2));
    assert_eq!((in_flight.len(), in_flight.bytes()), (0, 0));
}
