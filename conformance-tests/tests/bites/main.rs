//! The suite bites: a store that breaks a clause in one way fails a case that cites this clause.
//!
//! [`Broken`](broken::Broken) is the model with one flaw. Each flaw is a test here, and the cases that cite its clause
//! must find it without the help of the lockstep, which has tests of its own at the end.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod broken;
mod flaw;
mod harness;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flaw::Flaw;
use harness::BrokenHarness;
use slipstream_conformance::{Case, Clause, cases};

const LOCKSTEP: &str = "lockstep::a_store_answers_as_the_model_does";

fn passes(case: &Case<BrokenHarness>, flaw: Flaw) -> bool {
    catch_unwind(AssertUnwindSafe(|| (case.run)(BrokenHarness::new(flaw)))).is_ok()
}

fn assert_bites(clause: Clause, flaw: Flaw) {
    let cases: Vec<_> = cases().into_iter().filter(|case| case.clauses.contains(&clause)).collect();
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

        const FLAWED: &[Clause] = &[$(Clause::$clause),+];
    };
}

bites! {
    C1 {
        c1_a_batch_in_parts: CommitsOneByOne,
        c1_a_batch_that_ends_at_a_conflict: StopsAtAConflict,
        c1_operations_that_do_not_see_those_before: RemembersPeersLast,
        c1_settling_for_all_recipients: SettlesForEveryone,
        c1_owing_to_strangers: RemembersRecipients,
    }
    C2 {
        c2_all_lost_at_reopening: ForgetsAtReopening,
        c2_the_last_commit_lost_at_reopening: LosesTheLastCommit,
        c2_a_backup_of_nothing: BacksUpNothing,
    }
    C3 {
        c3_attempts_without_their_number: CountsEveryAttempt,
        c3_applied_where_nothing_changed: AlwaysSaysApplied,
        c3_peers_applied_anew: AppliesKnownPeers,
        c3_a_repeated_message_delivered_again: DeliversDuplicates,
        c3_a_dead_letter_imported_twice: ImportsTwice,
    }
    C4 {
        c4_identities_lost_at_reopening: ForgetsIdentitiesAtReopening,
        c4_fingerprints_ignored: IgnoresFingerprints,
        c4_stamps_ignored: IgnoresStamps,
        c4_records_what_it_is_asked_for: RecordsWhatItIsAskedFor,
        c4_imports_recorded: RecordsImports,
        c4_stamps_by_number_only: IgnoresEpochs,
        c4_groups_ignored: IgnoresGroups,
        c4_identities_that_end_with_their_message: ForgetsSettledIdentities,
        c4_too_many_identities_kept: KeepsEveryIdentity,
    }
    C5 {
        c5_sequences_given_anew: ReusesSequences,
        c5_descending_pages: ReversesPages,
        c5_messages_that_show_late: ShowsLate,
    }
    C6 {
        c6_after_inclusive: IncludesAfter,
        c6_items_unbounded: IgnoresItems,
        c6_bytes_unbounded: IgnoresBytes,
        c6_one_page_too_few: NeverSaysMore,
        c6_more_where_there_is_none: SaysMoreWhenFull,
        c6_oversized_items_withheld: WithholdsOversized,
        c6_dead_letters_by_sequence_only: SkipsSharedSequences,
        c6_reasons_by_prefix: FiltersByPrefix,
        c6_texts_changed: MendsTexts,
        c6_dead_letters_counted_once: CountsDeadLettersOnce,
        c6_imports_dated_anew: DatesImports,
        c6_counts_from_before_reopening: CountsFromZero,
    }
    C7 {
        c7_an_old_sequence: RedrivesInPlace,
        c7_old_attempts: RedrivesWithAttempts,
        c7_a_copy_left_dead: RedrivesTwice,
    }
    C8 {
        c8_half_a_batch_of_a_dropped_call: CommitsInHalves,
        c8_a_dropped_call_seen_and_lost: LosesDroppedCommits,
        c8_a_lock_never_released: StaysBusyWhenDropped,
    }
    C9 {
        c9_budget_ignored: IgnoresBudget,
        c9_pending_taken: PurgesPending,
        c9_expiry_ignored: NeverExpires,
        c9_nothing_purged: NeverPurges,
        c9_no_more_too_early: NeverSaysMoreToPurge,
        c9_the_farthest_horizon_kept: KeepsTheFarthestHorizon,
        c9_room_never_reused: NeverReusesRoom,
        c9_dead_letters_taken: PurgesDeadLetters,
        c9_traces_taken: PurgesTraces,
    }
    C10 {
        c10_chance: LeavesGapsByChance,
    }
    C11 {
        c11_two_openers: OpensTwice,
        c11_a_place_never_free: NeverFreesItsPlace,
        c11_answers_after_closing: AnswersWhenClosed,
        c11_damage_opened: OpensDamaged,
        c11_damage_repaired: WritesOverDamage,
    }
    C12 {
        c12_tags_lost: ForgetsTags,
        c12_last_seen_never_moves: KeepsFirstLastSeen,
        c12_the_relays_id_lost: ForgetsTheRelay,
        c12_a_changed_peer_loses_its_backlog: ReplacesPeers,
        c12_peers_never_forgotten: NeverForgetsPeers,
        c12_aliases_lost: ForgetsAliases,
        c12_an_alias_that_stays: OnlyRemembersWhoAdopts,
        c12_an_alias_forgotten_with_its_backlog: DropsWhatAnAliasIsOwed,
        c12_dead_letters_lost_with_the_alias: LosesDeadLettersOfAnAlias,
    }
    C13 {
        c13_nothing_told: TellsNoExchange,
        c13_half_of_it_told: TellsHalfOfAnExchange,
        c13_everything_told_twice: TellsExchangesTwice,
        c13_all_acknowledged: TellsAllAsAcknowledged,
        c13_more_than_enough: NeverHasEnoughShown,
    }
}

