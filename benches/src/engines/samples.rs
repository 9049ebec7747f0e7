//! What the rounds have measured of an engine, and what that comes to.

use super::figures::{Backlog, CommitFigures, EngineFigures, Spread, Turnover};
use super::plan::{BATCHES, Engine, FAN_OUTS};
use super::worker::{Commits, Filled, Memory, TurnedOver};

/// What the rounds have measured of an engine.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) engine: Engine,
    guarantee: String,
    is_as_asked: bool,
    pub(super) commits: Vec<(u64, usize, Commits)>,
    pub(super) turnovers: Vec<TurnedOver>,
    pub(super) fills: Vec<Filled>,
    /// Messages and seconds.
    pub(super) caught_up: Vec<(u64, f64)>,
    /// Messages pending, and seconds.
    pub(super) reopened: Vec<(u64, f64)>,
    pub(super) busy_memory: Option<Memory>,
    pub(super) backlog_memory: Option<Memory>,
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes are far below 2^53")]
fn quotient(count: u64, by: f64) -> f64 {
    if by > 0.0 { count as f64 / by } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes are far below 2^53")]
fn ratio(count: u64, by: u64) -> f64 {
    quotient(count, by as f64)
}

impl Samples {
    pub(super) fn new(engine: Engine, guarantee: String, is_as_asked: bool) -> Self {
        Self {
            engine,
            guarantee,
            is_as_asked,
            commits: Vec::new(),
            turnovers: Vec::new(),
            fills: Vec::new(),
            caught_up: Vec::new(),
            reopened: Vec::new(),
            busy_memory: None,
            backlog_memory: None,
        }
    }

    pub(super) fn figures(self) -> EngineFigures {
        let sizes = BATCHES.into_iter().flat_map(|batch| FAN_OUTS.map(|fan_out| (batch, fan_out)));
        EngineFigures {
            engine: self.engine.name,
            commits: sizes.map(|(batch, fan_out)| self.commits_of(batch, fan_out)).collect(),
            turnover: self.turnover(),
            backlog: self.backlog(),
            guarantee: self.guarantee,
            is_as_asked: self.is_as_asked,
            outruns_disk: false,
            busy_memory: self.busy_memory,
            backlog_memory: self.backlog_memory,
        }
    }

    fn commits_of(&self, batch: u64, fan_out: usize) -> CommitFigures {
        let rounds = || {
            let of_size = self.commits.iter().filter(move |(size, peers, _)| (*size, *peers) == (batch, fan_out));
            of_size.map(|(.., commits)| commits)
        };
        CommitFigures {
            batch,
            fan_out,
            messages_per_second: Spread::of(rounds().map(|round| quotient(round.messages, round.seconds))),
            cpu_micros_per_message: Spread::of(
                rounds().map(|round| round.cpu_seconds * 1e6 / quotient(round.messages, 1.0)),
            ),
            p50_ms: Spread::of(rounds().map(|round| round.p50_ms)),
            p99_ms: Spread::of(rounds().map(|round| round.p99_ms)),
        }
    }

    fn turnover(&self) -> Turnover {
        let (mut before, mut sizes) = (0, Vec::new());
        for round in &self.turnovers {
            sizes.extend(round.sizes.iter().map(|&(messages, bytes)| (before + messages, bytes)));
            before += round.messages;
        }
        let payload: u64 = self.turnovers.iter().map(|round| round.payload).sum();
        let written: Option<u64> = self.turnovers.iter().map(|round| round.written).sum();
        Turnover {
            messages_per_second: Spread::of(self.turnovers.iter().map(|round| quotient(round.messages, round.seconds))),
            peak_bytes: sizes.iter().map(|&(_, bytes)| bytes).max().unwrap_or_default(),
            end_bytes: sizes.last().map_or(0, |&(_, bytes)| bytes),
            sizes,
            // A filesystem in memory writes nothing.
            write_amplification: written.filter(|&written| written > 0).map(|written| ratio(written, payload)),
        }
    }

    fn backlog(&self) -> Backlog {
        let stored: u64 = self.fills.iter().map(|round| round.messages).sum();
        let bytes = self.fills.last().map_or(0, |round| round.bytes);
        Backlog {
            stored_per_second: Spread::of(self.fills.iter().map(|round| quotient(round.messages, round.seconds))),
            bytes_per_message: ratio(bytes, stored),
            caught_up_per_second: Spread::of(
                self.caught_up.iter().map(|&(messages, seconds)| quotient(messages, seconds)),
            ),
            reopen_ms: Spread::of(self.reopened.iter().map(|&(_, seconds)| seconds * 1e3)),
            pending: self.reopened.last().map_or(0, |&(pending, _)| pending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_rates_sizes_and_amplification() {
        let mut samples = Samples::new(Engine { name: "sqlite", not_recommended: None }, "all".to_owned(), true);
        let commits = |seconds| Commits { messages: 100, seconds, cpu_seconds: 0.001, p50_ms: 1.0, p99_ms: 2.0 };
        samples.commits = vec![(16, 1, commits(1.0)), (16, 1, commits(2.0)), (16, 10, commits(50.0))];
        let turned_over = |bytes, written| TurnedOver {
            messages: 10,
            seconds: 1.0,
            sizes: vec![(5, bytes), (10, bytes / 2)],
            written,
            payload: 1_000,
        };
        samples.turnovers = vec![turned_over(80, Some(1_000)), turned_over(60, Some(3_000))];
        samples.fills = vec![
            Filled { messages: 10, seconds: 1.0, bytes: 500 },
            Filled { messages: 10, seconds: 1.0, bytes: 1_500 },
        ];
        samples.reopened = vec![(20, 0.5), (25, 0.3)];
        let figures = samples.figures();
        let of = figures.commits_of(16, 1).expect("it is there");
        assert_eq!((of.messages_per_second, of.cpu_micros_per_message.median), (Spread::of([50.0, 100.0]), 10.0));
        let Turnover { sizes, peak_bytes, end_bytes, write_amplification, .. } = figures.turnover;
        assert_eq!(sizes, [(5, 80), (10, 40), (15, 60), (20, 30)]);
        assert_eq!((peak_bytes, end_bytes, write_amplification), (80, 30, Some(2.0)));
        assert_eq!((figures.backlog.bytes_per_message, figures.backlog.pending), (75.0, 25));
        assert!((figures.backlog.reopen_ms.median - 400.0).abs() < 1e-9);
    }
}
