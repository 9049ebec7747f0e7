//! Which seeds run: the fixed ones, one to replay, or a campaign.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::invariants::Counts;
use crate::plan::Plan;
use crate::run::{Outcome, Simulation, run_with};

/// Runs a plan with its fixed seeds, or those that the environment names; every invariant must hold.
pub(crate) fn hold(test: &str, fixed: RangeInclusive<u64>, plan: impl Fn(u64) -> Plan) {
    hold_with(test, fixed, plan, &async |_| {}, |_| {});
}

/// The same; while applications write, `script` does what it likes, and what happened in each run is looked at, too.
pub(crate) fn hold_with(
    test: &str,
    fixed: RangeInclusive<u64>,
    plan: impl Fn(u64) -> Plan,
    script: &impl AsyncFn(&Arc<Simulation>),
    looks_at: impl Fn(&Counts),
) {
    let replayed = number("SLIPSTREAM_SIM_SEED");
    for seed in seeds(fixed) {
        let outcome = run_with(&plan(seed), seed, replayed.is_some(), script);
        assert!(outcome.violation.is_none(), "{}", Failure { test, seed, outcome: &outcome });
        assert!(outcome.counts.received > 0, "{test}, seed {seed}: nothing was delivered");
        println!("{test}, seed {seed}: {:?}", outcome.counts);
        looks_at(&outcome.counts);
    }
}

fn seeds(fixed: RangeInclusive<u64>) -> RangeInclusive<u64> {
    if let Some(seed) = number("SLIPSTREAM_SIM_SEED") {
        return seed..=seed;
    }
    let Some(count) = number("SLIPSTREAM_SIM_SEEDS") else { return fixed };
    let from = number("SLIPSTREAM_SIM_FROM").unwrap_or(1);
    from..=from.saturating_add(count.max(1) - 1)
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value:?} is not a whole number")))
}

/// What is said of a seed that failed.
struct Failure<'a> {
    test: &'a str,
    seed: u64,
    outcome: &'a Outcome,
}

impl std::fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { test, seed, outcome } = self;
        for event in &outcome.last_events {
            writeln!(f, "{event}")?;
        }
        if let Some(violation) = &outcome.violation {
            writeln!(f, "broken: {}: {}", violation.invariant, violation.what)?;
        }
        writeln!(f, "seed {seed}, after {:?} of simulated time; replay with", outcome.simulated)?;
        write!(f, "SLIPSTREAM_SIM_SEED={seed} cargo test --test simulation {test} -- --nocapture")
    }
}
