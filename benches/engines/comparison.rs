//! The engines side by side, from what criterion has estimated in this run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use slipstream_benches::engines::number;

use crate::compared::ENGINES;

/// Messages a second of each engine.
type Rates = BTreeMap<String, f64>;

/// The beginning of a run: what criterion had estimated before does not count.
pub(crate) struct Begun {
    output: PathBuf,
    before: BTreeMap<PathBuf, SystemTime>,
}

impl Begun {
    /// Notes what is in criterion's folder.
    pub(crate) fn now(output: &Path) -> Self {
        Self { output: output.to_owned(), before: estimates(output) }
    }

    /// Prints a line for each cell that was measured since: the messages a second of each engine, and how many times
    /// those of the first.
    #[expect(clippy::print_stdout, reason = "that is what it is for")]
    pub(crate) fn print_comparison(&self) {
        let mut cells: BTreeMap<String, Rates> = BTreeMap::new();
        for (path, changed) in estimates(&self.output) {
            if self.before.get(&path) != Some(&changed)
                && let Some((cell, engine, rate)) = measured(&path)
            {
                cells.entry(cell).or_default().insert(engine, rate);
            }
        }
        let Some(first) = ENGINES.first().filter(|_| !cells.is_empty()) else { return };
        println!("\nmessages a second, and how many times those of {} in the same run (medians)", first.name);
        let names: String = ENGINES.iter().map(|engine| format!("{:>20}", engine.name)).collect();
        println!("{:<64}{names}", "");
        for (cell, rates) in cells {
            let reference = rates.get(first.name).copied();
            let columns: String =
                ENGINES.iter().map(|engine| column(rates.get(engine.name).copied(), reference)).collect();
            println!("{cell:<64}{columns}");
        }
    }
}

fn column(rate: Option<f64>, reference: Option<f64>) -> String {
    match (rate, reference) {
        (Some(rate), Some(reference)) => format!("{:>12} {:>5.2} ×", number(rate), rate / reference),
        (Some(rate), None) => format!("{:>12}        ", number(rate)),
        (None, _) => format!("{:>20}", "–"),
    }
}

/// Every `new/estimates.json` with the time it was written.
fn estimates(output: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![output.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("new/estimates.json")
                && let Ok(changed) = entry.metadata().and_then(|metadata| metadata.modified())
            {
                found.insert(path, changed);
            }
        }
    }
    found
}

/// The cell, the engine and its messages a second.
fn measured(estimates: &Path) -> Option<(String, String, f64)> {
    let read = |path: &Path| serde_json::from_str::<Value>(&fs::read_to_string(path).ok()?).ok();
    let (estimates, about) = (read(estimates)?, read(&estimates.with_file_name("benchmark.json"))?);
    let nanos = estimates.get("median")?.get("point_estimate")?.as_f64()?;
    let messages = about.get("throughput")?.get("Elements")?.as_f64()?;
    let name = |field: &str| Some(about.get(field)?.as_str()?.to_owned());
    Some((name("group_id")?, name("function_id")?, messages / nanos * 1e9))
}
