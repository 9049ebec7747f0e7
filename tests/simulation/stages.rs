//! Relays that may keep very little in memory, with peers that refuse everything for now, stretch after stretch.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use slipstream::relay::StageLimits;
use slipstream::store::PageLimit;

use crate::application::Temper;
use crate::network::Weather;
use crate::plan::{Fault, Plan};
use crate::seeds::hold;

/// The plan with relays whose limits each message or two reach, and applications that answer late, so that much more
/// than that is in flight when they begin to refuse.
fn tiny(mut plan: Plan) -> Plan {
    let page = PageLimit { items: NonZeroU32::MIN.saturating_add(3), bytes: NonZeroUsize::MIN.saturating_add(1_023) };
    plan.settings.stages =
        StageLimits { lane_items: 8, lane_bytes: 2_048, lanes_bytes: 3_072, page, ..StageLimits::default() };
    for application in &mut plan.applications {
        application.topics.padding = 800;
        application.temper =
            Temper { delay: Duration::from_secs(4), stretches: Duration::from_secs(10), ..Temper::prompt() };
    }
    plan
}

#[test]
fn a_relay_with_tiny_stages_holds_while_applications_refuse() {
    let test = "a_relay_with_tiny_stages_holds_while_applications_refuse";
    hold(test, 1..=2, |_| tiny(Plan::mesh(1, &[])));
}

#[test]
fn a_relay_with_tiny_stages_holds_through_faults() {
    let test = "a_relay_with_tiny_stages_holds_through_faults";
    hold(test, 1..=2, |_| tiny(Plan::mesh(1, &[])).with_faults(&Fault::ALL));
}

/// The way between them is long, so that much is in flight when a disk is full and its relay refuses.
#[test]
fn relays_with_tiny_stages_hold_while_disks_are_full() {
    let test = "relays_with_tiny_stages_hold_while_disks_are_full";
    let weather = Weather { latency: Duration::from_secs(1), ..Weather::calm() };
    let plan = Plan { weather, ..tiny(Plan::mesh(3, &[(0, 1), (1, 2), (2, 0)])) };
    hold(test, 1..=2, |_| plan.clone().with_faults(&[Fault::Disk]));
}
