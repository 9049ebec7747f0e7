//! Which engine to take. The rule, in the words of `docs/choosing-a-store.md`:
//!
//! 1. An engine that keeps less than the durability that is asked for is out, also where only the disk says so: it makes
//!    more commits than the disk makes synced writes. So is one that is not recommended: sled, whose last stable release
//!    is old.
//! 2. Of the others, the preferred one (SQLite, where it is among them) is taken, unless another does the weighted
//!    workload more than 1.5 times as well. Then the best of those is.
//! 3. Where nothing is left, nothing is named.
//!
//! The weighted workload is the weighted geometric mean of how many times as well an engine does as the preferred one,
//! over the measures of [`Measure::ALL`].

use serde::Serialize;
use slipstream_store::Durability;

use super::figures::{CommitFigures, EngineFigures};
use super::number::number;
use super::plan::Engine;

/// An engine that is not the preferred one must be so many times as good to be taken.
const CLEARLY: f64 = 1.5;

/// By how much an engine may have more commits of one message than the disk had synced writes: the two are measured one
/// after the other, and a disk is not the same from one second to the next.
const MARGIN: f64 = 1.25;

/// Whether an engine made more commits a second than a disk that makes `synced_per_second` synced writes allows.
#[must_use]
pub(super) fn outruns(figures: &EngineFigures, synced_per_second: f64) -> bool {
    Measure::Commits1.of(figures) > synced_per_second * MARGIN
}

/// What counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Messages a second in commits of one message, to one peer.
    Commits1,
    /// In commits of 16.
    Commits16,
    /// In commits of 256, which is what a busy relay makes.
    Commits256,
    /// In commits of 256, each message to ten peers.
    FanOut,
    /// In commits of 4,096.
    Commits4096,
    /// The 99th percentile of commits of 16.
    Latency,
    /// Processor time for a message in commits of 256.
    Cpu,
    /// Messages read a second.
    CatchUp,
    /// Bytes on the disk for a pending message.
    Bytes,
    /// Opening after a kill.
    Reopen,
}

impl Measure {
    /// Every measure with its weight.
    pub const ALL: [(Self, f64); 10] = [
        (Self::Commits1, 1.0),
        (Self::Commits16, 2.0),
        (Self::Commits256, 3.0),
        (Self::FanOut, 2.0),
        (Self::Commits4096, 1.0),
        (Self::Latency, 2.0),
        (Self::Cpu, 2.0),
        (Self::CatchUp, 2.0),
        (Self::Bytes, 1.0),
        (Self::Reopen, 1.0),
    ];

    const fn is_better_lower(self) -> bool {
        matches!(self, Self::Latency | Self::Cpu | Self::Bytes | Self::Reopen)
    }

    fn of(self, figures: &EngineFigures) -> f64 {
        let commits =
            |batch, fan_out, of: fn(&CommitFigures) -> f64| figures.commits_of(batch, fan_out).map_or(0.0, of);
        match self {
            Self::Commits1 => commits(1, 1, |figures| figures.messages_per_second.median),
            Self::Commits16 => commits(16, 1, |figures| figures.messages_per_second.median),
            Self::Commits256 => commits(256, 1, |figures| figures.messages_per_second.median),
            Self::FanOut => commits(256, 10, |figures| figures.messages_per_second.median),
            Self::Commits4096 => commits(4096, 1, |figures| figures.messages_per_second.median),
            Self::Latency => commits(16, 1, |figures| figures.p99_ms.median),
            Self::Cpu => commits(256, 1, |figures| figures.cpu_micros_per_message.median),
            Self::CatchUp => figures.backlog.caught_up_per_second.median,
            Self::Bytes => figures.backlog.bytes_per_message,
            Self::Reopen => figures.backlog.reopen_ms.median,
        }
    }
}

/// An engine, and what the rule looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which.
    pub engine: Engine,
    /// What it guarantees, where that is less than was asked for.
    pub weakness: Option<String>,
    /// The figures, in the order of [`Measure::ALL`].
    pub figures: [f64; Measure::ALL.len()],
}

impl Candidate {
    /// An engine by its figures, on a disk that makes so many synced writes a second at most.
    #[must_use]
    pub fn of(engine: Engine, figures: &EngineFigures, synced_per_second: f64) -> Self {
        let weakness = match figures {
            EngineFigures { is_as_asked: false, guarantee, .. } => Some(guarantee.clone()),
            EngineFigures { outruns_disk: true, .. } => Some(format!(
                "it made {} commits a second, and the disk no more than {} synced writes, so it did not wait for them",
                number(Measure::Commits1.of(figures)),
                number(synced_per_second)
            )),
            _ => None,
        };
        Self { engine, weakness, figures: Measure::ALL.map(|(measure, _)| measure.of(figures)) }
    }

