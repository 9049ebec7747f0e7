//! The power-loss tests: a store on a disk that forgets what was not synced.
//!
//! A store runs on a disk in memory that Linux mounts as a filesystem, through the same calls as on any other. The
//! disk keeps a log of every write, name and sync. From the log it makes the disk as a power cut at any time would
//! have left it; the store is opened on that and compared with the model. `docs/crash-testing.md` tells what is
//! simulated and what is not, and how to run many and to replay one.
//!
//! [`power_loss_tests!`](crate::power_loss_tests) expands to the tests. They need Linux, root and `/dev/fuse`, and fail
//! if one is missing.
//!
//! `disks/` has the disks. `workload` is what a store goes through, drawn by `generator`; `view` is what it holds, and
//! `life` runs a workload on a disk until a cut. `trial` is what each of the `cases/` is given, and `run` runs them.

mod cases;
mod disks;
mod generator;
mod life;
mod run;
mod steps;
mod trial;
mod view;
mod workload;

pub use cases::bits::flipped_bits_are_reported;
pub use cases::cuts::{
    cuts_during_recovery_do_no_harm, unsynced_writes_that_survive_do_no_harm, what_is_confirmed_survives,
};
pub use cases::room::{a_full_disk_loses_nothing, a_quota_is_a_full_disk};
pub use cases::syncs::a_failed_sync_is_no_success;
pub use disks::disk::Full;
pub use disks::log::Unsynced;
pub use disks::mounted::{Disks, Image, Mounted};
pub use run::{run, with_disks};
pub use trial::{Trial, seeds};

/// Expands to the power-loss tests, each with a disk of its own.
///
/// It takes an expression that makes a [`Harness`](crate::Harness); each test evaluates it anew. A store is held to
/// the guarantee that it prints: if it says that a power cut is survived, everything that was confirmed must be there after one;
/// otherwise a first part of it, with no batch in part. If its harness says that it may not open
/// ([`AfterACut`](crate::AfterACut)), it may do so once in ten cuts.
#[macro_export]
macro_rules! power_loss_tests {
    ($harness:expr) => {
        $crate::power_loss_tests! { @ $harness;
            what_is_confirmed_survives
            unsynced_writes_that_survive_do_no_harm
            cuts_during_recovery_do_no_harm
            a_failed_sync_is_no_success
            a_full_disk_loses_nothing
            flipped_bits_are_reported
        }
    };
    (@ $harness:expr; $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                $crate::power::run(concat!(module_path!(), "::", stringify!($case)), $harness, $crate::power::$case);
            }
        )+
    };
}
