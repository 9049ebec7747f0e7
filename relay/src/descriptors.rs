//! File descriptors that are kept back, so that a relay with more clients than it may have files still commits, and still
//! tells how it is.

use std::os::fd::AsRawFd;

use rustix::process::{Resource, getrlimit};

/// So many of the file descriptors that the process may have are kept back from links, for the store, for dials and for
/// the admin port.
pub(crate) const KEPT_FROM_LINKS: u64 = 16;

/// So many of these are kept back from the admin port too.
pub const KEPT_FROM_ADMIN: u64 = 4;

/// At most one part in so many of all is kept back.
const PART: u64 = 4;

/// Whether a file that was just opened took one of the last `kept` descriptors. The system always gives the lowest that
/// is free, so that all below it are in use.
pub fn is_kept_back(file: &impl AsRawFd, kept: u64) -> bool {
    let number = u64::try_from(file.as_raw_fd()).unwrap_or(u64::MAX);
    getrlimit(Resource::Nofile).current.is_some_and(|limit| is_among_the_last(number, limit, kept))
}

fn is_among_the_last(number: u64, limit: u64, kept: u64) -> bool {
    number >= limit - kept.min(limit / PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptors_are_kept_back_and_never_most_of_them() {
        let kept = |limit| (0..limit).filter(|&number| is_among_the_last(number, limit, KEPT_FROM_LINKS)).count();
        assert_eq!([kept(1_024), kept(64), kept(20), kept(3)], [16, 16, 5, 0]);
        assert!(!is_kept_back(&std::fs::File::open("/dev/null").unwrap(), 1));
    }
}
