//! Whom the file of a key is open to. The rule is that of PostgreSQL: a key of one's own is for oneself, and one of root may
//! be for a group, which is how Debian and Kubernetes give a key to a service.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use rustix::process::geteuid;

/// The bits of a mode that are not for the owner, and those that are not for its group's reading either.
const FOR_OTHERS: u32 = 0o077;
const FOR_OTHERS_THAN_READERS: u32 = 0o037;

/// Whom a file is open to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) mode: u32,
    /// Whether root has it, and this process is somebody else.
    is_given_by_root: bool,
}

impl Access {
    pub(super) fn of(found: &Metadata) -> Self {
        Self { mode: found.mode() & 0o777, is_given_by_root: found.uid() == 0 && !geteuid().is_root() }
    }

    /// The mode that it should have at most, if it has more.
    pub(super) fn too_much(self) -> Option<&'static str> {
        let (too_much, most) =
            if self.is_given_by_root { (FOR_OTHERS_THAN_READERS, "640") } else { (FOR_OTHERS, "600") };
        (self.mode & too_much != 0).then_some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_its_owner_and_one_of_root_for_a_group_too() {
        for (mode, own, of_root) in [
            (0o400, None, None),
            (0o600, None, None),
            (0o700, None, None),
            (0o440, Some("600"), None),
            (0o640, Some("600"), None),
            (0o660, Some("600"), Some("640")),
            (0o604, Some("600"), Some("640")),
            (0o644, Some("600"), Some("640")),
        ] {
            let too_much = |is_given_by_root| Access { mode, is_given_by_root }.too_much();
            assert_eq!((too_much(false), too_much(true)), (own, of_root), "{mode:o}");
        }
    }
}
