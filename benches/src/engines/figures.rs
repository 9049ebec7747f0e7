//! What the rounds came to, as medians with their spread.

use serde::Serialize;

use super::worker::Memory;

/// The median of the rounds, and their least and most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the rounds are no higher.
    pub median: f64,
    /// The lowest round.
    pub least: f64,
    /// The highest round.
    pub most: f64,
}

/// What one engine does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineFigures {
    /// Its name.
    pub engine: &'static str,
    /// What it guarantees.
    pub guarantee: String,
    /// Whether that is no less than was asked for.
    pub is_as_asked: bool,
    /// Whether it made more commits than the disk makes synced writes, where each commit is to be synced.
    pub outruns_disk: bool,
    /// Recording and acknowledging, one entry for each size of batch and each fan-out.
    pub commits: Vec<CommitFigures>,
    /// Recording, acknowledging and purging without end.
    pub turnover: Turnover,
    /// Messages for a peer that is away.
    pub backlog: Backlog,
    /// The memory of the process that committed and turned over.
    pub busy_memory: Option<Memory>,
    /// The memory of a process that has opened the backlog and read it.
    pub backlog_memory: Option<Memory>,
}

/// Batches of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitFigures {
    /// Messages that each commit records; it acknowledges as many, for each of their peers.
    pub batch: u64,
    /// Peers that each message goes to.
    pub fan_out: usize,
    /// Messages a second.
    pub messages_per_second: Spread,
    /// Processor time of the process for each message, in microseconds.
    pub cpu_micros_per_message: Spread,
    /// Half of the commits took no longer, in milliseconds.
    pub p50_ms: Spread,
    /// 99 of a hundred took no longer.
    pub p99_ms: Spread,
}

/// A store that turns over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turnover {
    /// Messages a second in batches of 256, with the purges.
    pub messages_per_second: Spread,
    /// Bytes on the disk after so many messages.
    pub sizes: Vec<(u64, u64)>,
    /// The most bytes on the disk.
    pub peak_bytes: u64,
    /// The bytes on the disk at the end, when nothing was owed any more.
    pub end_bytes: u64,
    /// Bytes written for each byte of the messages' texts (`write_bytes` of `/proc/PID/io`).
    pub write_amplification: Option<f64>,
}

/// A store with messages for a peer that is away.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backlog {
    /// Messages stored a second, in batches as the relay makes them.
    pub stored_per_second: Spread,
    /// Bytes on the disk for each pending message.
    pub bytes_per_message: f64,
    /// Messages read a second, in pages as the relay reads them.
    pub caught_up_per_second: Spread,
    /// How long opening took after a kill in the midst of commits, in milliseconds.
    pub reopen_ms: Spread,
    /// How many messages were pending at the last opening.
    pub pending: u64,
}

impl Spread {
    /// Of these rounds; zeros where there are none.
    #[must_use]
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
        let (middle, odd) = (rounds.len() / 2, rounds.len() % 2 == 1);
        let median = if odd || rounds.is_empty() { at(middle) } else { f64::midpoint(at(middle - 1), at(middle)) };
        Self { median, least: at(0), most: at(rounds.len().saturating_sub(1)) }
    }
}

impl EngineFigures {
    /// Whether it keeps what was asked for, so that it may be compared with others that do.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.is_as_asked && !self.outruns_disk
    }

    /// Batches of one size.
    #[must_use]
    pub fn commits_of(&self, batch: u64, fan_out: usize) -> Option<&CommitFigures> {
        self.commits.iter().find(|each| (each.batch, each.fan_out) == (batch, fan_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        let spread = |rounds: &[f64]| {
            let Spread { median, least, most } = Spread::of(rounds.iter().copied());
            (median, least, most)
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), (2.5, 1.0, 4.0));
        assert_eq!((spread(&[7.0]), spread(&[])), ((7.0, 7.0, 7.0), (0.0, 0.0, 0.0)));
    }
}
