//! Shows that this process lives, and shuts out those that do not.
//!
//! Nobody compares clocks: a process counts its own beats up in the store, and those that look at it measure, each on its
//! own clock, for how long they have not gone on.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use slipstream_store::{Member, MemberId, MessageStore, SharedStore, StoreError};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::link::CloseCode;
use crate::relay::core::Core;

/// How often a process beats.
const BEATS_EVERY: Duration = Duration::from_secs(1);

/// A process that has not beaten for so long is taken for dead.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(10);

/// A process that cannot beat for so long serves nobody: it lets its links go before others take it for dead.
const CUT_OFF_AFTER: Duration = Duration::from_secs(7);

/// How long a Close is waited for where a process is cut off.
const CLOSES_WITHIN: Duration = Duration::from_secs(1);

/// Beats until the store fails for good, or the others have shut this process out.
pub(super) async fn beat<S: MessageStore + ?Sized>(
    core: &Core<S>,
    shared: &dyn SharedStore,
) -> Result<Infallible, StoreError> {
    let mut others = Others::default();
    let mut last = core.clock.elapsed();
    let mut ticks = interval(BEATS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let left = CUT_OFF_AFTER.saturating_sub(core.clock.elapsed().saturating_sub(last));
        // A beat that takes long may still come to be one, so it is not ended before it must count as none.
        match tokio::time::timeout(left.max(BEATS_EVERY), shared.beat()).await {
            Ok(Ok(members)) => {
                last = core.clock.elapsed();
                stand(core, false, "");
                let dead = others.look(&members, shared.member(), last);
                for member in dead {
                    shut_out(shared, member).await?;
                }
            }
            Ok(Err(error)) if error.is_transient() => look_at_self(core, last, &error.to_string()),
            Ok(Err(error)) => return Err(error),
            Err(_) => look_at_self(core, last, "it does not answer"),
        }
    }
}

fn look_at_self<S: MessageStore + ?Sized>(core: &Core<S>, last: Duration, why: &str) {
    if core.clock.elapsed().saturating_sub(last) >= CUT_OFF_AFTER {
        stand(core, true, why);
    }
}

/// Lets the links go once this process is cut off, so that peers find another one.
fn stand<S: MessageStore + ?Sized>(core: &Core<S>, cut_off: bool, why: &str) {
    if !core.standing.note(cut_off) {
        return;
    }
    if cut_off {
        warn!(why, "the shared store is out of reach for {CUT_OFF_AFTER:?}: links end until it is back");
        core.links.close_all(CLOSES_WITHIN, CloseCode::AWAY, "the store is out of reach");
    } else {
        info!("the shared store is within reach again");
    }
}

async fn shut_out(shared: &dyn SharedStore, member: Member) -> Result<(), StoreError> {
    match shared.retire(member).await {
        Ok(true) => {
            warn!(process = %member.id, "a process that shares the store showed no life for {DEAD_AFTER:?}: it is shut out")
        }
        Ok(false) => {}
        Err(error) if error.is_transient() => {
            warn!(process = %member.id, %error, "a dead process was not shut out yet")
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The beats of the other processes, and when they went on last. Pure.
#[derive(Debug, Default)]
struct Others(BTreeMap<MemberId, (u64, Duration)>);

impl Others {
    /// Takes in what was read, and returns those that have not beaten for [`DEAD_AFTER`].
    fn look(&mut self, members: &[Member], own: MemberId, now: Duration) -> Vec<Member> {
        self.0.retain(|id, _| members.iter().any(|member| member.id == *id));
        let mut dead = Vec::new();
        for member in members.iter().filter(|member| member.id != own) {
            let (beats, since) = self.0.entry(member.id).or_insert((member.beats, now));
            if *beats != member.beats {
                (*beats, *since) = (member.beats, now);
            } else if now.saturating_sub(*since) >= DEAD_AFTER {
                dead.push(*member);
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_not_beaten_for_long_is_dead() {
        let member = |id, beats| Member { id: MemberId::new(id), beats };
        let own = MemberId::new(1);
        let mut others = Others::default();
        let mut look = |seconds, members: &[Member]| others.look(members, own, Duration::from_secs(seconds));
        assert_eq!(look(0, &[member(1, 7), member(2, 5), member(3, 5)]), []);
        assert_eq!(look(9, &[member(1, 7), member(2, 5), member(3, 6)]), []);
        assert_eq!(look(10, &[member(1, 7), member(2, 5), member(3, 6)]), [member(2, 5)]);
        assert_eq!(look(11, &[member(1, 7), member(2, 6), member(3, 6)]), [], "it lives after all");
        assert_eq!(look(18, &[member(1, 7), member(2, 6)]), []);
        assert_eq!(look(19, &[member(1, 7), member(2, 6), member(3, 6)]), [], "it is new");
        assert_eq!(look(21, &[member(1, 7), member(2, 6), member(3, 6)]), [member(2, 6)]);
    }
}
