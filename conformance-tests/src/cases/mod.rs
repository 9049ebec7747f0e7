//! The list of cases, which is the index of the suite, and the cases by topic.

pub mod adopt;
pub mod atomic;
pub mod dead_letters;
pub mod exchange;
pub mod exclusive;
pub mod identity;
pub mod imports;
pub mod lifecycle;
pub mod lockstep;
pub mod pages;
pub mod purge;
pub mod redrive;
pub mod repeat;
pub mod roster;
pub mod sequence;
pub mod settle;
pub mod shared;
pub mod stamps;
pub mod trace;
pub mod volume;

use std::fmt;

use crate::harness::Harness;

/// A clause of the contract, as [`MessageStore`](slipstream_store::MessageStore) and
/// [`SharedStore`](slipstream_store::SharedStore) number them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the trait documents each clause under this very name")]
pub enum Clause {
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    C8,
    C9,
    C10,
    C11,
    C12,
    C13,
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
}

impl Clause {
    /// What the clause asks for, in a line. The whole of it stands at the trait.
    #[must_use]
    pub fn in_short(self) -> &'static str {
        match self {
            Self::C1 => "all operations of a batch apply or none, and each sees those before it",
            Self::C2 => "what was committed is there after reopening; a backup is a store",
            Self::C3 => "a batch that is committed again changes nothing and says so",
            Self::C4 => "the first write of an identity or stamp wins until its horizon, across reopening",
            Self::C5 => "sequences ascend, become visible in that order, and are never given twice",
            Self::C6 => "`after` is exclusive, pages are snapshots bounded in items and bytes, `more` is exact",
            Self::C7 => "a redriven delivery has a new sequence and no attempts",
            Self::C8 => "a call whose future is dropped is done whole or not at all, and the store goes on",
            Self::C9 => "a purge keeps to its budget and horizon, and a store that turns over stays bounded",
            Self::C10 => "equal calls in equal order give equal results",
            Self::C11 => "a store is open once at a time, and a damaged one is refused and left as it was",
            Self::C12 => "peers and the relay's id are remembered across reopening",
            Self::C13 => "what is told of an exchange is what was recorded and acknowledged, across reopening",
            Self::S1 => "all members have one order of commits, in which C5 holds",
            Self::S2 => "each change of the roster has a version, and a batch routed by an older one is refused",
            Self::S3 => "the last claim of a peer holds, and what others decide about its deliveries changes nothing",
            Self::S4 => "a member is told of what others did, at least once",
            Self::S5 => "a retired member changes nothing any more, and what was its is free",
            Self::S6 => "a duty is one member's at a time, and never taken from one that lives",
        }
    }
}

/// Says what a case is about, once it has failed. It stands on the stack of the case's test.
#[doc(hidden)]
#[derive(Debug)]
pub struct Cited {
    /// As [`Case::name`].
    pub name: &'static str,
    /// As [`Case::clauses`].
    pub clauses: &'static [Clause],
}

impl Drop for Cited {
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let topic = self.name.split("::").next().unwrap_or_default();
        eprintln!("\n{} failed. It checks what the contract says in", self.name);
        for clause in self.clauses {
            eprintln!("  {clause:?}: {}", clause.in_short());
        }
        eprintln!(
            "Where two values are compared, the left one came from the store and the right one was expected, unless the\n\
             message says otherwise. What was done before is in conformance-tests/src/cases/{topic}.rs.\n"
        );
    }
}

/// One case of the suite.
pub struct Case<H> {
    /// Topic and name, as in `pages::after_is_exclusive`.
    pub name: &'static str,
    /// The clauses that it checks.
    pub clauses: &'static [Clause],
    /// Runs it on a fresh store; panics if the store fails it.
    pub run: fn(H),
}

impl<H> fmt::Debug for Case<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.clauses)
    }
}

