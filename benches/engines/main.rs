//! Every engine through everything that a relay has its store do, side by side, and a table of them at the end.
//!
//! `cargo bench -p slipstream-benches --bench engines` runs a choice of the matrix in about a quarter of an hour, of
//! which criterion leaves its plots in `target/criterion/report/index.html`. An element of the throughput is a message.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `SLIPSTREAM_BENCH_FULL=1` | the whole matrix: hours, and 30 GB of disk for a million messages of 4 KiB |
//! | `SLIPSTREAM_BENCH_PENDING` | messages pending in the stores that are not empty, by default 1,000,000 |
//! | `SLIPSTREAM_BENCH_DIR` | the folder of the stores, by default that of the build |
//!
//! On a filesystem in memory the syncs cost nothing, and the figures mean little.
#![expect(clippy::expect_used, reason = "a bench is read and run, and ends where it cannot go on")]

mod compared;
mod comparison;
mod fixture;
mod matrix;

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};

use crate::compared::ENGINES;
use crate::fixture::Fixture;
use crate::matrix::{Cell, Contents};

/// Messages that are pending in a store that is not empty, where nothing else is asked for.
const PENDING: u64 = 1_000_000;

/// As many where a bench is only tried.
const PENDING_IN_A_TEST: u64 = 5_000;

fn main() {
    // As criterion takes it: without `--bench`, which cargo bench gives, each bench is only tried.
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let is_test = has("--test") || !has("--bench");
    let pending = std::env::var("SLIPSTREAM_BENCH_PENDING")
        .map_or(PENDING, |text| text.parse().expect("SLIPSTREAM_BENCH_PENDING: expected a whole number"));
    let pending = if is_test { PENDING_IN_A_TEST } else { pending };
    let is_full = std::env::var_os("SLIPSTREAM_BENCH_FULL").is_some_and(|value| value == "1");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    let output = std::env::var_os("CRITERION_HOME").map_or_else(|| target.join("criterion"), PathBuf::from);
    let mut criterion = Criterion::default().output_directory(&output).configure_from_args();
    let begun = comparison::Begun::now(&output);
    for contents in Contents::all() {
        measure(&mut criterion, contents, is_full, pending);
    }
    criterion.final_summary();
    if !is_test {
        begun.print_comparison();
    }
}

/// Measures every cell with these contents. The engines take turns, cell by cell; their stores are made when the first
/// cell is measured, so that a filter costs nothing.
fn measure(criterion: &mut Criterion, contents: Contents, is_full: bool, pending: u64) {
    let mut fixtures: Vec<Option<Fixture>> = ENGINES.iter().map(|_| None).collect();
    for cell in Cell::all().filter(|cell| cell.contents == contents && (is_full || cell.is_chosen())) {
        let mut group = criterion.benchmark_group(cell.to_string());
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2))
            .throughput(Throughput::Elements(cell.batch));
        for (engine, fixture) in ENGINES.iter().zip(&mut fixtures) {
            group.bench_function(engine.name, |bencher| {
                let fixture = fixture.get_or_insert_with(|| Fixture::make(engine, contents, pending));
                fixture.turn_to(&cell);
                bencher.iter_custom(|times| (0..times).map(|_| fixture.run(&cell)).sum());
            });
        }
        group.finish();
    }
}
