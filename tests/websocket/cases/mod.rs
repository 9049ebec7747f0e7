//! The list of cases. A folder of files, one for each subject of RFC 6455.

mod closing;
mod control;
mod fragments;
mod framing;
mod sizes;
mod utf8;

use super::case::Case;

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    [framing::cases(), control::cases(), fragments::cases(), utf8::cases(), closing::cases(), sizes::cases()].concat()
}

#[test]
fn each_case_has_a_name_of_its_own() {
    let mut seen = std::collections::HashSet::new();
    for case in all() {
        assert!(seen.insert((case.section, case.name.clone())), "{} {} stands twice", case.section, case.name);
    }
}
