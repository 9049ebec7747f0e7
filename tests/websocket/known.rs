//! The differences that are known: the table of `docs/rfc6455.md`, which is what the tests go by.

use slipstream::link::Role;

use super::case::Case;
use crate::support::table;

/// The columns of the table after section and case.
pub(crate) const ENDS: [&str; 4] = ["Slipstream", "ws", "websockets", "libwebsockets"];

/// A row: a case of which something else comes at one end than at another.
struct Row {
    section: String,
    /// The name of the case, or what the names of several begin with and an ellipsis.
    case: String,
    outcomes: Vec<String>,
    why: String,
}

impl Row {
    fn is_of(&self, case: &Case) -> bool {
        let named = match self.case.strip_suffix('…') {
            Some(start) => case.name.starts_with(start.trim_end()),
            None => case.name == self.case,
        };
        named && case.section == self.section
    }
}

fn rows() -> Vec<Row> {
    let row = |mut cells: Vec<String>| {
        assert_eq!(cells.len(), ENDS.len() + 3, "a row has a cell for each column: {cells:?}");
        let why = cells.pop().expect("it has cells");
        let outcomes = cells.split_off(2);
        let case = cells.pop().expect("it has cells");
        Row { section: cells.swap_remove(0), case, outcomes, why }
    };
    table(include_str!("../../docs/rfc6455.md"), "| section | case |").into_iter().map(row).collect()
}

/// What comes of a case at an end, as a server or as a client: what RFC 6455 wants, if the table does not have it
/// otherwise. A cell may hold both, `as server / as client`.
pub(crate) fn expected(case: &Case, end: &str, role: Role) -> String {
    let column = ENDS.iter().position(|each| *each == end).expect("a column of the table");
    let row = rows().into_iter().find(|row| row.is_of(case));
    let cell = row.map_or_else(|| case.expected.to_string(), |row| row.outcomes[column].clone());
    match (cell.split_once(" / "), role) {
        (Some((server, _)), Role::Server) => server.to_owned(),
        (Some((_, client)), Role::Client) => client.to_owned(),
        (None, _) => cell,
    }
}

/// Whether a case is played at an end. Input that passes a check of other software is no part of this repository, so
/// where that was seen the whole section is left out.
pub(crate) fn is_played(case: &Case, end: &str) -> bool {
    end != "libwebsockets" || !["5.1", "5.3", "8.1"].contains(&case.section)
}

/// Whether what came is what was expected.
pub(crate) fn fits(came: &str, expected: &str, end: &str) -> bool {
    // libwebsockets ends the stream soon after a Close. What is still under way then may turn the end into a reset, in
    // which the Close is lost; and an echo may still come after the Close.
    let has_code = expected.parse::<u16>().is_ok();
    let hurried = end == "libwebsockets" && has_code && ["dropped", "goes on after its close"].contains(&came);
    hurried || expected.split(" or ").any(|expected| came == expected)
}

#[test]
fn each_row_of_the_table_names_cases_and_a_difference() {
    let cases = super::cases::all();
    let count = format!("`tests/rfc6455.rs` plays {} cases.", cases.len());
    assert!(include_str!("../../docs/rfc6455.md").contains(&count), "{count}");
    for row in &rows() {
        let Row { section, case, outcomes, why } = row;
        let named: Vec<&Case> = cases.iter().filter(|case| row.is_of(case)).collect();
        assert!(!named.is_empty(), "there is no case {section} {case}");
        for Case { expected, .. } in named {
            let expected = expected.to_string();
            assert!(outcomes.iter().any(|outcome| *outcome != expected), "{section} {case}: all end with {expected}");
        }
        assert!(!why.is_empty(), "{section} {case}: no reason is given");
    }
}
