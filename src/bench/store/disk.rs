//! The disk by itself, before any engine: how fast it writes, how fast it syncs, and whether that can be true.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::StoreBenchError;
use crate::bench::Percentiles;

/// What is written at once and synced: a page, and a batch.
const PAGE: usize = 4 << 10;
const BATCH: usize = 64 << 10;

/// What is written at once without a sync.
const CHUNK: usize = 1 << 20;

/// No medium keeps a write in less: flash takes longer even where it has capacitors to finish with.
const FASTEST_SYNC: Duration = Duration::from_micros(20);

/// Writes without a sync, to compare with.
const UNSYNCED: u32 = 2_000;

/// Most synced writes of one size.
const SYNCED: u32 = 20_000;

/// How many pages are written over, one after the other and again from the first.
const PAGES: u64 = 64;

/// A file on a disk. Each call answers how long it took.
pub trait Disk {
    /// Appends these bytes; they may be in memory only.
    ///
    /// # Errors
    /// As the system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<Duration>;

    /// Writes a page over one that was appended and synced before; it may be in memory only.
    ///
    /// # Errors
    /// As the system says.
    fn write_over(&mut self, page: u64, bytes: &[u8]) -> io::Result<Duration>;

    /// Has all that was written on the medium.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&mut self) -> io::Result<Duration>;
}

/// A file.
#[derive(Debug)]
pub struct FileDisk(File);

impl FileDisk {
    /// A new file at `path`.
    ///
    /// # Errors
    /// As the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().write(true).create_new(true).open(path)?))
    }
}

