mod backwards;
mod earlier_links;
mod holds;
mod isolation;

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{ClusterGroup, Key, Operation, Peer, PeerKind, Pending, Timestamp};

use super::*;
use crate::protocol::{Code, Nack};
use crate::relay::dispatcher::answers::Answered;
use crate::relay::dispatcher::forward::Forward;
use crate::relay::dispatcher::samples::{forward, identity, pending, sequence};
use crate::relay::settings::DeliveryRules;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> LaneLimits {
    let rules = DeliveryRules { window: NonZeroU32::new(4).unwrap(), ..DeliveryRules::default() };
    LaneLimits { rules, queue_items: 4, queue_bytes: 1000, total_bytes: 1000 }
}

fn at(seconds: u64) -> Moment {
    let time = Timestamp::from_millis(seconds * 1000);
    Moment { time, wall: time, elapsed: Duration::from_secs(seconds) }
}

/// A delivery that sets the value of a key.
fn sets(number: u64, key: &str) -> Pending {
    Pending { key: Some(Key::new(key).unwrap()), ..pending(number) }
}

fn page(numbers: impl IntoIterator<Item = u64>, more: bool) -> Page<Pending> {
    Page { items: numbers.into_iter().map(pending).collect(), more }
}

/// A state, and the deliveries that its store has as pending.
struct Fixture {
    state: SendState,
    limits: LaneLimits,
    store: Vec<Pending>,
}

impl Fixture {
    fn new(store: impl IntoIterator<Item = Pending>) -> Self {
        let state = SendState::new(PeerId::new("p").unwrap());
        Self { state, limits: limits(), store: store.into_iter().collect() }
    }

    fn linked(store: impl IntoIterator<Item = Pending>) -> Self {
        let mut fixture = Self::new(store);
        fixture.state.link_up(LinkTerms::default(), at(0), &limits());
        fixture
    }

    /// Gives the state the pages that it wants.
    fn read(&mut self, now: Moment) {
        while let Some(request) = self.state.ask_page(&self.limits) {
            let mut items: Vec<_> =
                self.store.iter().filter(|pending| Some(pending.sequence) > request.after).cloned().collect();
            let mut bytes = 0;
            let fit = items.iter().take_while(|pending| {
                bytes += pending.text.len();
                bytes <= self.limits.queue_bytes / 2
            });
            let most = fit.count().max(1).min(request.items);
            let more = items.len() > most;
            items.truncate(most);
            self.state.load(Page { items, more }, now);
            self.commit();
        }
    }

    /// Sends what may be sent, and commits what was decided.
    fn send(&mut self, now: Moment) -> Vec<u64> {
        let mut sent = Vec::new();
        loop {
            self.read(now);
            let Some(forward) = self.state.next(now, &self.limits) else { break };
            sent.push(forward.sequence.get());
        }
        self.state.link.written(now.elapsed, &self.limits);
        self.commit();
        sent
    }

    fn tick(&mut self, now: Moment) {
        self.state.tick(now, &self.limits);
        self.commit();
    }

    fn acknowledge(&mut self, number: u64, now: Moment) -> Vec<String> {
        self.state.acknowledge(&identity(number).id, None, now);
        self.commit()
    }

    fn refuse(&mut self, number: u64, code: Option<Code>, now: Moment) -> Vec<String> {
        let nack = Nack { id: identity(number).id, group: None, code, reason: "no".to_owned() };
        self.state.refuse(&nack, now, &self.limits);
        self.commit()
    }

    /// Applies what was decided, and tells it in short.
    fn commit(&mut self) -> Vec<String> {
        let mut operations = Vec::new();
        self.state.decided.take(&mut operations, usize::MAX);
        self.state.committed(operations.len());
        let store = &mut self.store;
        let mut settle = |sequence: &Sequence| store.retain(|pending| pending.sequence != *sequence);
        let mut told = Vec::new();
        for operation in &operations {
            told.push(match operation {
                Operation::Acknowledge { sequence, .. } => {
                    settle(sequence);
                    format!("acknowledge {sequence}")
                }
                Operation::Supersede { sequence, .. } => {
                    settle(sequence);
                    format!("supersede {sequence}")
                }
                Operation::Expire { sequence, .. } => {
                    settle(sequence);
                    format!("expire {sequence}")
                }
                Operation::DeadLetter { sequence, reason, attempts, .. } => {
                    settle(sequence);
                    format!("dead {sequence} {reason} {attempts}")
                }
                Operation::Attempt { sequence, number, .. } => format!("attempt {sequence} {number}"),
                other => panic!("{other:?}"),
            });
        }
        told
    }
}

