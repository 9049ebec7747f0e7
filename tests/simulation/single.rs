//! One relay with three applications.

use crate::plan::{Fault, Plan};
use crate::run::run;
use crate::seeds::hold;

#[test]
fn everyone_gets_everything_on_a_calm_network() {
    let outcome = run(&Plan::mesh(1, &[]), 1, false);
    assert_eq!(outcome.violation, None, "{:#?}", outcome.last_events);
    let counts = outcome.counts;
    assert!(counts.sent > 100, "{counts:?}");
    assert_eq!((counts.received, counts.again), (2 * counts.sent, 0), "each message to both others, once");
}

#[test]
fn one_relay_holds_through_faults() {
    hold("one_relay_holds_through_faults", 1..=4, |_| Plan::mesh(1, &[]).with_faults(&Fault::ALL));
}

#[test]
fn one_relay_holds_with_moody_applications() {
    hold("one_relay_holds_with_moody_applications", 1..=4, |_| Plan::mesh(1, &[]).with_moods());
}

#[test]
fn one_relay_holds_with_moody_applications_through_faults() {
    let test = "one_relay_holds_with_moody_applications_through_faults";
    // Seed 100 once lost a delivery.
    hold(test, 98..=101, |_| Plan::mesh(1, &[]).with_moods().with_faults(&Fault::ALL));
}

#[test]
fn one_relay_holds_with_an_anonymous_application_through_faults() {
    let test = "one_relay_holds_with_an_anonymous_application_through_faults";
    hold(test, 1..=4, |_| Plan::mesh(1, &[]).with_an_anonymous_one().with_moods().with_faults(&Fault::ALL));
}

#[test]
fn a_seed_replays_event_by_event() {
    let plan = Plan::mesh(3, &[(0, 1), (1, 2), (2, 0)]).with_faults(&Fault::ALL);
    let [once, again] = [run(&plan, 7, false), run(&plan, 7, false)];
    assert_eq!(once.fingerprint, again.fingerprint, "{:#?}\n{:#?}", once.last_events, again.last_events);
    assert_ne!(once.fingerprint, run(&plan, 8, false).fingerprint, "another seed is another run");
}
