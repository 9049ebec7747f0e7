//! Tables on the terminal: columns without lines, numbers to the right.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::cli::output;

/// A table of these rows. A column whose name begins with `#` holds numbers.
pub(super) fn table<const N: usize>(columns: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.map(|name| name.trim_start_matches('#').to_uppercase()));
    for row in rows {
        // What a peer says of itself must not steer the terminal.
        table.add_row(row.map(|cell| output::printable(&cell)));
    }
    for (column, name) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if name.starts_with('#') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Lines as one text, in which nothing steers the terminal.
pub(super) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    let lines: Vec<_> = lines.into_iter().map(|line| output::printable(&line)).collect();
    lines.join("\n")
}

/// A time that has passed, in its largest unit that makes sense.
pub(super) fn passed(seconds: f64) -> String {
    let passed = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match passed {
        0..=119 => format!("{passed}s"),
        120..=7_199 => format!("{}m", passed / 60),
        7_200..=172_799 => format!("{}h", passed / 3_600),
        _ => format!("{}d", passed / 86_400),
    }
}

/// What is not there.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_nothing_steers_the_terminal() {
        let rows = [["a".to_owned(), "7".to_owned()], ["b\u{1b}[2J".to_owned(), "1000".to_owned()]];
        assert_eq!(table(["id", "#backlog"], rows), "ID          BACKLOG\na                 7\nb\\u{1b}[2J     1000");
    }

    #[test]
    fn a_time_is_told_in_one_unit() {
        for (seconds, text) in
            [(0.4, "0s"), (119.0, "119s"), (120.0, "2m"), (7_200.0, "2h"), (200_000.0, "2d"), (-1.0, "0s")]
        {
            assert_eq!(passed(seconds), text);
        }
    }
}
