//! Who reads stdout, and whether they have gone.

use std::future;
use std::io;
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// The other end of stdout, if that is a pipe, a socket or a terminal.
pub(super) struct StdoutReader(Option<Sender>);

impl StdoutReader {
    /// Watches it from now on.
    pub(super) fn new() -> Self {
        // Nothing is written through this, so that it does not matter that stdout may block.
        // A file cannot be watched, and has no reader who could go.
        let stdout = io::stdout().as_fd().try_clone_to_owned().ok();
        Self(stdout.and_then(|stdout| Sender::from_owned_fd_unchecked(stdout).ok()))
    }

    /// Ends when nobody reads any more, also while nothing is written.
    pub(super) async fn gone(&self) {
        match &self.0 {
            Some(stdout) if stdout.ready(Interest::ERROR).await.is_ok() => {}
            _ => future::pending().await,
        }
    }

    /// Whether nobody reads any more.
    pub(super) fn has_gone(&self) -> bool {
        let Some(stdout) = &self.0 else { return false };
        let mut asked = [PollFd::new(stdout, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut asked, Some(&now)).is_ok() && asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }
}
