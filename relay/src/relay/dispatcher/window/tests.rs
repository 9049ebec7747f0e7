use slipstream_store::Identity;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

fn flight(number: u64, group: &str, id: &str) -> Flight {
    let identity = Identity { group: ClusterGroup::new(group).unwrap(), id: MessageId::new(id).unwrap() };
    Flight {
        sequence: sequence(number),
        metadata: Arc::new(Metadata { identity, sets: None, read_at: None }),
        attempts: 0,
        bytes: 10,
        overtaken: false,
        is_deferred: false,
        state: FlightState::HeldBack,
    }
}

fn setting(number: u64, sets: Option<Key>) -> Flight {
    let mut flight = flight(number, "g", &format!("m{number}"));
    let identity = flight.metadata.identity.clone();
    flight.metadata = Arc::new(Metadata { identity, sets, read_at: None });
    flight
}

fn send(window: &mut Window, number: u64, now: Duration) {
    window.push(flight(number, "g", &format!("m{number}")), false);
    window.written(now, TIMEOUT);
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// The flights that are due, if each may take ten seconds.
fn overdue(window: &mut Window, now: Duration) -> Vec<u64> {
    window.overdue(now, Duration::ZERO, |_| TIMEOUT).into_iter().map(Sequence::get).collect()
}

fn settle(window: &mut Window, id: &str, group: Option<&str>) -> Option<u64> {
    let group = group.map(|group| ClusterGroup::new(group).unwrap());
    let named = window.named(&MessageId::new(id).unwrap(), group.as_ref())?;
    window.remove(named).map(|flight| flight.sequence.get())
}

#[test]
fn an_ack_without_a_group_settles_the_one_sent_first() {
    let mut window = Window::default();
    for (sequence, group) in [(1, "a"), (2, "b"), (3, "c")] {
        window.push(flight(sequence, group, "m"), false);
    }
    assert_eq!(settle(&mut window, "m", Some("b")), Some(2));
    assert_eq!(settle(&mut window, "m", None), Some(1));
    assert_eq!(settle(&mut window, "m", None), Some(3));
    assert_eq!(settle(&mut window, "m", None), None);
    assert_eq!(window.len(), 0);
}

#[test]
fn acks_in_any_order_find_their_flight_while_more_is_sent() {
    let mut window = Window::default();
    let mut owed = std::collections::BTreeSet::new();
    for sequence in 1..=5000_u64 {
        window.push(flight(sequence, "g", &format!("m{sequence}")), false);
        owed.insert(sequence);
        // A fixed walk through early, late and middle ones.
        if sequence % 3 != 0 {
            let nth = usize::try_from(sequence * 7919).unwrap() % owed.len();
            let settled = *owed.iter().nth(nth).unwrap();
            assert_eq!(settle(&mut window, &format!("m{settled}"), Some("g")), Some(settled));
            assert_eq!(settle(&mut window, &format!("m{settled}"), None), None, "settled twice");
            owed.remove(&settled);
        }
        assert_eq!(window.len(), owed.len());
    }
    for sequence in owed {
        assert_eq!(settle(&mut window, &format!("m{sequence}"), None), Some(sequence));
    }
    assert_eq!(window.slots.len(), 0);
}

#[test]
fn older_flights_of_the_same_key_are_found() {
    let mut window = Window::default();
    let key = Key::new("k").unwrap();
    for (number, sets) in [(1, "k"), (2, "other"), (3, ""), (4, "k"), (5, "k"), (6, "k")] {
        let sets = (!sets.is_empty()).then(|| Key::new(sets).unwrap());
        window.push(setting(number, sets), false);
    }
    window.remove(sequence(4));
    let mut older = Vec::new();
    window.older(sequence(5), &key, &mut older);
    assert_eq!(older, [sequence(1)]);
}

#[test]
fn what_is_due_is_found_once_and_what_is_sent_again_has_a_new_time() {
    let mut window = Window::default();
    assert_eq!(window.due(), None);
    for number in 1..=3 {
        send(&mut window, number, SECOND * u32::try_from(number).unwrap());
    }
    assert_eq!(window.due(), Some(11 * SECOND));
    assert_eq!(overdue(&mut window, 10 * SECOND), [0; 0]);
    assert_eq!(window.overdue(12 * SECOND, SECOND / 2, |_| TIMEOUT), [sequence(1), sequence(2)]);
    assert_eq!(window.due(), Some(13 * SECOND));
    for number in [1, 2] {
        window.send_again(sequence(number), true);
    }
    assert_eq!(window.first_unread(), Some(sequence(1)));
    assert!(window.was_read(sequence(1)) && !window.was_read(sequence(1)) && !window.was_read(sequence(3)));
    window.resent(sequence(1));
    window.written(13 * SECOND, TIMEOUT);
    assert_eq!(overdue(&mut window, 13 * SECOND), [3]);
    window.send_again(sequence(3), true);
    assert!(window.unread(None, sequence(2)).eq([sequence(2)]));
    assert!(window.unread(Some(sequence(2)), Sequence::LAST).eq([sequence(3)]));
    window.remove(sequence(2));
    assert_eq!(window.first_unread(), Some(sequence(3)));
    assert_eq!(window.due(), Some(23 * SECOND));
    window.remove(sequence(3));
    assert_eq!(window.first_unread(), None);
}

#[test]
fn what_is_still_being_written_is_not_late() {
    let mut window = Window::default();
    window.push(flight(1, "g", "m1"), false);
    assert_eq!(overdue(&mut window, 100 * SECOND), [0; 0]);
    window.written(100 * SECOND, TIMEOUT);
    assert_eq!(overdue(&mut window, 109 * SECOND), [0; 0]);
    assert_eq!(overdue(&mut window, 110 * SECOND), [1]);
}

#[test]
fn a_settlement_gives_time_to_all_that_was_sent_after_it_and_to_nothing_before() {
    let mut window = Window::default();
    for number in 1..=4 {
        send(&mut window, number, Duration::ZERO);
    }
    window.settle(sequence(3), 9 * SECOND);
    assert_eq!(overdue(&mut window, 10 * SECOND), [1, 2], "they were sent before it");
    window.settle(sequence(1), 15 * SECOND);
    assert_eq!(overdue(&mut window, 24 * SECOND), [0; 0], "what was settled at the front counts, too");
    assert_eq!(overdue(&mut window, 25 * SECOND), [2, 4]);
    // What this end gave up is no sign of the peer.
    window.remove(sequence(2));
    assert_eq!(overdue(&mut window, 25 * SECOND), [0; 0], "found once");
    window.written(25 * SECOND, Duration::ZERO);
    send(&mut window, 5, 25 * SECOND);
    assert_eq!(overdue(&mut window, 35 * SECOND), [4, 5]);
}

#[test]
fn what_is_sent_again_stands_behind_all_that_was_sent_before() {
    let mut window = Window::default();
    for number in 1..=3 {
        send(&mut window, number, Duration::ZERO);
    }
    window.send_again(sequence(1), true);
    window.resent(sequence(1));
    window.written(10 * SECOND, TIMEOUT);
    window.settle(sequence(3), 15 * SECOND);
    assert_eq!(overdue(&mut window, 20 * SECOND), [2]);
    assert_eq!(overdue(&mut window, 25 * SECOND), [1, 2]);
}

#[test]
fn a_newer_value_stands_in_for_the_older_ones_of_its_key() {
    let mut window = Window::default();
    let key = Key::new("k").unwrap();
    for number in 1..=3 {
        window.push(setting(number, Some(key.clone())), false);
        window.written(SECOND * u32::try_from(number).unwrap(), TIMEOUT);
    }
    assert_eq!(overdue(&mut window, 12 * SECOND), [0; 0]);
    assert_eq!(window.newest_like(sequence(1)), sequence(3));
    assert_eq!(overdue(&mut window, 13 * SECOND), [3]);
}

#[test]
fn what_is_held_back_is_not_in_flight() {
    let mut window = Window::default();
    window.push(flight(1, "g", "m1"), true);
    send(&mut window, 2, Duration::ZERO);
    assert_eq!((window.len(), window.bytes()), (1, 10));
    assert_eq!(window.first_sent().map(|flight| flight.sequence), Some(sequence(2)));
    assert_eq!(overdue(&mut window, 10 * SECOND), [2]);
    window.send_again(sequence(1), false);
    assert_eq!((window.len(), window.bytes(), window.held().count()), (2, 20, 0));
    assert_eq!(settle(&mut window, "m1", None), Some(1));
    assert_eq!(settle(&mut window, "m2", None), Some(2));
    assert_eq!((window.len(), window.bytes()), (0, 0));
}