/// Expands to a test for every case of the suite for a store that one process has open at a time, each in a module for its
/// topic and with a fresh store.
///
/// It takes an expression that makes a [`Harness`]; each test evaluates it anew.
///
/// ```
/// use slipstream_conformance::{ModelHarness, conformance_tests};
///
/// conformance_tests!(ModelHarness::default());
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::for_each_case! { __conformance_tests $harness }
        $crate::for_each_exclusive_case! { __conformance_tests $harness }
    };
}

/// Expands to a test for every case of the suite for a [shared](slipstream_store::SharedStore) store, as
/// [`conformance_tests!`] does for others. The harness may be asked to open a place that is open.
#[macro_export]
macro_rules! shared_conformance_tests {
    ($harness:expr) => {
        $crate::for_each_case! { __conformance_tests $harness }
        $crate::for_each_shared_case! { __conformance_tests $harness }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ([$harness:expr] $($topic:ident { $([$($clause:ident)+] $case:ident,)+ })+) => {
        $(
            mod $topic {
                #[allow(unused_imports)]
                use super::*;
                $(
                    #[test]
                    fn $case() {
                        let _cited = $crate::cases::Cited {
                            name: concat!(stringify!($topic), "::", stringify!($case)),
                            clauses: &[$($crate::Clause::$clause),+],
                        };
                        $crate::run($harness, $crate::cases::$topic::$case);
                    }
                )+
            }
        )+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __list_of_cases {
    ([$list:ident] $($topic:ident { $([$($clause:ident)+] $case:ident,)+ })+) => {
        fn $list<H: Harness>() -> Vec<Case<H>> {
            vec![$($(
                Case {
                    name: concat!(stringify!($topic), "::", stringify!($case)),
                    clauses: &[$(Clause::$clause),+],
                    run: |harness| $crate::run(harness, $topic::$case),
                },
            )+)+]
        }
    };
}

/// The cases for every store. Each case stands behind the clauses that it checks.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_case {
    ($then:ident $($args:tt)*) => {
        $crate::$then! { [$($args)*]
            atomic {
                [C1] each_operation_sees_those_before_it,
                [C1] what_changes_nothing_stops_nothing,
                [C1] an_empty_batch_answers_nothing,
                [C1 C6] readers_see_whole_batches,
            }
            repeat {
                [C3] a_batch_is_repeatable,
                [C3 C2] a_batch_is_repeatable_across_reopening,
                [C10] equal_calls_give_equal_results,
            }
            identity {
                [C4] the_first_write_wins,
                [C4] a_conflict_leaves_the_first_write_in_place,
                [C4] groups_keep_ids_apart,
                [C4] identities_outlive_reopening,
                [C4] settled_messages_keep_their_identity,
                [C4] behind_the_horizon_an_identity_is_free,
                [C4 C9] the_last_recorded_identities_stay,
                [C4 C9] identities_leave_in_the_order_of_recording,
                [C4] a_duplicate_keeps_the_first_time,
            }
            stamps {
                [C4] a_stamp_counts_once,
                [C4] a_duplicate_by_stamp_leaves_its_identity_free,
                [C4] a_duplicate_by_identity_marks_its_stamp,
                [C4] a_conflict_does_not_mark_its_stamp,
                [C4] what_is_only_asked_for_is_not_recorded,
                [C4] what_is_asked_for_is_recognised_as_in_recording,
                [C4] epochs_and_numbers_keep_apart,
                [C4 C9] stamps_stay_until_their_horizon,
            }
            sequence {
                [C5] sequences_ascend_with_the_operations,
                [C5 C7] redrives_and_records_share_one_order,
                [C5] reopening_gives_no_sequence_twice,
                [C5] purging_gives_no_sequence_twice,
                [C5] discarding_gives_no_sequence_twice,
                [C5 C8] a_live_cursor_misses_nothing,
            }
            pages {
                [C6] after_is_exclusive,
                [C6] items_bound_a_page,
                [C6] more_counts_only_what_is_owed,
                [C6] bytes_bound_a_page,
                [C6] an_oversized_item_still_comes,
                [C6] nothing_owed_is_an_empty_page,
                [C6] a_page_gives_back_what_was_recorded,
                [C6] texts_are_bytes,
            }
            settle {
                [C3] a_delivery_is_settled_once,
                [C3] a_dead_letter_may_be_acknowledged,
                [C3 C7] a_redriven_dead_letter_may_be_acknowledged,
                [C3] a_pending_delivery_is_no_dead_letter,
                [C3] what_is_not_there_is_unchanged,
                [C1] deliveries_settle_each_for_itself,
                [C2] settling_outlives_reopening,
                [C3] attempts_only_count_up,
                [C1] attempts_belong_to_one_delivery,
                [C1] only_remembered_recipients_are_owed,
                [C4] a_message_to_nobody_is_recorded,
            }
            redrive {
                [C7] a_redrive_starts_anew,
                [C7] a_live_cursor_sees_a_redrive,
                [C7 C3] a_dead_letter_is_redriven_once,
                [C7] a_redrive_is_for_one_peer,
                [C7] a_forgotten_peer_gets_no_redrive,
                [C7 C9] a_dead_letter_outlives_its_message,
                [C7] a_redriven_delivery_is_a_delivery,
                [C4 C7] a_redrive_leaves_the_identity_alone,
            }
            dead_letters {
                [C6] a_dead_letter_keeps_the_whole_message,
                [C6] pages_go_by_sequence_and_peer,
                [C6] bytes_bound_a_page,
                [C6] filters_choose_dead_letters,
                [C3] discard_removes_one,
                [C6 C3] counts_follow_every_dead_letter,
                [C6] the_newest_of_each_count_is_told,
                [C9 C12] dead_letters_stay_until_a_person_decides,
            }
            imports {
                [C5 C6] an_imported_dead_letter_is_as_it_was,
                [C3] a_dead_letter_is_imported_once,
                [C3] what_is_a_dead_letter_already_is_not_imported,
                [C3] another_text_is_another_dead_letter,
                [C4] an_import_leaves_identities_and_stamps_alone,
                [C7 C12] an_imported_dead_letter_is_redriven,
                [C12] an_adoption_takes_imports_for_messages_of_their_own,
                [C6] a_trace_tells_of_imports,
                [C6] an_import_alone_has_a_trace,
                [C9] an_import_outlives_its_horizon,
            }
            purge {
                [C9] nothing_goes_behind_no_horizon,
                [C9] pending_deliveries_stay,
                [C9] expiry_goes_by_the_time_given,
                [C9] redriven_deliveries_expire,
                [C9] a_purge_keeps_to_its_budget,
                [C9] a_finished_purge_has_nothing_left,
                [C9] settled_messages_leave,
                [C9] each_purge_goes_by_its_own_horizon,
                [C9] a_store_that_turns_over_stays_bounded,
            }
            trace {
                [C6] a_trace_tells_the_way,
                [C6] every_state_shows,
                [C9] traces_stay_until_their_horizon,
                [C9] traces_outlive_identities,
                [C4] the_newest_record_is_traced,
            }
            exchange {
                [C13] an_exchange_tells_every_record,
                [C13] only_what_was_acknowledged_is,
                [C13] a_second_record_is_told_too,
                [C13 C9] what_a_purge_leaves_is_whole,
                [C13 C9] what_left_for_its_size_is_said,
                [C13] imports_are_not_exchanged,
                [C13] a_caller_may_have_enough,
            }
            roster {
                [C12] a_fresh_store_knows_nobody,
                [C12] peers_are_read_back,
                [C12 C3] what_is_new_of_a_peer_replaces_it,
                [C12] a_changed_peer_keeps_its_backlog,
                [C12] the_roster_counts_backlogs,
                [C12] forgetting_ends_what_was_owed,
                [C12] a_peer_that_returns_begins_empty,
                [C12 C3] the_relays_id_is_read_back,
            }
            adopt {
                [C12 C3] a_new_peer_takes_the_place_of_its_alias,
                [C12 C3] what_moved_is_the_peers,
                [C12] a_known_peer_takes_in_what_its_alias_is_owed,
                [C12] a_peer_keeps_its_own_deliveries,
                [C12 C6] a_settled_delivery_may_come_again,
                [C12 C9] what_goes_holds_no_message,
                [C12 C7] dead_letters_move_and_are_redriven,
                [C12 C6] counts_move_with_the_dead_letters,
                [C12 C6] traces_follow_the_deliveries,
                [C12 C9] what_moved_expires_for_the_peer,
                [C12 C1] a_batch_sees_its_adoption,
                [C12 C3] without_an_alias_it_is_remembering,
            }
            lifecycle {
                [C2] commits_outlive_reopening,
                [C2] a_dropped_store_opens_again,
                [C11] a_whole_store_has_no_defects,
                [C2] the_guarantee_stands,
                [C11] a_closed_store_says_so,
                [C8] a_dropped_commit_leaves_the_store_whole,
                [C8 C2] what_a_dropped_commit_showed_stays,
                [C8] dropped_reads_and_purges_do_no_harm,
                [C6 C8] many_read_while_one_commits,
                [C2] a_backup_is_a_store,
                [C2] a_backup_wants_a_new_path,
                [C6] the_counts_are_exact,
            }
            volume {
                [C6] large_values_come_back_whole,
                [C6] long_names_come_back_whole,
                [C1] a_message_goes_to_many,
                [C6] a_long_backlog_is_paged_whole,
                [C9 C5] thousands_come_and_go,
            }
            lockstep {
                [C1 C3 C4 C5 C6 C7 C9 C10 C12] a_store_answers_as_the_model_does,
            }
        }
    };
}

/// The cases for a store that one process has open at a time.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_exclusive_case {
    ($then:ident $($args:tt)*) => {
        $crate::$then! { [$($args)*]
            exclusive {
                [C11] an_open_store_is_in_use,
                [C11] a_closed_store_opens_elsewhere_at_once,
                [C11] a_damaged_store_is_refused,
            }
        }
    };
}

/// The cases for a store that several processes share.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_shared_case {
    ($then:ident $($args:tt)*) => {
        $crate::$then! { [$($args)*]
            shared {
                [S1 C5] members_give_sequences_in_one_order,
                [S1 C5] a_live_cursor_misses_nothing_of_many_writers,
                [S1 C4] what_one_member_recorded_is_a_duplicate_to_another,
                [S1 C4] one_of_many_records_an_identity,
                [S2] what_an_old_roster_routed_is_refused,
                [S2] a_change_counts_from_the_next_batch_on,
                [S2] being_seen_is_no_change,
                [S3] the_last_claim_holds,
                [S3] what_a_former_holder_received_is_not_recorded,
                [S3] an_acknowledgement_counts_from_anyone,
                [S3] a_claim_tells_what_is_owed,
                [S3] a_claim_that_was_given_back_binds_nobody,
                [S3] the_claims_of_others_are_told,
                [S3] a_claimed_peer_is_not_forgotten_elsewhere,
                [S4] news_tell_what_others_did,
                [S4] news_tell_what_is_redriven,
                [S4] news_tell_of_lost_claims,
                [S4] news_come_while_they_are_waited_for,
                [S4 S1] what_lies_before_an_own_commit_is_told,
                [S5] a_retired_member_changes_nothing,
                [S5] a_member_that_beats_is_not_retired,
                [S5] what_a_retired_member_had_is_free,
                [S5] a_closed_handle_is_no_member,
                [S6] a_duty_is_one_members,
                [S1 S2 S3 S5] members_answer_as_those_of_the_model_do,
            }
        }
    };
}

for_each_case! { __list_of_cases for_every_store }
for_each_exclusive_case! { __list_of_cases for_exclusive_stores }
for_each_shared_case! { __list_of_cases for_shared_stores }

/// Every case for a store that one process has open at a time.
#[must_use]
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    [for_every_store(), for_exclusive_stores()].into_iter().flatten().collect()
}

/// Every case for a store that several processes share.
#[must_use]
pub fn shared_cases<H: Harness>() -> Vec<Case<H>> {
    [for_every_store(), for_shared_stores()].into_iter().flatten().collect()
}
