use slipstream_store::Page;

use super::*;
use crate::clock::SystemClock;
use crate::relay::dispatcher::samples::{forward, pending};
use crate::relay::dispatcher::{Dispatcher, LaneLimits};
use crate::relay::settings::DeliveryRules;

/// A lane with a link, and what its store has as pending.
struct Fixture {
    dispatcher: Dispatcher,
    lane: Arc<Lane>,
    store: Vec<u64>,
}

impl Fixture {
    fn new() -> Self {
        let limits =
            LaneLimits { rules: DeliveryRules::default(), queue_items: 8, queue_bytes: 1000, total_bytes: 1000 };
        let dispatcher = Dispatcher::new(limits, Arc::new(SystemClock::new()));
        let lane = dispatcher.open_lane(&PeerId::new("p").unwrap());
        Self { dispatcher, lane, store: Vec::new() }
    }

    fn link(&self, generation: u64) {
        self.lane.link_up(Generation(generation), &Arc::default(), LinkTerms::default(), LinkEnd::Lost);
    }

    /// Reads what the lane wants of the store, and returns what it sends.
    fn sent(&self, generation: u64) -> Vec<u64> {
        let mut state = self.lane.state.lock();
        while let Some(request) = state.send.ask_page(&self.lane.environment.limits()) {
            let items = self.store.iter().map(|number| pending(*number));
            let items = items.filter(|pending| Some(pending.sequence) > request.after).collect();
            state.send.load(Page { items, more: false }, self.lane.now());
        }
        drop(state);
        let mut sent = Vec::new();
        self.lane.send_into(Generation(generation), |forward| {
            sent.push(forward.sequence.get());
            true
        });
        sent
    }

    fn commits(&self, commit: CommitNumber, number: u64) {
        self.dispatcher.forward(commit, std::slice::from_ref(&self.lane.peer), &[forward(number)]);
    }
}

#[test]
fn what_began_to_be_committed_before_the_link_is_sent_if_it_is_owed_still() {
    let mut fixture = Fixture::new();
    let (first, second) = (fixture.dispatcher.begin_commit(), fixture.dispatcher.begin_commit());
    fixture.link(1);
    assert_eq!(fixture.sent(1), [0; 0]);
    // Another process has had the peer meanwhile, which settled this one there.
    fixture.commits(first, 1);
    assert_eq!(fixture.sent(1), [0; 0]);
    fixture.store = vec![2];
    fixture.commits(second, 2);
    assert_eq!(fixture.sent(1), [2]);
}

#[test]
fn what_began_to_be_committed_on_the_link_is_sent_from_memory() {
    let fixture = Fixture::new();
    fixture.link(1);
    assert_eq!(fixture.sent(1), [0; 0]);
    let commit = fixture.dispatcher.begin_commit();
    fixture.commits(commit, 1);
    assert_eq!(fixture.sent(1), [1]);
}
