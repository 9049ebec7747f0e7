//! The processes of a server. Those that it has begun outlive it for a moment, and commit what they are at.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process and those that it has begun.
pub(crate) fn with_children(first: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(first).chain(children).collect()
}

/// Kills a process, if it is there.
pub(crate) fn kill(process: i32) {
    let _ = Pid::from_raw(process).map(|pid| kill_process(pid, Signal::KILL));
}

/// Whether a process is there and has not ended.
pub(crate) fn is_running(process: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The state stands behind the name, which is in parentheses.
    status.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}
