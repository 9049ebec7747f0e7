//! `slipstream bench store`: the engines on the disk at hand, and which to take.

use std::io::{IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use slipstream_benches::engines::{self, Plan, Progress, Report, number, rows};
use slipstream_store::Durability;

use super::host::{Program, compared};
use crate::backend;
use crate::cli::signals::Signals;
use crate::cli::{SettingFlags, output};
use crate::config::{self, EmbeddedEngine, Engine, StoreConfig};
use crate::logging::wants_plain_text;

const EXAMPLE: &str = "\
Examples:
  slipstream bench store --quick
  slipstream bench store --path /var/lib/slipstream
  slipstream bench store --durability relaxed --engines sqlite,redb --json

It measures new stores in a temporary folder of its own, which it removes, and touches no store that is there. Run it on
the disk that the relay will use, with nothing else running. docs/choosing-a-store.md says what each figure means and by
which rule an engine is named.";

/// Measures the disk and every engine on it, and names the engine to take.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The folder to measure below [SLIPSTREAM_STORAGE_PATH, or the first folder above it that is there].
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// What commits must survive, `full` or `relaxed` [SLIPSTREAM_DURABILITY].
    #[arg(long, value_parser = durability)]
    durability: Option<Durability>,
    /// The engines, separated by commas [all that are compiled in].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = engine)]
    engines: Vec<EmbeddedEngine>,
    /// Less than a minute, with fewer messages and rounds.
    #[arg(long)]
    quick: bool,
    /// Messages that are pending when a store is opened again, and that are turned over [1000000; with --quick 50000].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Where the page with the plots goes. A file that is there is written over.
    #[arg(long, value_name = "FILE.html", default_value = "slipstream-bench-store.html")]
    report: PathBuf,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// What a measurement starts for each engine; not for people.
#[derive(Debug, Clone, Args)]
pub struct Worker {
    #[arg(long, value_parser = engine)]
    engine: EmbeddedEngine,
    #[arg(long)]
    path: PathBuf,
    #[arg(long, value_parser = durability)]
    durability: Durability,
}

fn durability(text: &str) -> Result<Durability, String> {
    config::durability(text).map_err(|expected| format!("expected {expected}"))
}

fn engine(text: &str) -> Result<EmbeddedEngine, String> {
    config::embedded_engine(text).map_err(|expected| format!("expected {expected}"))
}

impl Arguments {
    /// # Errors
    /// What cannot be measured.
    fn plan(&self, compiled: &[EmbeddedEngine]) -> Result<Plan, String> {
        let mut engines: Vec<EmbeddedEngine> = compiled.to_vec();
        if !self.engines.is_empty() {
            if let Some(absent) = self.engines.iter().find(|engine| !compiled.contains(engine)) {
                return Err(format!("--engines: {}", Engine::from(*absent).not_compiled_in()));
            }
            engines.retain(|engine| self.engines.contains(engine));
        }
        if engines.is_empty() {
            return Err("no engine is compiled in".to_owned());
        }
        // Found out now, and not after minutes of measuring.
        let page_folder = self.report.parent().filter(|folder| !folder.as_os_str().is_empty());
        if page_folder.is_some_and(|folder| !folder.is_dir()) || self.report.is_dir() {
            return Err(format!("--report: expected a file in a folder that is there, got {}", self.report.display()));
        }
        let engines = engines.into_iter().map(compared).collect();
        let plan = if self.quick { Plan::quick(engines) } else { Plan::full(engines) };
        if let Some(path) = self.path.as_ref().filter(|path| !path.is_dir()) {
            return Err(format!("--path: expected a folder, got {}", path.display()));
        }
        let (folder, durability) = match (self.path.clone(), self.durability) {
            (Some(folder), Some(durability)) => (folder, durability),
            (folder, durability) => {
                let inspection = SettingFlags::default().inspect(backend::COMPILED);
                let config = inspection.outcome.map_err(|faults| faults.to_string())?;
                let folder = folder.unwrap_or_else(|| nearest_folder(&config.storage_path));
                (folder, durability.unwrap_or(config.durability))
            }
        };
        let plan = Plan { folder, durability, messages: self.messages.unwrap_or(plan.messages), ..plan };
        Ok(Plan { command: self.command(&plan), ..plan })
    }

    /// How to ask for the same again.
    fn command(&self, plan: &Plan) -> String {
        let engines: Vec<_> = plan.engines.iter().map(|engine| engine.name).collect();
        let quick = if self.quick { " --quick" } else { "" };
        let folder = plan.folder.canonicalize().unwrap_or_else(|_| plan.folder.clone());
        format!(
            "slipstream bench store{quick} --path {} --durability {} --engines {} --messages {}",
            quoted(&folder),
            plan.durability,
            engines.join(","),
            plan.messages
        )
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte)) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The path, or the first above it that is a folder.
fn nearest_folder(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|path| path.is_dir());
    found.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Measures, writes the page, and prints the result.
pub(super) async fn run(arguments: Arguments) -> ExitCode {
    let plan = arguments.plan(backend::EMBEDDED);
    let (program, plan) = match plan.and_then(|plan| Ok((Program::new(plan.durability)?, plan))) {
        Ok(both) => both,
        Err(fault) => return output::fail(output::MISUSED, &fault),
    };
    let bar = progress_bar(!arguments.json && stderr().is_terminal() && !wants_plain_text());
    let tell = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.next);
    };
    // Dropping the measurement kills what it started and removes what it made.
    let measured = tokio::select! {
        report = engines::run(&plan, &program, &tell) => Some(report),
        () = asked_to_stop() => None,
    };
    bar.finish_and_clear();
    let report = match measured {
        Some(Ok(report)) => report,
        Some(Err(fault)) => return output::fail(output::FAILED, &output::printable(&fault.to_string())),
        None => return output::fail(output::FAILED, &"stopped; nothing is left of it"),
    };
    if let Err(fault) = std::fs::write(&arguments.report, engines::page(&report)) {
        return output::fail(output::FAILED, &format_args!("{}: {fault}", arguments.report.display()));
    }
    let printed =
        if arguments.json { output::record(&report) } else { output::line(&table(&report, &arguments.report)) };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => output::fail(output::FAILED, &fault),
    }
}