fn send_all(state: &mut SendState) -> Vec<u64> {
    std::iter::from_fn(|| state.next(at(0), &limits())).map(|forward| forward.sequence.get()).collect()
}

fn live() -> SendState {
    let mut fixture = Fixture::linked([]);
    fixture.read(at(0));
    fixture.state
}

#[test]
fn the_oldest_that_is_owed_is_known_while_a_link_is_up() {
    let mut fixture = Fixture::linked((3..=9).map(pending));
    let owed_from = |fixture: &Fixture| fixture.state.link.owed_from().map(Sequence::get);
    assert_eq!(owed_from(&fixture), None, "nothing was read yet");
    assert_eq!(fixture.send(at(1)), [3, 4, 5, 6]);
    assert_eq!(owed_from(&fixture), Some(3));
    fixture.acknowledge(4, at(2));
    assert_eq!(owed_from(&fixture), Some(3));
    fixture.acknowledge(3, at(2));
    assert_eq!(owed_from(&fixture), Some(5));
    assert_eq!(fixture.send(at(3)), [7, 8]);
    for number in [5, 6, 7, 8] {
        fixture.acknowledge(number, at(4));
    }
    assert_eq!(owed_from(&fixture), Some(9), "it waits to be sent");
    fixture.send(at(5));
    fixture.acknowledge(9, at(6));
    assert_eq!(owed_from(&fixture), Some(9), "nothing older is owed, and nothing newer was handed over");
}

#[test]
fn a_new_link_reads_the_store_before_it_is_live() {
    let mut state = SendState::new(PeerId::new("p").unwrap());
    state.link.offer(&forward(1), &limits());
    assert_eq!(state.link.queued_bytes(), 0, "nobody is linked");
    state.link_up(LinkTerms::default(), at(0), &limits());
    assert_eq!(state.wanted(&limits()), Wanted { page: true, ..Wanted::default() });
    state.ask_page(&limits()).unwrap();
    // Committed after the page was read: it must come with the next page.
    state.link.offer(&forward(3), &limits());
    assert!(!state.wanted(&limits()).send);
    state.load(page([1, 2], false), at(0));
    assert_eq!(send_all(&mut state), [1, 2]);
    let request = state.ask_page(&limits()).unwrap();
    assert_eq!(request.after, Some(sequence(2)));
    state.load(page([3], false), at(0));
    assert!(state.wants_page(&limits()).is_none(), "live");
    // Committed before the page was read, offered after it.
    state.link.offer(&forward(3), &limits());
    state.link.offer(&forward(4), &limits());
    assert_eq!(send_all(&mut state), [3, 4]);
}

#[test]
fn what_was_skipped_and_is_gone_does_not_hold_the_lane_back() {
    let mut state = SendState::new(PeerId::new("p").unwrap());
    state.link_up(LinkTerms::default(), at(0), &limits());
    state.link.offer(&forward(9), &limits());
    state.ask_page(&limits()).unwrap();
    state.load(page([], false), at(0));
    assert!(state.wants_page(&limits()).is_none());
}

#[test]
fn a_page_for_an_earlier_link_is_not_taken() {
    let mut state = SendState::new(PeerId::new("p").unwrap());
    state.link_up(LinkTerms::default(), at(0), &limits());
    state.ask_page(&limits()).unwrap();
    state.link_up(LinkTerms::default(), at(0), &limits());
    state.load(page([1], false), at(0));
    assert_eq!(send_all(&mut state), Vec::<u64>::new());
    assert!(state.wants_page(&limits()).is_some(), "it reads for itself");
}

