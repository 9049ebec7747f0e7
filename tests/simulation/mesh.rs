//! Relays that dial each other, with an application each.

use std::time::Duration;

use slipstream::relay::DialState;

use crate::faults::Fault;
use crate::network::Weather;
use crate::plan::Plan;
use crate::run::{run, run_with};
use crate::seeds::hold;

const TRIANGLE: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 0)];
const CHAIN: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 3), (3, 4)];
const STAR: &[(usize, usize)] = &[(1, 0), (2, 0), (3, 0), (4, 0)];
const FULL: &[(usize, usize)] = &[(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)];

/// Without faults every application gets every message of every other exactly once, in every topology.
#[test]
fn every_topology_delivers_once() {
    for (relays, joins) in [(3, TRIANGLE), (5, CHAIN), (5, STAR), (5, FULL)] {
        let outcome = run(&Plan::mesh(relays, joins), 1, false);
        assert_eq!(outcome.violation, None, "{joins:?} {:#?}", outcome.last_events);
        let counts = outcome.counts;
        assert!(counts.sent > 100, "{counts:?}");
        assert_eq!((counts.received, counts.again), ((relays - 1) * counts.sent, 0), "{joins:?}");
    }
}

#[test]
fn a_triangle_holds_through_faults() {
    hold("a_triangle_holds_through_faults", 1..=2, |_| Plan::mesh(3, TRIANGLE).with_faults(&Fault::ALL));
}

#[test]
fn a_triangle_holds_with_moody_applications_through_faults() {
    let test = "a_triangle_holds_with_moody_applications_through_faults";
    hold(test, 1..=2, |_| Plan::mesh(3, TRIANGLE).with_moods().with_faults(&Fault::ALL));
}

#[test]
fn a_chain_holds_through_faults() {
    hold("a_chain_holds_through_faults", 1..=2, |_| Plan::mesh(5, CHAIN).with_faults(&Fault::ALL));
}

#[test]
fn a_star_holds_through_faults() {
    hold("a_star_holds_through_faults", 1..=2, |_| Plan::mesh(5, STAR).with_faults(&Fault::ALL));
}

#[test]
fn a_full_mesh_of_five_holds_through_faults() {
    hold("a_full_mesh_of_five_holds_through_faults", 1..=1, |_| Plan::mesh(5, FULL).with_faults(&Fault::ALL));
}

/// Half an hour without a way between two relays, with traffic on both sides, leaves nothing missing and nothing double.
#[test]
fn a_healed_partition_delivers_everything_once() {
    let plan =
        Plan { traffic: Duration::from_secs(2_000), ..Plan::mesh(2, &[(0, 1)]) }.with_pause(Duration::from_secs(4));
    let outcome = run_with(&plan, 1, false, async |simulation| {
        let [one, other] = [0, 1].map(|index| simulation.relays[index].id.clone());
        simulation.network.cut(&one, &other);
        simulation.network.cut(&other, &one);
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        simulation.network.mend(&one, &other);
        simulation.network.mend(&other, &one);
    });
    assert_eq!(outcome.violation, None, "{:#?}", outcome.last_events);
    assert!(outcome.counts.sent > 500, "{:?}", outcome.counts);
    assert_eq!((outcome.counts.received, outcome.counts.again), (outcome.counts.sent, 0));
}

/// A plan of a mesh through an hour of traffic and faults.
fn an_hour(relays: usize, joins: &[(usize, usize)]) -> Plan {
    let plan = Plan::mesh(relays, joins).with_faults(&Fault::ALL).with_pause(Duration::from_secs(5));
    Plan { traffic: Duration::from_secs(3_600), ..plan }
}

#[test]
fn a_triangle_holds_for_an_hour() {
    // Seed 50021 once took a repeat for one without a cause: what came late was acknowledged into a dead connection.
    hold("a_triangle_holds_for_an_hour", 50_021..=50_021, |_| an_hour(3, TRIANGLE));
}

#[test]
fn a_chain_holds_for_an_hour() {
    hold("a_chain_holds_for_an_hour", 1..=1, |_| an_hour(5, CHAIN));
}

#[test]
fn a_star_holds_for_an_hour() {
    hold("a_star_holds_for_an_hour", 1..=1, |_| an_hour(5, STAR));
}

#[test]
fn a_full_mesh_of_five_holds_for_an_hour() {
    hold("a_full_mesh_of_five_holds_for_an_hour", 1..=1, |_| an_hour(5, FULL));
}

/// A link of 300 ms there and back that loses one piece in a hundred lets through close to what is written, and never
/// ends.
#[test]
fn a_slow_and_lossy_link_never_flaps() {
    let weather = Weather { latency: Duration::from_millis(150), losses: 10, ..Weather::calm() };
    let plan = Plan { weather, ..Plan::mesh(2, &[(0, 1)]) }.with_pause(Duration::from_millis(50));
    let outcome = run_with(&plan, 1, false, async |simulation| {
        tokio::time::sleep(plan.traffic).await;
        let dials = simulation.relays[0].observe().expect("it runs").dials;
        assert!(dials.iter().all(|dial| dial.reconnects == 0 && dial.state == DialState::Up), "{dials:?}");
    });
    assert_eq!(outcome.violation, None, "{:#?}", outcome.last_events);
    // 20 messages a second of each side.
    assert!(outcome.counts.sent > 2_000, "{:?}", outcome.counts);
    assert_eq!((outcome.counts.received, outcome.counts.again), (outcome.counts.sent, 0));
}
