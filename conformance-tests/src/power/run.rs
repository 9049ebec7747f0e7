//! Running a case: on disks of its own, in a thread that alone sees them, for as long as something goes on.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::harness::Harness;
use crate::power::disks::mounted::Disks;
use crate::power::disks::{apart, server};
use crate::power::trial::Trial;

/// Longest that anything between two signs of progress may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs one case. [`power_loss_tests!`](crate::power_loss_tests) calls it.
///
/// `test` is the path of the test function that calls it, with its crate, as in
/// `concat!(module_path!(), "::name")`: the process that has the disks is this same program, told to run this same test.
///
/// # Panics
/// If the store fails the case, if it hangs, or if no filesystem can be mounted.
pub fn run<H, F>(test: &str, harness: H, case: fn(Trial<H>) -> F)
where
    H: Harness,
    F: Future<Output = Result<(), String>> + 'static,
{
    let (progress, signs) = sync_channel(1);
    on_disks(test, &signs, move |disks| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let trial = Trial::new(harness, disks, progress);
        if let Err(problem) = runtime.expect("a runtime starts").block_on(case(trial)) {
            panic!("{problem}");
        }
    });
}

/// Runs `work` with disks, on a thread that sees what is mounted of them. `signs` come from it when something goes on,
/// and end when it does.
///
/// In the process that has the disks, which runs the same test, this serves them and does not return.
fn on_disks(test: &str, signs: &Receiver<()>, work: impl FnOnce(Arc<Disks>) + Send + 'static) {
    if std::env::var_os(server::SERVE).is_some() {
        server::serve();
    }
    let test = test.split_once("::").map_or(test, |(_, test)| test).to_owned();
    let (ended, end) = sync_channel(1);
    apart::apart(Box::new(move || {
        let done = catch_unwind(AssertUnwindSafe(|| work(Disks::start(&test))));
        drop(ended.send(done));
    }));
    loop {
        match signs.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => panic!("nothing went on for {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    match end.recv() {
        Ok(Ok(())) => {}
        // What the thread printed is with the output of whichever test came first, whose thread it is a child of.
        Ok(Err(panic)) => panic!("{}", text(&*panic)),
        Err(_) => panic!("no thread could be started"),
    }
}

/// Runs `work` with disks of its own, for tests of what a disk keeps. `test` is as in [`run`].
///
/// # Panics
/// If `work` does, or no filesystem can be mounted.
pub fn with_disks(test: &str, work: impl FnOnce(&Arc<Disks>) + Send + 'static) {
    let (progress, signs) = sync_channel(1);
    on_disks(test, &signs, move |disks| {
        let _progress = progress;
        work(&disks);
    });
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked and gave no reason")
}
