//! The engines take turns: in every round each does the same, one after the other.

use std::path::{Path, PathBuf};

use super::disk::{DiskFigures, on_disk, synced_per_second};
use super::error::ComparisonError;
use super::figures::EngineFigures;
use super::host::Host;
use super::plan::{BATCHES, Engine, FAN_OUTS, Plan};
use super::samples::Samples;
use super::worker::{Child, Memory, Task, TaskResult};
use crate::limits::Limits;

/// How many commits are confirmed before a worker is killed, and most that it makes if it is not.
const COMMITS_BEFORE_KILL: usize = 3;
const MOST_COMMITS: u64 = 100;

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Steps that are done.
    pub done: u64,
    /// All steps.
    pub total: u64,
    /// What is done next.
    pub next: String,
}

/// Counts the steps of a run.
pub(super) struct Steps<'w> {
    done: u64,
    total: u64,
    watch: &'w (dyn Fn(Progress) + Sync),
}

impl<'w> Steps<'w> {
    pub(super) fn new(plan: &Plan, watch: &'w (dyn Fn(Progress) + Sync)) -> Self {
        // Of each engine in each round: the commits of each size, a turnover, a part of the backlog, a kill. And the disk.
        let round = (BATCHES.len() * FAN_OUTS.len() + 3) * plan.engines.len() + 1;
        Self { done: 0, total: 1 + round as u64 * u64::from(plan.rounds), watch }
    }

    pub(super) fn step(&mut self, next: &str) {
        (self.watch)(Progress { done: self.done, total: self.total, next: next.to_owned() });
        self.done += 1;
    }
}

/// One engine, its store and what was measured of it.
struct Turn {
    engine: Engine,
    path: PathBuf,
    child: Child,
    samples: Samples,
}

impl Turn {
    async fn start(host: &dyn Host, engine: Engine, path: PathBuf) -> Result<Self, ComparisonError> {
        let (child, opened) = Child::start(host, engine, &path).await?;
        let samples = Samples::new(engine, opened.guarantee, opened.is_as_asked);
        Ok(Self { engine, path, child, samples })
    }

    async fn commits(&mut self, plan: &Plan, batch: u64, fan_out: usize) -> Result<(), ComparisonError> {
        let millis = u64::try_from(plan.commits.as_millis()).unwrap_or(u64::MAX);
        match self.child.ask(&Task::Commits { batch, fan_out, millis }).await? {
            TaskResult::Commits(commits) => self.samples.commits.push((batch, fan_out, commits)),
            other => return Err(self.child.unexpected(&other)),
        }
        Ok(())
    }

    async fn turn_over(&mut self, messages: u64) -> Result<(), ComparisonError> {
        match self.child.ask(&Task::TurnOver { messages }).await? {
            TaskResult::TurnedOver(turned_over) => self.samples.turnovers.push(turned_over),
            other => return Err(self.child.unexpected(&other)),
        }
        Ok(())
    }

    async fn fill(&mut self, messages: u64) -> Result<(), ComparisonError> {
        match self.child.ask(&Task::Fill { messages }).await? {
            TaskResult::Filled(filled) => self.samples.fills.push(filled),
            other => return Err(self.child.unexpected(&other)),
        }
        Ok(())
    }

    /// Kills the worker in the midst of commits, opens its store again, and has the whole backlog read. `pending` is
    /// what is pending before; answers what is pending after.
    async fn kill_and_reopen(self, host: &dyn Host, pending: u64) -> Result<(Self, u64), ComparisonError> {
        let Self { engine, path, child, mut samples } = self;
        let batch = Limits::default().batch;
        let confirmed = pending + child.kill_filling(COMMITS_BEFORE_KILL, MOST_COMMITS * batch).await?;
        let (mut child, opened) = Child::start(host, engine, &path).await?;
        // The commit under way at the kill is there whole or not at all; what was confirmed before is there.
        if ![confirmed, confirmed + batch].contains(&opened.pending) {
            let found = opened.pending;
            return Err(child.fault(format!("{found} messages are pending after the kill, {confirmed} were confirmed")));
        }
        samples.reopened.push((opened.pending, opened.seconds));
        match child.ask(&Task::CatchUp).await? {
            TaskResult::CaughtUp { messages, seconds } if messages == opened.pending => {
                samples.caught_up.push((messages, seconds));
            }
            other => return Err(child.unexpected(&other)),
        }
        Ok((Self { engine, path, child, samples }, opened.pending))
    }

