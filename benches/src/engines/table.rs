//! The figures as rows, for the terminal and for the page.

use super::figures::{EngineFigures, Spread};
use super::number::number;
use super::plan::{BATCHES, FAN_OUTS};
use super::report::Report;

/// One figure of every engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// In what.
    pub unit: &'static str,
    /// One text an engine, in the order of the report; a dash where it is not known.
    pub cells: Vec<String>,
    /// Which is the best of those that keep what was asked for; none where that cannot be said.
    pub best: Option<usize>,
}

/// The figures of a report, one row each.
#[must_use]
pub fn rows(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    let keep: Vec<_> = report.engines.iter().map(EngineFigures::keeps).collect();
    let mut add = |name: String, unit, higher, of: &dyn Fn(&EngineFigures) -> Option<Spread>| {
        let values: Vec<_> = report.engines.iter().map(of).collect();
        rows.push(row(name, unit, higher, &values, &keep));
    };
    for fan_out in FAN_OUTS {
        for batch in BATCHES {
            let to = if fan_out == 1 { "1 peer".to_owned() } else { format!("{fan_out} peers") };
            let name = |what: &str| format!("{what}, batches of {batch} to {to}");
            add(name("commits"), "messages/s", true, &|engine| {
                Some(engine.commits_of(batch, fan_out)?.messages_per_second)
            });
            add(name("p50"), "ms", false, &|engine| Some(engine.commits_of(batch, fan_out)?.p50_ms));
            add(name("p99"), "ms", false, &|engine| Some(engine.commits_of(batch, fan_out)?.p99_ms));
            add(name("CPU"), "µs a message", false, &|engine| {
                Some(engine.commits_of(batch, fan_out)?.cpu_micros_per_message)
            });
        }
    }
    let one = |value: f64| Spread::of([value]);
    #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
    let megabytes = |bytes: u64| one(bytes as f64 / 1e6);
    add("turnover".to_owned(), "messages/s", true, &|engine| Some(engine.turnover.messages_per_second));
    add("written to storage, turnover".to_owned(), "bytes a byte of text", false, &|engine| {
        engine.turnover.write_amplification.map(one)
    });
    add("largest while turning over".to_owned(), "MB", false, &|engine| Some(megabytes(engine.turnover.peak_bytes)));
    add("size after turnover".to_owned(), "MB", false, &|engine| Some(megabytes(engine.turnover.end_bytes)));
    add("stored for an absent peer".to_owned(), "messages/s", true, &|engine| Some(engine.backlog.stored_per_second));
    add("on the disk, a pending message".to_owned(), "bytes", false, &|engine| {
        Some(one(engine.backlog.bytes_per_message))
    });
    add("catch-up".to_owned(), "messages/s", true, &|engine| Some(engine.backlog.caught_up_per_second));
    add("opening after a kill".to_owned(), "ms", false, &|engine| Some(engine.backlog.reopen_ms));
    add("memory, most while busy".to_owned(), "MB", false, &|engine| Some(megabytes(engine.busy_memory?.peak)));
    add("memory with the backlog, own".to_owned(), "MB", false, &|engine| {
        Some(megabytes(engine.backlog_memory?.anonymous))
    });
    add("memory with the backlog, mapped files".to_owned(), "MB", false, &|engine| {
        Some(megabytes(engine.backlog_memory?.file))
    });
    rows
}

/// The best is one of those that keep what was asked for: it is no feat to be quick without.
fn row(name: String, unit: &'static str, higher: bool, values: &[Option<Spread>], keep: &[bool]) -> Row {
    let cells = values.iter().map(|value| value.map_or_else(|| "–".to_owned(), |spread| number(spread.median)));
    let known = values.iter().zip(keep).enumerate().filter(|(_, (_, keeps))| **keeps);
    let known = known.filter_map(|(index, (value, _))| Some((index, (*value)?.median)));
    let better = |a: f64, b: f64| if higher { a.total_cmp(&b) } else { b.total_cmp(&a) };
    let best = if values.len() > 1 { known.max_by(|(_, a), (_, b)| better(*a, *b)) } else { None };
    Row { name, unit, cells: cells.collect(), best: best.map(|(index, _)| index) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_highest_or_the_lowest() {
        let values = [Some(Spread::of([2.0])), None, Some(Spread::of([3.0]))];
        let of = |higher, keep: [bool; 3]| row("x".to_owned(), "ms", higher, &values, &keep);
        assert_eq!((of(true, [true; 3]).best, of(false, [true; 3]).best), (Some(2), Some(0)));
        assert_eq!(of(true, [true; 3]).cells, ["2.00", "–", "3.00"]);
        assert_eq!(of(true, [true, true, false]).best, Some(0), "one that keeps less is not the best");
        assert_eq!(of(true, [false; 3]).best, None);
        let alone = row("x".to_owned(), "ms", true, &values[..1], &[true]);
        assert_eq!(alone.best, None, "there is nothing to compare with");
    }
}
