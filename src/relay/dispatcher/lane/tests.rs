use super::*;

const LIMITS: LaneLimits = LaneLimits { window: 4, queue_items: 4, queue_bytes: 1000, total_bytes: 1000 };

fn sequence(number: u64) -> Sequence {
    Sequence::new(number).unwrap()
}

fn identity(number: u64) -> Identity {
    Identity { group: ClusterGroup::singleton(), id: MessageId::new(format!("m{number}")).unwrap() }
}

fn forward(number: u64) -> Arc<Forward> {
    let text = Bytes::from(format!("text {number}"));
    Arc::new(Forward { sequence: sequence(number), identity: identity(number), expires_at: None, text, read_at: None })
}

fn page(numbers: impl IntoIterator<Item = u64>, more: bool) -> Page<Pending> {
    let items = numbers.into_iter().map(|number| Pending {
        sequence: sequence(number),
        identity: identity(number),
        message_type: slipstream_store::MessageType::new("SK").unwrap(),
        key: None,
        expires_at: None,
        received_at: Timestamp::ZERO,
        attempts: 0,
        last_attempt_at: None,
        text: Bytes::from(format!("text {number}")),
    });
    Page { items: items.collect(), more }
}

fn send_all(lane: &mut Lane) -> Vec<u64> {
    std::iter::from_fn(|| lane.next(Timestamp::ZERO, &LIMITS))
        .filter_map(|next| match next {
            Next::Send(forward) => Some(forward.sequence.get()),
            Next::Settle(_) => None,
        })
        .collect()
}

fn acknowledge(lane: &mut Lane, number: u64) -> Acknowledged {
    lane.acknowledge(&PeerId::new("p").unwrap(), &identity(number).id, None, Timestamp::ZERO)
}

fn live() -> Lane {
    let mut lane = Lane::default();
    lane.link_up(None);
    let request = lane.wants_page(&LIMITS).unwrap();
    lane.load(request, page([], false), &LIMITS);
    assert!(lane.wants_page(&LIMITS).is_none());
    lane
}

#[test]
fn a_new_link_reads_the_store_before_it_is_live() {
    let mut lane = Lane::default();
    assert_eq!(lane.offer(&forward(1), &LIMITS), Wanted::default(), "nobody is linked");
    assert!(lane.link_up(None).page);
    let request = lane.wants_page(&LIMITS).unwrap();
    // Committed after the page was read: it must come with the next page.
    assert!(!lane.offer(&forward(3), &LIMITS).send);
    lane.load(request, page([1, 2], false), &LIMITS);
    assert_eq!(send_all(&mut lane), [1, 2]);
    let request = lane.wants_page(&LIMITS).unwrap();
    assert_eq!(request.after, Some(sequence(2)));
    lane.load(request, page([3], false), &LIMITS);
    assert!(lane.wants_page(&LIMITS).is_none(), "live");
    // Committed before the page was read, offered after it.
    lane.offer(&forward(3), &LIMITS);
    lane.offer(&forward(4), &LIMITS);
    assert_eq!(send_all(&mut lane), [3, 4]);
}

#[test]
fn what_was_skipped_and_is_gone_does_not_hold_the_lane_back() {
    let mut lane = Lane::default();
    lane.link_up(None);
    lane.offer(&forward(9), &LIMITS);
    let request = lane.wants_page(&LIMITS).unwrap();
    lane.load(request, page([], false), &LIMITS);
    assert!(lane.wants_page(&LIMITS).is_none());
}

#[test]
fn a_full_lane_falls_behind_and_misses_nothing() {
    let mut lane = live();
    for number in 1..=6 {
        lane.offer(&forward(number), &LIMITS);
    }
    assert_eq!(send_all(&mut lane), [1, 2, 3, 4]);
    assert!(lane.next(Timestamp::ZERO, &LIMITS).is_none(), "the window is full");
    let request = lane.wants_page(&LIMITS).unwrap();
    assert_eq!(request.after, Some(sequence(4)));
    lane.load(request, page([5, 6], false), &LIMITS);
    assert_eq!(acknowledge(&mut lane, 3), Acknowledged::Settled(None));
    assert_eq!(send_all(&mut lane), [5]);
}

#[test]
fn an_ack_for_what_an_earlier_link_sent_settles_it_unsent() {
    let mut lane = Lane::default();
    lane.link_up(None);
    assert_eq!(acknowledge(&mut lane, 2), Acknowledged::NotInFlight);
    let request = lane.wants_page(&LIMITS).unwrap();
    lane.load(request, page([1, 2], false), &LIMITS);
    assert!(matches!(lane.next(Timestamp::ZERO, &LIMITS), Some(Next::Send(_))));
    assert!(matches!(
        lane.next(Timestamp::ZERO, &LIMITS),
        Some(Next::Settle(Settle::Acknowledge { sequence: settled, .. })) if settled == sequence(2)
    ));
}

#[test]
fn what_is_too_large_or_expired_is_never_sent() {
    let mut lane = Lane::default();
    lane.link_up(Some(5));
    let request = lane.wants_page(&LIMITS).unwrap();
    let mut items = page([1, 2], false);
    items.items[1].expires_at = Some(Timestamp::from_millis(5));
    items.items[1].text = Bytes::from_static(b"short");
    lane.load(request, items, &LIMITS);
    let now = Timestamp::from_millis(5);
    assert!(matches!(lane.next(now, &LIMITS), Some(Next::Settle(Settle::TooLarge { .. }))));
    assert!(matches!(lane.next(now, &LIMITS), Some(Next::Settle(Settle::Expire { .. }))));
}

#[test]
fn what_was_decided_outlives_the_link() {
    let mut lane = live();
    lane.offer(&forward(1), &LIMITS);
    send_all(&mut lane);
    acknowledge(&mut lane, 1);
    lane.unlink();
    let mut operations = Vec::new();
    lane.take_decided(&mut operations);
    assert!(matches!(operations[..], [Operation::Acknowledge { .. }]));
}