    async fn memory(&mut self) -> Result<Option<Memory>, ComparisonError> {
        match self.child.ask(&Task::Memory).await? {
            TaskResult::Memory(memory) => Ok(memory),
            other => Err(self.child.unexpected(&other)),
        }
    }
}

/// Measures the engines of the plan in `folder`; and the disk again in each round, since disks that are shared have
/// quick minutes and slow ones.
pub(super) async fn measure(
    plan: &Plan,
    host: &dyn Host,
    folder: &Path,
    steps: &mut Steps<'_>,
    disk: &mut DiskFigures,
) -> Result<Vec<EngineFigures>, ComparisonError> {
    let mut turns = Vec::with_capacity(plan.engines.len());
    for &engine in &plan.engines {
        turns.push(Turn::start(host, engine, folder.join(format!("{engine}-workload"))).await?);
    }
    for round in 1..=plan.rounds {
        steps.step(&format!("round {round}: the disk"));
        let time = plan.commits;
        let measured = on_disk(folder.join("disk"), move |disk, stop| synced_per_second(disk, time, stop)).await?;
        disk.most_synced_per_second = disk.most_synced_per_second.max(measured);
        for (batch, fan_out) in BATCHES.into_iter().flat_map(|batch| FAN_OUTS.map(|fan_out| (batch, fan_out))) {
            for turn in &mut turns {
                steps.step(&format!("round {round}: {}, batches of {batch} to {fan_out}", turn.engine));
                turn.commits(plan, batch, fan_out).await?;
            }
        }
        for turn in &mut turns {
            steps.step(&format!("round {round}: {}, turnover", turn.engine));
            turn.turn_over(part(plan, round)).await?;
        }
    }
    let mut measured = Vec::with_capacity(turns.len());
    for mut turn in turns {
        turn.samples.busy_memory = turn.memory().await?;
        turn.child.end().await?;
        measured.push(turn.samples);
    }
    backlogs(plan, host, folder, steps, measured).await
}

/// How many messages of the plan belong to this round.
fn part(plan: &Plan, round: u32) -> u64 {
    let (rounds, round) = (u64::from(plan.rounds), u64::from(round));
    plan.messages * round / rounds - plan.messages * (round - 1) / rounds
}

async fn backlogs(
    plan: &Plan,
    host: &dyn Host,
    folder: &Path,
    steps: &mut Steps<'_>,
    measured: Vec<Samples>,
) -> Result<Vec<EngineFigures>, ComparisonError> {
    let mut turns = Vec::with_capacity(measured.len());
    for samples in measured {
        let path = folder.join(format!("{}-backlog", samples.engine));
        let turn = Turn::start(host, samples.engine, path).await?;
        turns.push((Turn { samples, ..turn }, plan.messages));
    }
    for round in 1..=plan.rounds {
        for (turn, _) in &mut turns {
            steps.step(&format!("round {round}: {}, backlog", turn.engine));
            turn.fill(part(plan, round)).await?;
        }
    }
    for round in 1..=plan.rounds {
        let mut reopened = Vec::with_capacity(turns.len());
        for (turn, pending) in turns {
            steps.step(&format!("round {round}: {}, kill and open again", turn.engine));
            reopened.push(turn.kill_and_reopen(host, pending).await?);
        }
        turns = reopened;
    }
    let mut figures = Vec::with_capacity(turns.len());
    for (mut turn, _) in turns {
        turn.samples.backlog_memory = turn.memory().await?;
        turn.child.end().await?;
        figures.push(turn.samples.figures());
    }
    Ok(figures)
}