    /// How many times as well as `other` this does the weighted workload.
    fn times(&self, other: &Self) -> f64 {
        let (mut logarithms, mut weights) = (0.0, 0.0);
        for ((mine, theirs), (measure, weight)) in self.figures.iter().zip(other.figures).zip(Measure::ALL) {
            let times = if measure.is_better_lower() { theirs / mine } else { mine / theirs };
            // What could not be measured of either counts for neither.
            if times.is_finite() && times > 0.0 {
                logarithms += weight * times.ln();
                weights += weight;
            }
        }
        if weights > 0.0 { (logarithms / weights).exp() } else { 1.0 }
    }

    /// Why it is never named, where it is not.
    fn ruled_out(&self) -> Option<String> {
        let weakness = self.weakness.as_ref().map(|weakness| format!("keeps less than was asked for: {weakness}"));
        weakness.or_else(|| Some(format!("is not named: {}", self.engine.not_recommended?)))
    }
}

/// Which engine to take, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// The engine; none where none keeps what was asked for.
    pub engine: Option<&'static str>,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// How many times as well as the preferred engine each does the weighted workload.
    pub scores: Vec<Score>,
}

/// How an engine does the weighted workload.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// Which.
    pub engine: &'static str,
    /// How many times as well as the preferred engine.
    pub times: f64,
}

