//! What asks a command to stop: SIGTERM and SIGINT. And what asks a relay for something else, or for nothing.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, caught for as long as the process lives.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// Where the system does not allow it.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of either.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Catches SIGHUP from now on.
///
/// # Errors
/// Where the system does not allow it.
pub(super) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Keeps SIGUSR1 and SIGUSR2, which mean nothing to a relay, from ending the process: a handler stays for as long as the
/// process lives, also where nobody waits for the signal.
///
/// # Errors
/// Where the system does not allow it.
pub(super) fn survive_user_signals() -> io::Result<()> {
    [SignalKind::user_defined1(), SignalKind::user_defined2()].into_iter().try_for_each(|kind| signal(kind).map(drop))
}
