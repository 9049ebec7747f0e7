//! The power-loss tests bite: a store with one flaw fails the test that is about it, and one without passes them all.
//! And the disk that they run on keeps what a disk must keep, and nothing else.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod disk;
mod store;

use slipstream_conformance::power::{self, Trial};
use slipstream_conformance::{AfterACut, FlippedBits, power_loss_tests};
use store::{FileHarness, Flaw};

mod without_a_flaw {
    use super::*;
    power_loss_tests!(FileHarness::new(Flaw::None));
}

macro_rules! bites {
    ($($test:ident: $flaw:ident fails $case:ident with $text:literal,)+) => {
        $(
            #[test]
            #[should_panic(expected = $text)]
            fn $test() {
                let name = concat!(module_path!(), "::", stringify!($test));
                power::run(name, FileHarness::new(Flaw::$flaw), |trial: Trial<_>| power::$case(trial));
            }
        )+
    };
}

bites! {
    a_store_that_answers_before_syncing: AnswersBeforeSyncing fails what_is_confirmed_survives
        with "what was confirmed is lost",
    a_store_that_does_not_sync_its_name: ForgetsTheFolder fails what_is_confirmed_survives
        with "what was confirmed is lost",
    a_store_that_commits_in_halves: CommitsInHalves fails what_is_confirmed_survives
        with "it should hold",
    a_store_that_trusts_torn_records: TrustsRecords fails unsynced_writes_that_survive_do_no_harm
        with "the store does not open",
    a_store_that_recovers_in_place: RecoversInPlace fails cuts_during_recovery_do_no_harm
        with "what was confirmed is lost",
    a_store_that_passes_over_failed_syncs: PassesOverFailedSyncs fails a_failed_sync_is_no_success
        with "said Ok though a sync failed in it",
    a_store_that_tries_failed_syncs_again: TriesSyncsAgain fails a_failed_sync_is_no_success
        with "what was confirmed is lost",
    a_store_that_goes_on_after_a_failed_sync: SaysBusyToFailedSyncs fails a_failed_sync_is_no_success
        with "expected Poisoned after a sync failed",
    a_store_that_leaves_a_hole_where_it_was_full: LeavesHoles fails a_full_disk_loses_nothing
        with "Replay it",
    a_store_that_did_what_it_said_was_too_much: DoesWhatItRefuses fails a_full_disk_loses_nothing
        with "and yet",
    a_store_that_reads_what_was_not_written: TrustsRecords fails flipped_bits_are_reported
        with "a flipped bit was not noticed",
}

#[test]
#[should_panic(expected = "every flipped bit was noticed, though the harness says")]
fn a_harness_that_excuses_its_store_without_need() {
    let name = concat!(module_path!(), "::a_harness_that_excuses_its_store_without_need");
    let flipped_bits = FlippedBits::MayGoUnnoticed("it might be");
    power::run(name, FileHarness { flipped_bits, ..FileHarness::new(Flaw::None) }, power::flipped_bits_are_reported);
}

#[test]
#[should_panic(expected = "times in 40 cuts; excused was that it might be")]
fn a_store_that_is_excused_and_often_does_not_open() {
    let name = concat!(module_path!(), "::a_store_that_is_excused_and_often_does_not_open");
    let after_a_cut = AfterACut::MayNotOpen("it might be");
    let harness = FileHarness { after_a_cut, ..FileHarness::new(Flaw::OpensOnlyIfClosed) };
    power::run(name, harness, power::what_is_confirmed_survives);
}