/// Names an engine among `candidates`, of which the preferred one is first.
#[must_use]
pub fn advise(candidates: &[Candidate], durability: Durability) -> Advice {
    let (mut reasons, mut fit) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match candidate.ruled_out() {
            Some(reason) => reasons.push(format!("{} {reason}.", candidate.engine)),
            None => fit.push(candidate),
        }
    }
    let reference = fit.first().copied().or(candidates.first());
    let scores = candidates.iter().zip(std::iter::repeat(reference)).filter_map(|(candidate, reference)| {
        Some(Score { engine: candidate.engine.name, times: candidate.times(reference?) })
    });
    let scores = scores.collect();
    let Some((&preferred, others)) = fit.split_first() else {
        reasons.push(format!("No engine that was measured is one to take where `{durability}` is asked for."));
        return Advice { engine: None, reasons, scores };
    };
    let best = others.iter().map(|other| (*other, other.times(preferred))).max_by(|(_, a), (_, b)| a.total_cmp(b));
    let (chosen, why) = match best {
        Some((other, times)) if times > CLEARLY => (
            other,
            format!(
                "{} does the weighted workload {times:.2} times as well as {}, which is clearly (more than {CLEARLY} \
                 times) better.",
                other.engine, preferred.engine
            ),
        ),
        Some((other, times)) => (
            preferred,
            format!(
                "{} is the preferred engine, and the next best, {}, does the weighted workload {times:.2} times as \
                 well: not clearly (more than {CLEARLY} times) better.",
                preferred.engine, other.engine
            ),
        ),
        None => (preferred, format!("{} is the only engine that is left.", preferred.engine)),
    };
    reasons.insert(0, why);
    reasons.insert(1, format!("{} keeps what `{durability}` promises.", chosen.engine));
    Advice { engine: Some(chosen.engine.name), reasons, scores }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::samples::Samples;
    use crate::engines::worker::Commits;

    const SQLITE: Engine = Engine { name: "sqlite", not_recommended: None };
    const REDB: Engine = Engine { name: "redb", not_recommended: None };
    const LMDB: Engine = Engine { name: "lmdb", not_recommended: None };
    const SLED: Engine = Engine { name: "sled", not_recommended: Some("its last stable release is from 2021") };

    /// An engine that is `times` as good as another in everything.
    fn candidate(engine: Engine, times: f64) -> Candidate {
        let figures = Measure::ALL.map(|(measure, _)| if measure.is_better_lower() { 1.0 / times } else { times });
        Candidate { engine, weakness: None, figures }
    }

    fn named(candidates: &[Candidate]) -> (Option<&'static str>, String) {
        let advice = advise(candidates, Durability::Full);
        (advice.engine, advice.reasons.join("\n"))
    }

    #[test]
    fn the_preferred_engine_is_named_unless_another_is_clearly_better() {
        let sqlite = candidate(SQLITE, 1.0);
        for (times, expected) in [(0.5, "sqlite"), (1.49, "sqlite"), (1.51, "lmdb")] {
            let others = [sqlite.clone(), candidate(REDB, 1.2), candidate(LMDB, times)];
            let (engine, reasons) = named(&others);
            assert_eq!(engine, Some(expected), "{times}: {reasons}");
            assert!(reasons.contains("1.5"), "{reasons}");
        }
        let both = [sqlite, candidate(REDB, 3.0), candidate(LMDB, 2.0)];
        assert_eq!(named(&both).0, Some("redb"), "the best of those that are clearly better");
    }

    #[test]
    fn an_engine_that_keeps_less_is_out_however_fast_it_is() {
        let weak = Candidate { weakness: Some("it may lose the last".to_owned()), ..candidate(REDB, 9.0) };
        let (engine, reasons) = named(&[candidate(SQLITE, 1.0), weak.clone()]);
        assert_eq!(engine, Some("sqlite"));
        assert!(reasons.contains("redb keeps less than was asked for: it may lose the last"), "{reasons}");
        let (engine, reasons) = named(&[weak]);
        assert_eq!(engine, None);
        assert!(reasons.contains("`full`"), "{reasons}");
    }

    #[test]
    fn an_engine_that_keeps_more_than_was_asked_for_is_not_out() {
        let weakness = |is_as_asked| {
            let figures = Samples::new(REDB, "it survives this".to_owned(), is_as_asked).figures();
            Candidate::of(REDB, &figures, 1.0).weakness
        };
        assert_eq!(weakness(true), None);
        assert_eq!(weakness(false).as_deref(), Some("it survives this"));
    }

    #[test]
    fn an_engine_that_makes_more_commits_than_the_disk_makes_synced_writes_is_out() {
        let figures = |commits: u64| {
            let mut samples = Samples::new(REDB, "everything".to_owned(), true);
            let round = Commits { messages: commits, seconds: 1.0, cpu_seconds: 0.1, p50_ms: 1.0, p99_ms: 1.0 };
            samples.commits = vec![(1, 1, round)];
            let figures = samples.figures();
            EngineFigures { outruns_disk: outruns(&figures, 286.0), ..figures }
        };
        for (commits, keeps) in [(100, true), (290, true), (1_102, false)] {
            assert_eq!(figures(commits).keeps(), keeps, "{commits}");
        }
        let quick = Candidate { figures: [9.0; 10], ..Candidate::of(REDB, &figures(1_102), 286.0) };
        let (engine, reasons) = named(&[candidate(SQLITE, 1.0), quick]);
        assert_eq!(engine, Some("sqlite"));
        assert!(reasons.contains("1,102 commits a second, and the disk no more than 286 synced"), "{reasons}");
    }

    #[test]
    fn sled_is_measured_and_not_named() {
        let (engine, reasons) = named(&[candidate(SQLITE, 1.0), candidate(SLED, 9.0)]);
        assert_eq!(engine, Some("sqlite"));
        assert!(reasons.contains("sled is not named: its last stable release is from 2021"), "{reasons}");
    }

    #[test]
    fn without_the_preferred_engine_the_next_takes_its_place() {
        let others = [candidate(REDB, 1.0), candidate(LMDB, 1.4)];
        assert_eq!(named(&others).0, Some("redb"));
        assert_eq!(named(&others[1..]).0, Some("lmdb"));
    }

    #[test]
    fn the_score_weighs_and_knows_which_way_is_better() {
        let (mut one, other) = (candidate(REDB, 1.0), candidate(SQLITE, 1.0));
        let at = |wanted| Measure::ALL.iter().position(|(measure, _)| *measure == wanted).expect("it is there");
        let total: f64 = Measure::ALL.iter().map(|(_, weight)| weight).sum();
        one.figures[at(Measure::Commits256)] = 8.0;
        assert!((one.times(&other) - 8f64.powf(3.0 / total)).abs() < 1e-9);
        one.figures[at(Measure::Commits256)] = 1.0;
        one.figures[at(Measure::Reopen)] = 8.0;
        assert!((one.times(&other) - 8f64.powf(-1.0 / total)).abs() < 1e-9, "slower is worse");
        one.figures[at(Measure::Reopen)] = 0.0;
        assert!((one.times(&other) - 1.0).abs() < 1e-9, "what was not measured does not count");
    }
}
