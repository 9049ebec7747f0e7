//! Whether the relay takes messages, and what keeps a confirmed one from being worth all that it could be.

use std::time::Duration;

use crate::admin::Readiness;
use crate::disk::Elsewhere;
use crate::relay::Observer;
use crate::store::{MessageStore, Survives};

/// From how far on the machine's clock and the relay's time are told to differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// How a relay stands whose store is kept there.
pub(super) fn readiness(observer: &Observer<dyn MessageStore>, place: Option<Elsewhere>) -> Readiness {
    let guarantee = observer.guarantee();
    Readiness {
        reasons: reasons(observer),
        degraded: degraded(observer, place),
        open_circuits: observer.open_circuits(),
        store: guarantee.engine.to_owned(),
        guarantee: Some(guarantee.to_string()),
    }
}

/// Why the relay takes no messages; nothing if it does.
pub(super) fn reasons(observer: &Observer<dyn MessageStore>) -> Vec<String> {
    let mut reasons = Vec::new();
    if !observer.is_taking() {
        reasons.push("shutting down".to_owned());
    }
    reasons.extend(observer.disk_trouble());
    if let Some(trouble) = observer.store_trouble() {
        let guarantee = observer.guarantee();
        // Where another machine has a copy, this is whether that is there.
        let note = guarantee.note.filter(|_| guarantee.survives == Survives::LostDisk);
        let note = note.map(|note| format!("; {note}")).unwrap_or_default();
        reasons.push(format!("store failing: {trouble}{note}"));
    }
    reasons
}

fn degraded(observer: &Observer<dyn MessageStore>, place: Option<Elsewhere>) -> Vec<String> {
    let guarantee = observer.guarantee();
    let (engine, durability) = (guarantee.engine, guarantee.durability);
    let weaker = (guarantee.survives < Survives::PowerCut)
        .then(|| format!("{guarantee} (engine {engine}, durability {durability})"));
    weaker.into_iter().chain(place.map(of_place)).chain(of_clock(observer.clock_offset())).collect()
}

/// What is wrong with a place for a store.
pub(super) fn of_place(place: Elsewhere) -> String {
    match place {
        Elsewhere::InMemory(name) => format!(
            "the store is on {name}, which is in memory: a crash of the machine or a power cut loses it; expected a disk \
             (SLIPSTREAM_STORAGE_PATH)"
        ),
        Elsewhere::Behind(name) => format!(
            "the store is on {name}: whether it survives a power cut depends on what is behind that, and a lost connection \
             stops the relay; expected a disk of this machine (SLIPSTREAM_STORAGE_PATH)"
        ),
    }
}

/// What is wrong with a clock that is so many milliseconds ahead.
fn of_clock(offset: i64) -> Option<String> {
    let (by, how) = (Duration::from_millis(offset.unsigned_abs()), if offset > 0 { "ahead of" } else { "behind" });
    (by > CLOCKS_DIFFER).then(|| {
        format!(
            "the machine's clock was set or the machine slept: it is {} s {how} the relay's time, by which traces are dated \
             and periods are counted, until the relay is started again",
            by.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_of_clocks_is_none() {
        assert_eq!(of_clock(60_000), None);
        let told = of_clock(-3_600_000).expect("an hour is too much");
        assert!(told.contains("it is 3600 s behind the relay's time"), "{told}");
    }
}
