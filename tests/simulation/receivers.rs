//! Receivers that remember nothing, that die of a message, whose link flaps, or whose id another program has, too.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use slipstream::client::{Client, ClientOptions};
use slipstream::link::{Connector as _, Target};
use slipstream::store::PeerId;
use tokio::time::{Instant, sleep, timeout};

use crate::application::{Temper, Topics};
use crate::invariants::Counts;
use crate::network::Life;
use crate::plan::{Fault, Plan};
use crate::run::Simulation;
use crate::seeds::{hold, hold_with};

/// One relay, with applications that write often about a few keys, so that newer values overtake older ones.
fn keyed() -> Plan {
    let mut plan = Plan::mesh(1, &[]).with_moods();
    for application in &mut plan.applications {
        application.topics.every = Some(Duration::from_millis(100));
        application.temper = Temper { loses: 100, tardy: 60, postpones: 60, ignores: 20, ..Temper::moody() };
    }
    plan
}

#[test]
fn values_never_go_backwards() {
    hold("values_never_go_backwards", 1..=4, |_| keyed());
}

#[test]
fn values_never_go_backwards_through_faults() {
    hold("values_never_go_backwards_through_faults", 1..=4, |_| keyed().with_faults(&Fault::ALL));
}

/// A peer that takes longer for its window than the ack timeout, and settles in order: no copy, no dead letter.
#[test]
fn a_slow_and_healthy_reader_gets_no_copy() {
    let test = "a_slow_and_healthy_reader_gets_no_copy";
    let plan = |_| {
        let mut plan = Plan { traffic: Duration::from_secs(30), ..Plan::mesh(1, &[]) };
        plan.settings.delivery.ack_timeout = Duration::from_secs(1);
        plan.settings.delivery.window = std::num::NonZeroU32::new(400).expect("it is not 0");
        for application in &mut plan.applications {
            application.topics = Topics::events(Duration::from_millis(50));
        }
        let slow = plan.applications.last_mut().expect("there are three");
        slow.topics.every = None;
        slow.temper = Temper { delay: Duration::ZERO, reads_after: Duration::from_millis(80), ..Temper::prompt() };
        plan
    };
    hold_with(test, 1..=2, plan, &async |_| {}, |counts| {
        assert!(counts.sent > 800, "{counts:?}");
        assert_eq!((counts.received, counts.again), (2 * counts.sent, 0), "{counts:?}");
    });
}

/// The message that a reader dies of is found in a stream of a thousand, and all else is delivered.
#[test]
fn a_poison_is_found_and_nothing_else_is_lost() {
    let test = "a_poison_is_found_and_nothing_else_is_lost";
    let plan = |seed: u64| {
        let mut plan =
            Plan { traffic: Duration::from_secs(120), ..Plan::mesh(1, &[]) }.with_a_poison(1 + seed * 97 % 500);
        for application in &mut plan.applications {
            application.topics = Topics::events(Duration::from_millis(100));
        }
        plan
    };
    hold_with(test, 1..=4, plan, &async |_| {}, |counts| {
        assert_eq!(counts.ended.get("dead"), Some(&1), "{counts:?}");
        assert_eq!(counts.received, 2 * counts.sent, "{counts:?}");
    });
}

#[test]
fn a_poison_is_found_through_faults() {
    let faults = [Fault::Reset, Fault::Cut, Fault::RelayCrash, Fault::RelayRestart, Fault::ApplicationCrash];
    let plan = || Plan { traffic: Duration::from_secs(120), ..Plan::mesh(1, &[]) }.with_a_poison(20);
    hold("a_poison_is_found_through_faults", 1..=4, |_| plan().with_faults(&faults));
}

/// A link that drops every 50 ms, under a reader that mostly takes longer than that for an answer: nothing is given up,
/// and nothing is lost.
#[test]
fn a_link_that_flaps_makes_no_dead_letter() {
    let delay = |seed: u64| Duration::from_millis(40 + seed * 60 % 361);
    flaps("a_link_that_flaps_makes_no_dead_letter", 0..=6, Duration::from_secs(60), delay);
}

#[test]
fn a_link_that_flaps_for_an_hour_makes_no_dead_letter() {
    let test = "a_link_that_flaps_for_an_hour_makes_no_dead_letter";
    flaps(test, 1..=1, Duration::from_secs(3_600), |_| Duration::from_millis(120));
}

fn flaps(test: &str, fixed: RangeInclusive<u64>, lasts: Duration, delay: impl Fn(u64) -> Duration) {
    let plan = |seed| {
        let mut plan = Plan { traffic: lasts, ..Plan::mesh(1, &[]) };
        for application in &mut plan.applications {
            application.topics = Topics::events(Duration::from_secs(10));
        }
        plan.applications.last_mut().expect("there are three").temper.delay = delay(seed);
        plan
    };
    let script = async |simulation: &Arc<Simulation>| {
        let flapping = &simulation.plan.applications.last().expect("there are three").id;
        let began = Instant::now();
        while began.elapsed() < lasts {
            sleep(Duration::from_millis(50)).await;
            simulation.network.reset_all_of(flapping);
        }
    };
    hold_with(test, fixed, plan, &script, nothing_is_given_up);
}

fn nothing_is_given_up(counts: &Counts) {
    assert_eq!(counts.ended.get("dead"), None, "{counts:?}");
    assert_eq!(counts.received, 2 * counts.sent, "{counts:?}");
}

/// Another program links under the id of an application, again and again, and answers nothing: the application gets
/// everything all the same, and nothing is given up.
#[test]
fn two_links_with_one_id_lose_nothing() {
    let plan = |_| Plan { traffic: Duration::from_secs(120), ..Plan::mesh(1, &[]) };
    let script = async |simulation: &Arc<Simulation>| {
        let id = &simulation.plan.applications[0].id;
        simulation.oracle.is_impersonated(id);
        let life = Life::new(&PeerId::new("another").expect("a valid id"));
        let options = ClientOptions { id: Some(id.clone()), ..ClientOptions::default() };
        let target = Target::parse("ws://relay-0:7171/").expect("a URL");
        for turn in 0..60_u64 {
            let (stream, _) = simulation.network.connector(&life).connect(&target).await.expect("a connection");
            let client = Client::over(stream, "relay", "/", &options).await.expect("a link");
            let (_sender, mut receiver) = client.split();
            let reads = async { while let Some(Ok(_)) = receiver.next().await {} };
            let _ = timeout(Duration::from_millis(30 + 70 * turn), reads).await;
            sleep(Duration::from_millis(10 * turn)).await;
        }
    };
    hold_with("two_links_with_one_id_lose_nothing", 1..=4, plan, &script, nothing_is_given_up);
}
