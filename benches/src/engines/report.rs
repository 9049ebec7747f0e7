//! The result of a comparison.

use std::time::Duration;

use serde::Serialize;
use slipstream_store::Durability;

use super::advice::{Advice, Candidate, advise, outruns};
use super::disk::DiskFigures;
use super::figures::EngineFigures;
use super::machine::Machine;
use super::plan::Plan;
use super::workload::Shape;

/// The result of a run. As JSON it is what `--json` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this program.
    pub slipstream: &'static str,
    /// When it ended, in RFC 3339.
    pub date: String,
    /// How to repeat it.
    pub command: String,
    /// Below which folder.
    pub folder: String,
    /// What commits had to survive.
    pub durability: String,
    /// Whether it was the short form.
    pub quick: bool,
    /// Messages that were pending, and that were turned over.
    pub messages: u64,
    /// Bytes of the text of each message.
    pub text_bytes: usize,
    /// How often the engines took turns.
    pub rounds: u32,
    /// How long it took.
    pub seconds: f64,
    /// The machine.
    pub machine: Machine,
    /// The disk.
    pub disk: DiskFigures,
    /// What casts doubt on the figures.
    pub warnings: Vec<String>,
    /// The engines, in the order of the plan.
    pub engines: Vec<EngineFigures>,
    /// Which engine to take, and why.
    pub advice: Advice,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        date: String,
        took: Duration,
        machine: Machine,
        disk: DiskFigures,
        mut engines: Vec<EngineFigures>,
    ) -> Self {
        let limit = disk.most_synced_per_second;
        for engine in engines.iter_mut().filter(|_| plan.durability == Durability::Full) {
            engine.outruns_disk = outruns(engine, limit);
        }
        let engines_of_plan = plan.engines.iter().copied().zip(&engines);
        let candidates: Vec<_> =
            engines_of_plan.map(|(engine, figures)| Candidate::of(engine, figures, limit)).collect();
        Self {
            slipstream: env!("CARGO_PKG_VERSION"),
            date,
            command: plan.command.clone(),
            folder: plan.folder.display().to_string(),
            durability: plan.durability.to_string(),
            quick: plan.quick,
            messages: plan.messages,
            text_bytes: Shape::default().text_bytes,
            rounds: plan.rounds,
            seconds: took.as_secs_f64(),
            warnings: disk.sync.warning(machine.filesystem_type()).into_iter().collect(),
            advice: advise(&candidates, plan.durability),
            machine,
            disk,
            engines,
        }
    }
}
