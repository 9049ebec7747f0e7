//! What a disk does, and whether that can be true.

use std::time::Duration;

use serde::Serialize;

use crate::percentiles::Percentiles;

/// No medium keeps a write in less: flash takes longer even where it has capacitors to finish with.
const FASTEST_SYNC: Duration = Duration::from_micros(20);

/// What a disk does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskFigures {
    /// Appending 4 KiB and syncing.
    pub synced_4k: Synced,
    /// Appending 64 KiB and syncing.
    pub synced_64k: Synced,
    /// Writing 4 KiB over what is there and syncing, which is what a log does that is used again.
    pub written_over_4k: Synced,
    /// The most synced writes of 4 KiB a second that were seen, at first or between the engines' turns. An engine that
    /// syncs each commit makes no more of them.
    pub most_synced_per_second: f64,
    /// Appending 4 KiB without a sync, in milliseconds.
    pub unsynced_4k_ms: Percentiles,
    /// Appending 1 MiB at a time, with one sync at the end, in bytes a second.
    pub sequential_bytes_per_second: f64,
    /// Whether its syncs can be believed.
    pub sync: Verdict,
}

/// Writes that are each synced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    /// How many in a second.
    pub per_second: f64,
    /// Write and sync together, in milliseconds.
    pub latency_ms: Percentiles,
}

/// Whether syncs can be believed. A disk that is slow need not be honest; one that is too fast is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Nothing speaks against it.
    Plausible,
    /// Half of them took less than any medium does.
    FasterThanAnyMedium,
    /// A sync took no longer than writing to memory.
    LikeNoSync,
}

impl Verdict {
    /// From the medians of a sync by itself and of a write without one.
    #[must_use]
    pub fn of(sync: Duration, unsynced: Duration) -> Self {
        if sync < FASTEST_SYNC {
            Self::FasterThanAnyMedium
        } else if sync <= unsynced {
            Self::LikeNoSync
        } else {
            Self::Plausible
        }
    }

    /// What the operator must hear; nothing where all is well.
    #[must_use]
    pub fn warning(self, filesystem: &str) -> Option<String> {
        let why = match self {
            Self::Plausible => return None,
            Self::FasterThanAnyMedium => "half of the syncs took less than 20 µs, which no medium does",
            Self::LikeNoSync => {
                "a sync took no longer than a write without one (or each write is synced: mount option sync)"
            }
        };
        Some(format!(
            "this sync looks as if it did nothing: {why} (filesystem: {filesystem}). It is a filesystem in memory, or a \
             disk that lies: a power cut may lose what was confirmed, and the figures of `full` say nothing of a real disk"
        ))
    }
}