impl Disk for FileDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<Duration> {
        let start = Instant::now();
        self.0.write_all(bytes)?;
        Ok(start.elapsed())
    }

    fn write_over(&mut self, page: u64, bytes: &[u8]) -> io::Result<Duration> {
        let start = Instant::now();
        self.0.write_all_at(bytes, page * PAGE as u64)?;
        Ok(start.elapsed())
    }

    fn sync(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        self.0.sync_data()?;
        Ok(start.elapsed())
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskPlan {
    /// For how long each size is written and synced.
    pub time: Duration,
    /// How many bytes are written one after the other.
    pub sequential_bytes: u64,
}

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

/// Measures a disk by a file on it. It blocks; it ends early, with an error, once `stop` is set.
///
/// # Errors
/// As the system says, or [`StoreBenchError::Stopped`].
pub(super) fn measure(disk: &mut dyn Disk, plan: DiskPlan, stop: &AtomicBool) -> Result<DiskFigures, StoreBenchError> {
    let go_on = || if stop.load(Ordering::Relaxed) { Err(StoreBenchError::Stopped) } else { Ok(()) };
    let page = vec![0x5A; PAGE];
    let mut unsynced = histogram()?;
    for _ in 0..UNSYNCED {
        go_on()?;
        unsynced.saturating_record(nanos(disk.append(&page)?));
    }
    disk.sync()?;
    let (synced_4k, syncs) = synced(disk, plan.time, stop, |disk, _| disk.append(&page))?;
    let batch = vec![0xA5; BATCH];
    let (synced_64k, _) = synced(disk, plan.time, stop, |disk, _| disk.append(&batch))?;
    let written_over_4k = written_over(disk, plan.time, stop)?;
    let chunk = vec![0x3C; CHUNK];
    let (mut written, mut took) = (0, Duration::ZERO);
    while written < plan.sequential_bytes {
        go_on()?;
        took += disk.append(&chunk)?;
        written += CHUNK as u64;
    }
    took += disk.sync()?;
    let median = |latency: &Histogram<u64>| Duration::from_nanos(latency.value_at_quantile(0.5));
    Ok(DiskFigures {
        synced_4k,
        synced_64k,
        written_over_4k,
        most_synced_per_second: synced_4k.per_second.max(written_over_4k.per_second),
        unsynced_4k_ms: percentiles(&unsynced),
        #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
        sequential_bytes_per_second: written as f64 / took.as_secs_f64().max(1e-9),
        sync: Verdict::of(median(&syncs), median(&unsynced)),
    })
}

/// Writes and syncs again and again for a while. Answers how it went, and how long the syncs took by themselves.
fn synced<'d>(
    disk: &mut (dyn Disk + 'd),
    time: Duration,
    stop: &AtomicBool,
    mut write: impl FnMut(&mut (dyn Disk + 'd), u64) -> io::Result<Duration>,
) -> Result<(Synced, Histogram<u64>), StoreBenchError> {
    let (mut latency, mut syncs, mut total) = (histogram()?, histogram()?, Duration::ZERO);
    while total < time && latency.len() < u64::from(SYNCED) {
        if stop.load(Ordering::Relaxed) {
            return Err(StoreBenchError::Stopped);
        }
        let (write, sync) = (write(disk, latency.len())?, disk.sync()?);
        latency.saturating_record(nanos(write + sync));
        syncs.saturating_record(nanos(sync));
        total += write + sync;
    }
    Ok((rate(&latency, total), syncs))
}

/// Writes over pages of a file that has them, and syncs each.
///
/// # Errors
/// As [`measure`].
fn written_over(disk: &mut dyn Disk, time: Duration, stop: &AtomicBool) -> Result<Synced, StoreBenchError> {
    let page = vec![0xC3; PAGE];
    Ok(synced(disk, time, stop, |disk, turn| disk.write_over(turn % PAGES, &page))?.0)
}

/// How many pages of a new file are written over and synced in a second.
///
/// # Errors
/// As [`measure`].
pub(super) fn synced_per_second(
    disk: &mut dyn Disk,
    time: Duration,
    stop: &AtomicBool,
) -> Result<f64, StoreBenchError> {
    let page = vec![0x96; PAGE];
    for _ in 0..PAGES {
        disk.append(&page)?;
    }
    disk.sync()?;
    Ok(written_over(disk, time, stop)?.per_second)
}

/// Nanoseconds to a minute, told apart to one part in a thousand.
fn histogram() -> Result<Histogram<u64>, StoreBenchError> {
    Ok(Histogram::new_with_max(60_000_000_000, 3)?)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn rate(latency: &Histogram<u64>, total: Duration) -> Synced {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let per_second = latency.len() as f64 / total.as_secs_f64().max(1e-9);
    Synced { per_second, latency_ms: percentiles(latency) }
}

fn percentiles(latency: &Histogram<u64>) -> Percentiles {
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a minute are far below 2^53")]
    let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
    Percentiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p99_9: at(0.999), max: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk whose calls take what they are told to, in microseconds.
    struct Pretended {
        append: u64,
        sync: u64,
        appended: u64,
        syncs: u64,
    }

    impl Disk for Pretended {
        fn append(&mut self, bytes: &[u8]) -> io::Result<Duration> {
            self.appended += bytes.len() as u64;
            Ok(Duration::from_micros(self.append))
        }

        fn write_over(&mut self, page: u64, bytes: &[u8]) -> io::Result<Duration> {
            assert!((page + 1) * bytes.len() as u64 <= self.appended, "there is nothing to write over");
            // No blocks to allocate.
            Ok(Duration::from_micros(self.append / 2))
        }

        fn sync(&mut self) -> io::Result<Duration> {
            self.syncs += 1;
            Ok(Duration::from_micros(self.sync))
        }
    }

    const PLAN: DiskPlan = DiskPlan { time: Duration::from_millis(100), sequential_bytes: 10 << 20 };

    fn figures(append: u64, sync: u64) -> DiskFigures {
        let mut disk = Pretended { append, sync, appended: 0, syncs: 0 };
        let figures = measure(&mut disk, PLAN, &AtomicBool::new(false)).expect("figures");
        assert!(disk.appended > PLAN.sequential_bytes && disk.syncs > 2);
        figures
    }

    #[test]
    fn an_honest_disk_is_believed_and_its_rates_are_those_of_its_calls() {
        let figures = figures(10, 190);
        assert_eq!(figures.sync, Verdict::Plausible);
        assert!((figures.synced_4k.per_second - 5_000.0).abs() < 1.0, "{figures:?}");
        assert!((figures.synced_4k.latency_ms.p50 - 0.2).abs() < 0.001, "{figures:?}");
        // Ten chunks of 10 µs and one sync.
        let expected = f64::from(10 << 20) / 290e-6;
        assert!((figures.sequential_bytes_per_second / expected - 1.0).abs() < 0.01, "{figures:?}");
        assert_eq!(figures.sync.warning("ext4"), None);
        assert!((figures.written_over_4k.per_second - 1e6 / 195.0).abs() < 1.0, "{figures:?}");
        assert!((figures.most_synced_per_second - figures.written_over_4k.per_second).abs() < 1e-9, "{figures:?}");
    }

    #[test]
    fn a_sync_that_does_nothing_is_told_with_the_filesystem() {
        assert_eq!(figures(3, 1).sync, Verdict::FasterThanAnyMedium);
        assert_eq!(figures(3, 19).sync, Verdict::FasterThanAnyMedium);
        assert_eq!(figures(60, 50).sync, Verdict::LikeNoSync);
        assert_eq!(figures(3, 21).sync, Verdict::Plausible);
        for verdict in [Verdict::FasterThanAnyMedium, Verdict::LikeNoSync] {
            let warning = verdict.warning("tmpfs").expect("a warning");
            assert!(warning.contains("tmpfs") && warning.contains("looks as if it did nothing"), "{warning}");
        }
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let mut disk = Pretended { append: 1, sync: 1, appended: 0, syncs: 0 };
        let stopped = measure(&mut disk, PLAN, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(StoreBenchError::Stopped)) && disk.appended == 0);
    }
}
