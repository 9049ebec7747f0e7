//! One relay as several processes that share a store: applications link to any of them.

use crate::plan::{Fault, Plan};
use crate::run::run;
use crate::seeds::hold;

/// One relay on three machines, with applications that write and read.
fn cluster() -> Plan {
    Plan::mesh(1, &[]).on_several_machines(3)
}

#[test]
fn everyone_gets_everything_from_processes_that_share_a_store() {
    let outcome = run(&cluster(), 1, false);
    assert_eq!(outcome.violation, None, "{:#?}", outcome.last_events);
    let counts = outcome.counts;
    assert!(counts.sent > 100, "{counts:?}");
    assert_eq!((counts.received, counts.again), (2 * counts.sent, 0), "each message to both others, once");
}

#[test]
fn processes_that_share_a_store_hold_through_faults() {
    // Seed 104 once showed that a batch must say by which roster it was routed.
    hold("processes_that_share_a_store_hold_through_faults", 102..=107, |_| cluster().with_faults(&Fault::SHARING));
}

#[test]
fn processes_that_share_a_store_hold_with_moody_applications_through_faults() {
    let test = "processes_that_share_a_store_hold_with_moody_applications_through_faults";
    // Seed 192 once recorded a message of a process that had stood still after newer ones.
    hold(test, 189..=194, |_| cluster().with_moods().with_faults(&Fault::SHARING));
}

#[test]
fn processes_that_share_a_store_hold_while_it_comes_and_goes() {
    let test = "processes_that_share_a_store_hold_while_it_comes_and_goes";
    hold(test, 301..=306, |_| cluster().with_faults(&Fault::FAILING_OVER));
}

/// Two such relays that are linked: of each one process dials or is dialled, and another goes on when it is gone.
#[test]
fn linked_clusters_hold_through_faults() {
    let plan = Plan::mesh(2, &[(0, 1)]).on_several_machines(2);
    hold("linked_clusters_hold_through_faults", 1..=4, |_| plan.clone().with_faults(&Fault::SHARING));
}