/// Serves one engine.
pub(super) async fn run_worker(worker: Worker) -> ExitCode {
    let Worker { engine, path, durability } = worker;
    let config = StoreConfig::Files { engine, path: path.clone(), durability };
    match engines::serve(&path, backend::open(&config)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => output::fail(output::FAILED, &fault),
    }
}

/// Waits until a signal asks to stop; for ever where the system does not tell of them.
async fn asked_to_stop() {
    match Signals::new() {
        Ok(mut asked) => asked.next().await,
        Err(_) => std::future::pending().await,
    }
}

/// Progress is for a person who waits.
fn progress_bar(shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}");
    let bar = ProgressBar::new(0);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn table(report: &Report, page: &Path) -> String {
    let names = report.engines.iter().map(|engine| engine.engine.to_owned());
    let mut figures = vec![line("", "unit", names)];
    figures.extend(rows(report).iter().map(|row| {
        let cells = row.cells.iter().enumerate();
        let cells = cells.map(|(at, cell)| if row.best == Some(at) { format!("*{cell}") } else { cell.clone() });
        line(&row.name, row.unit, cells)
    }));
    let disk = &report.disk;
    let mut lines = vec![
        format!(
            "disk       {} on {}: {} synced writes/s of 4 KiB (p50 {} ms, p99 {} ms; at most {}), {} of 64 KiB; {} MB/s one \
             after the other",
            report.machine.filesystem_type(),
            report.folder,
            number(disk.synced_4k.per_second),
            number(disk.synced_4k.latency_ms.p50),
            number(disk.synced_4k.latency_ms.p99),
            number(disk.most_synced_per_second),
            number(disk.synced_64k.per_second),
            number(disk.sequential_bytes_per_second / 1e6)
        ),
        format!(
            "engines    durability {}, medians of {} rounds, * is the best that keeps it",
            report.durability, report.rounds
        ),
    ];
    lines.append(&mut figures);
    lines.extend(report.warnings.iter().map(|warning| format!("beware     {warning}")));
    lines.push(format!("take       {}", report.advice.engine.unwrap_or("none of them")));
    lines.extend(report.advice.reasons.iter().map(|reason| format!("           {reason}")));
    lines.push(format!("the page   {}", output::printable(&page.display().to_string())));
    lines.join("\n")
}

fn line(name: &str, unit: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: String = cells.map(|cell| format!("{cell:>13}")).collect();
    format!("  {name:<37} {unit:<20}{cells}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    const COMPILED: &[EmbeddedEngine] = &[EmbeddedEngine::Sqlite, EmbeddedEngine::Redb, EmbeddedEngine::Lmdb];

    fn plan(line: &str) -> Result<Plan, String> {
        let line = ["store"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(line).map_err(|error| error.to_string())?.arguments.plan(COMPILED)
    }

    #[test]
    fn engines_keep_their_order_and_must_be_compiled_in() {
        let engines = |line| plan(line).expect("a plan").engines.iter().map(|engine| engine.name).collect::<Vec<_>>();
        assert_eq!(engines(""), ["sqlite", "redb", "lmdb"]);
        assert_eq!(engines("--engines lmdb,sqlite"), ["sqlite", "lmdb"]);
        assert!(plan("--engines sled").expect_err("refused").contains("cargo feature `sled`"));
        assert!(plan("--engines sqlit").expect_err("refused").contains("did you mean `sqlite`"));
    }

    #[test]
    fn the_command_that_repeats_it_names_everything() {
        let plan = plan("--quick --path / --durability relaxed --engines redb --messages 7").expect("a plan");
        let expected = "slipstream bench store --quick --path / --durability relaxed --engines redb --messages 7";
        assert_eq!((plan.command.as_str(), plan.messages, plan.quick), (expected, 7, true));
        assert_eq!(quoted(Path::new("/my disk's")), r"'/my disk'\''s'");
    }

    #[test]
    fn it_measures_where_the_store_will_be() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(nearest_folder(&folder.path().join("not/yet")), folder.path());
        assert_eq!(nearest_folder(Path::new("not-yet-there")), Path::new("."));
        assert!(plan("--path /nowhere/at/all").expect_err("refused").contains("/nowhere/at/all"));
    }
}
