//! The suite for shared stores bites: a store that breaks a clause of sharing in one way fails a case that cites it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod flawed;

use std::panic::{AssertUnwindSafe, catch_unwind};

use flawed::{Flaw, FlawedHarness};
use slipstream_conformance::{Case, Clause, shared_cases};

const LOCKSTEP: &str = "shared::members_answer_as_those_of_the_model_do";

fn passes(case: &Case<FlawedHarness>, flaw: Flaw) -> bool {
    catch_unwind(AssertUnwindSafe(|| (case.run)(FlawedHarness::new(flaw)))).is_ok()
}

fn sharing() -> Vec<Case<FlawedHarness>> {
    shared_cases().into_iter().filter(|case| case.name.starts_with("shared::")).collect()
}

fn assert_bites(clause: Clause, flaw: Flaw) {
    let cases: Vec<_> = sharing().into_iter().filter(|case| case.clauses.contains(&clause)).collect();
    let mut directed = cases.iter().filter(|case| case.name != LOCKSTEP);
    assert!(directed.any(|case| !passes(case, flaw)), "every case of {clause:?} passes a store that {flaw:?}");
}

macro_rules! bites {
    ($($clause:ident { $($test:ident: $flaw:ident,)+ })+) => {
        $($(
            #[test]
            fn $test() {
                assert_bites(Clause::$clause, Flaw::$flaw);
            }
        )+)+
    };
}

bites! {
    S1 {
        s1_a_store_for_each: SharesNothing,
        s1_a_message_of_another_that_shows_late: ShowsLate,
    }
    S2 {
        s2_any_roster_will_do: IgnoresTheRoster,
        s2_a_refused_batch_done: DoesWhatItRefuses,
        s2_being_seen_a_change: TakesBeingSeenForAChange,
    }
    S3 {
        s3_claims_forgotten: ForgetsClaims,
        s3_the_first_claim_kept: KeepsTheFirstClaim,
        s3_acknowledgements_refused: RefusesAcknowledgements,
        s3_own_claims_told_as_others: TellsOwnClaimsAsOthers,
    }
    S4 {
        s4_no_news: TellsNoNews,
        s4_nobody_in_between: TellsNobodyInterleaved,
        s4_claims_lost_in_silence: TellsNoLostClaims,
    }
    S5 {
        s5_nobody_retired: RetiresNobody,
        s5_the_living_retired: RetiresTheLiving,
        s5_claims_kept_by_the_dead: KeepsClaimsOfTheDead,
    }
    S6 {
        s6_a_duty_for_all: GivesDutiesToAll,
        s6_duties_taken_away: TakesDutiesAway,
    }
}

/// Without a flaw the wrapper passes, so it is the flaw that fails.
#[test]
fn without_a_flaw_every_case_passes() {
    let failing: Vec<_> = shared_cases().into_iter().filter(|case| !passes(case, Flaw::None)).collect();
    assert!(failing.is_empty(), "{failing:?}");
}

/// The lockstep finds flaws by itself too, of those that it can see.
#[test]
fn the_lockstep_bites() {
    let lockstep: Vec<_> = sharing().into_iter().filter(|case| case.name == LOCKSTEP).collect();
    assert_eq!(lockstep.len(), 1);
    for flaw in [
        Flaw::SharesNothing,
        Flaw::IgnoresTheRoster,
        Flaw::ForgetsClaims,
        Flaw::KeepsTheFirstClaim,
        Flaw::TellsNoNews,
        Flaw::TellsNoLostClaims,
        Flaw::RetiresNobody,
        Flaw::GivesDutiesToAll,
    ] {
        assert!(lockstep.iter().all(|case| !passes(case, flaw)), "the lockstep passes a store that {flaw:?}");
    }
}