#[test]
fn a_full_lane_falls_behind_and_misses_nothing() {
    let mut state = live();
    for number in 1..=6 {
        state.link.offer(&forward(number), &limits());
    }
    assert_eq!(send_all(&mut state), [1, 2, 3, 4]);
    assert!(state.next(at(0), &limits()).is_none(), "the window is full");
    let request = state.ask_page(&limits()).unwrap();
    assert_eq!(request.after, Some(sequence(4)));
    state.load(page([5, 6], false), at(0));
    assert_eq!(state.acknowledge(&identity(3).id, None, at(0)), Answered::InFlight { read_at: None, traced: None });
    assert_eq!(send_all(&mut state), [5]);
}

#[test]
fn what_is_too_large_or_expired_is_never_sent() {
    let mut fixture = Fixture::new([pending(1), pending(2)]);
    fixture.store[1].expires_at = Some(at(5).time);
    fixture.store[1].text = Bytes::from_static(b"short");
    fixture.state.link_up(LinkTerms { max_message_bytes: Some(5), ..LinkTerms::default() }, at(0), &limits());
    fixture.read(at(5));
    assert!(fixture.state.next(at(5), &limits()).is_none());
    assert_eq!(fixture.commit(), ["dead 1 too_large 0", "expire 2"]);
}