#[test]
fn every_clause_has_cases_and_flaws() {
    use Clause::*;
    let clauses = [C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13];
    assert_eq!(FLAWED, clauses);
    for clause in clauses {
        let cited = cases::<BrokenHarness>().iter().filter(|case| case.clauses.contains(&clause)).count();
        assert!(cited > 0, "no case cites {clause:?}");
    }
}

#[test]
fn names_of_cases_are_unique() {
    let cases = cases::<BrokenHarness>();
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len());
}

/// Without a flaw the wrapper passes, so it is the flaw that fails.
#[test]
fn without_a_flaw_every_case_passes() {
    let failing: Vec<_> = cases().into_iter().filter(|case| !passes(case, Flaw::None)).collect();
    assert!(failing.is_empty(), "{failing:?}");
}

/// The lockstep finds flaws by itself too, of those that it can see.
#[test]
fn the_lockstep_bites() {
    let lockstep: Vec<_> = cases().into_iter().filter(|case| case.name == LOCKSTEP).collect();
    for flaw in [
        Flaw::StopsAtAConflict,
        Flaw::LosesTheLastCommit,
        Flaw::CountsEveryAttempt,
        Flaw::IgnoresFingerprints,
        Flaw::IgnoresStamps,
        Flaw::IncludesAfter,
        Flaw::RedrivesWithAttempts,
        Flaw::NeverExpires,
        Flaw::KeepsEveryIdentity,
        Flaw::KeepsFirstLastSeen,
        Flaw::CountsDeadLettersOnce,
        Flaw::DropsWhatAnAliasIsOwed,
        Flaw::ImportsTwice,
        Flaw::RecordsImports,
        Flaw::TellsHalfOfAnExchange,
        Flaw::TellsAllAsAcknowledged,
    ] {
        assert!(lockstep.iter().all(|case| !passes(case, flaw)), "the lockstep passes a store that {flaw:?}");
    }
}

/// A failure says which clauses are at stake, in words, to whoever has only the output of the test.
#[test]
fn every_clause_is_said_in_short() {
    use Clause::*;
    let clauses = [C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, S1, S2, S3, S4, S5, S6];
    let said: BTreeSet<_> = clauses.map(Clause::in_short).into();
    assert_eq!(said.len(), clauses.len());
}