/// A delivery that is only for these applications.
fn only_for(number: u64, instances: &str) -> Pending {
    let text = format!(r#"{{"type":"SK","messagePath":["sender","here"],"targetedInstances":[{instances}]}}"#);
    Pending { text: Bytes::from(text), ..sets(number, "k") }
}

fn peer(kind: PeerKind, alias: Option<&str>) -> Peer {
    Peer {
        id: PeerId::new("p").unwrap(),
        kind,
        group: ClusterGroup::singleton(),
        tags: Arc::default(),
        durable: true,
        last_seen: Timestamp::ZERO,
        alias: alias.map(|alias| PeerId::new(alias).unwrap()),
        paused: false,
    }
}

#[test]
fn an_application_gets_nothing_that_names_only_others() {
    let held = || [only_for(1, r#""q""#), only_for(2, r#""q","p""#), only_for(3, r#""far""#), pending(4)];
    for (kind, alias, sent) in [
        (PeerKind::Application, None, &[2, 4][..]),
        (PeerKind::Application, Some("far"), &[2, 3, 4]),
        (PeerKind::Relay, None, &[1, 2, 3, 4]),
    ] {
        let mut fixture = Fixture::new(held());
        fixture.state.link_up(LinkTerms::default().with(&peer(kind, alias)), at(0), &limits());
        assert_eq!(fixture.send(at(0)), sent, "{kind:?} {alias:?}");
        assert_eq!(fixture.store.len(), sent.len(), "the rest is settled");
    }
    let mut fixture = Fixture::new([]);
    fixture.state.link_up(LinkTerms::default().with(&peer(PeerKind::Application, None)), at(0), &limits());
    fixture.read(at(0));
    fixture.state.link.offer(&Arc::new(Forward::from(only_for(1, r#""q""#))), &limits());
    assert!(fixture.state.next(at(0), &limits()).is_none(), "it was routed before the link began");
    assert_eq!(fixture.commit(), ["expire 1"]);
}

#[test]
fn what_was_held_under_an_alias_does_not_go_back_to_its_sender() {
    let mut own = pending(1);
    own.text = Bytes::from_static(br#"{"type":"EVENT","messagePath":["p","here"]}"#);
    let mut fixture = Fixture::new([own, pending(2)]);
    fixture.state.link_up(LinkTerms::default().with(&peer(PeerKind::Application, Some("far"))), at(0), &limits());
    assert_eq!(fixture.send(at(0)), [2]);
    assert_eq!(fixture.store.len(), 1);
}

#[test]
fn a_value_that_a_coalescing_peer_does_not_get_supersedes_none_that_it_does() {
    let mut fixture = Fixture::new([sets(1, "k"), sets(2, "k"), only_for(3, r#""q""#)]);
    let terms = LinkTerms { coalesce: true, ..LinkTerms::default() };
    fixture.state.link_up(terms.with(&peer(PeerKind::Application, None)), at(0), &limits());
    assert_eq!(fixture.send(at(0)), [2]);
    assert!(fixture.store.iter().map(|pending| pending.sequence).eq([sequence(2)]));
}

#[test]
fn what_was_decided_outlives_the_link() {
    let mut state = live();
    state.link.offer(&forward(1), &limits());
    send_all(&mut state);
    state.acknowledge(&identity(1).id, None, at(0));
    state.unlink(LinkEnd::Lost, at(0));
    let mut operations = Vec::new();
    state.decided.take(&mut operations, usize::MAX);
    assert!(matches!(operations[..], [Operation::Acknowledge { .. }]));
}

#[test]
fn what_is_not_settled_in_time_is_republished_and_given_up_in_the_end() {
    let mut fixture = Fixture::linked([pending(1), pending(2)]);
    assert_eq!(fixture.send(at(0)), [1, 2]);
    fixture.acknowledge(2, at(1));
    let mut now = 0;
    for attempt in 1..=3 {
        let timeout = 30 * 2_u64.pow(attempt - 1);
        fixture.tick(at(now + timeout - 1));
        assert_eq!(fixture.send(at(now + timeout - 1)), Vec::<u64>::new(), "it is not due");
        // The jitter is a quarter at most, and overdue ones are looked for at least so often.
        now += timeout + timeout / 4 + timeout / 16 + 1;
        fixture.tick(at(now));
        fixture.read(at(now));
        assert_eq!(fixture.state.next(at(now), &limits()).unwrap().sequence, sequence(1));
        fixture.state.link.written(at(now).elapsed, &limits());
        assert_eq!(fixture.commit(), [format!("attempt 1 {attempt}")]);
        assert_eq!(fixture.state.link.in_flight.len(), 1);
    }
    now += 240 + 61;
    fixture.state.tick(at(now), &limits());
    assert_eq!(fixture.commit(), ["dead 1 unacknowledged 3"]);
    assert_eq!((fixture.state.link.in_flight.len(), fixture.send(at(now))), (0, vec![]));
}

#[test]
fn attempts_count_on_from_earlier_links_and_a_new_link_spends_none() {
    let mut fixture = Fixture::linked([Pending { attempts: 3, ..pending(1) }]);
    assert_eq!(fixture.send(at(0)), [1]);
    fixture.state.unlink(LinkEnd::Lost, at(0));
    fixture.tick(at(10_000));
    fixture.state.link_up(LinkTerms::default(), at(0), &limits());
    assert_eq!(fixture.send(at(10_000)), [1], "being away spends no attempt");
    fixture.tick(at(10_000 + 239));
    assert_eq!(fixture.store.len(), 1, "its timeout has doubled three times");
    fixture.state.tick(at(10_000 + 301), &limits());
    assert_eq!(fixture.commit(), ["dead 1 unacknowledged 3"]);
}

#[test]
fn an_ack_while_a_delivery_is_being_sent_again_settles_it() {
    let mut fixture = Fixture::linked([pending(1)]);
    fixture.send(at(0));
    fixture.tick(at(40));
    fixture.read(at(40));
    assert_eq!(fixture.acknowledge(1, at(40)), ["acknowledge 1"]);
    assert_eq!(fixture.send(at(40)), Vec::<u64>::new());
    assert_eq!(fixture.state.link.queued_bytes(), 0);
}

#[test]
fn what_is_gone_from_the_store_is_not_sent_again() {
    let mut fixture = Fixture::linked([pending(1), pending(2)]);
    fixture.send(at(0));
    fixture.tick(at(40));
    fixture.store.remove(0);
    assert_eq!(fixture.send(at(40)), [2]);
    assert_eq!(fixture.state.link.in_flight.len(), 1);
}

#[test]
fn any_other_refusal_is_a_dead_letter_at_once() {
    let mut fixture = Fixture::linked([pending(1), pending(2)]);
    fixture.send(at(0));
    assert_eq!(fixture.refuse(1, Some(Code::InvalidMessage), at(0)), ["dead 1 rejected: no 0"]);
    assert_eq!(fixture.refuse(2, None, at(0)), ["dead 2 rejected: no 0"]);
    assert!(fixture.refuse(2, None, at(0)).is_empty(), "it is not in flight any more");
}

#[test]
fn an_acknowledged_value_supersedes_the_older_ones_in_flight() {
    let mut fixture = Fixture::linked([sets(1, "k"), sets(2, "other"), sets(3, "k"), sets(4, "k")]);
    fixture.store[0].message_type = slipstream_store::MessageType::new("SW").unwrap();
    fixture.send(at(0));
    assert_eq!(fixture.acknowledge(3, at(1)), ["acknowledge 3", "supersede 1"]);
    fixture.tick(at(60));
    assert_eq!(fixture.send(at(60)), [2, 4], "what was superseded never comes again");
}

#[test]
fn commands_are_never_superseded() {
    let command =
        |number| Pending { message_type: slipstream_store::MessageType::new("CMD").unwrap(), ..sets(number, "k") };
    let mut fixture = Fixture::linked([command(1), sets(2, "k")]);
    fixture.send(at(0));
    assert_eq!(fixture.acknowledge(2, at(1)), ["acknowledge 2"]);
}

#[test]
fn a_coalescing_peer_gets_only_the_newest_value_of_each_key() {
    let mut fixture = Fixture::new((1..=9).map(|number| sets(number, if number % 2 == 0 { "even" } else { "odd" })));
    fixture.store[4] = pending(5);
    fixture.limits.queue_items = 2;
    fixture.state.link_up(LinkTerms { coalesce: true, ..LinkTerms::default() }, at(0), &limits());
    assert_eq!(fixture.send(at(0)), [5, 8, 9]);
    let left: Vec<_> = fixture.store.iter().map(|pending| pending.sequence.get()).collect();
    assert_eq!(left, [5, 8, 9]);
}

#[test]
fn coalescing_waits_until_what_it_superseded_is_committed() {
    let mut state = SendState::new(PeerId::new("p").unwrap());
    state.link_up(LinkTerms { coalesce: true, ..LinkTerms::default() }, at(0), &limits());
    state.ask_page(&limits()).unwrap();
    state.load(Page { items: vec![sets(1, "k"), sets(2, "k")], more: false }, at(0));
    assert!(state.wants_page(&limits()).is_none());
    let mut operations = Vec::new();
    state.decided.take(&mut operations, usize::MAX);
    assert!(matches!(operations[..], [Operation::Supersede { .. }]) && state.wants_page(&limits()).is_none());
    state.committed(1);
    assert!(state.wants_page(&limits()).is_some());
}

#[test]
fn what_is_given_up_is_not_sent_any_more() {
    let mut fixture = Fixture::linked([pending(1), pending(2), pending(3)]);
    fixture.limits.rules.window = NonZeroU32::MIN;
    assert_eq!(fixture.send(at(0)), [1]);
    fixture.state.give_up([(sequence(1), 0), (sequence(2), 0)], &DeadLetterReason::Backlog, at(0));
    assert_eq!(fixture.commit(), ["dead 1 backlog 0", "dead 2 backlog 0"]);
    assert_eq!(fixture.send(at(0)), [3]);
    assert_eq!(fixture.state.link.in_flight.len(), 1);
}

#[test]
fn what_was_given_up_is_not_given_up_again_while_the_store_shows_it() {
    let mut state = live();
    let oldest = [(sequence(1), 0), (sequence(2), 0)];
    assert!(state.give_up(oldest, &DeadLetterReason::Backlog, at(0)));
    assert!(!state.give_up(oldest, &DeadLetterReason::Backlog, at(0)));
    assert!(state.give_up([(sequence(2), 0), (sequence(3), 0)], &DeadLetterReason::Backlog, at(0)));
    let mut operations = Vec::new();
    state.decided.take(&mut operations, usize::MAX);
    assert_eq!(operations.len(), 3);
}
