//! The disk by itself, before any engine: how fast it writes, how fast it syncs, and whether that can be true.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::figures::{DiskFigures, Synced, Verdict};
use super::file::{Disk, PAGE};
use crate::engines::error::ComparisonError;
use crate::percentiles::Percentiles;

/// What is written at once and synced: a batch.
const BATCH: usize = 64 << 10;

/// What is written at once without a sync.
const CHUNK: usize = 1 << 20;

/// Writes without a sync, to compare with.
const UNSYNCED: u32 = 2_000;

/// Most synced writes of one size.
const SYNCED: u32 = 20_000;

/// How many pages are written over, one after the other and again from the first.
const PAGES: u64 = 64;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskPlan {
    /// For how long each size is written and synced.
    pub time: Duration,
    /// How many bytes are written one after the other.
    pub sequential_bytes: u64,
}

/// Measures a disk by a file on it. It blocks; it ends early, with an error, once `stop` is set.
///
/// # Errors
/// As the system says, or [`ComparisonError::Stopped`].
pub(crate) fn measure(disk: &mut dyn Disk, plan: DiskPlan, stop: &AtomicBool) -> Result<DiskFigures, ComparisonError> {
    let go_on = || if stop.load(Ordering::Relaxed) { Err(ComparisonError::Stopped) } else { Ok(()) };
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
) -> Result<(Synced, Histogram<u64>), ComparisonError> {
    let (mut latency, mut syncs, mut total) = (histogram()?, histogram()?, Duration::ZERO);
    while total < time && latency.len() < u64::from(SYNCED) {
        if stop.load(Ordering::Relaxed) {
            return Err(ComparisonError::Stopped);
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
fn written_over(disk: &mut dyn Disk, time: Duration, stop: &AtomicBool) -> Result<Synced, ComparisonError> {
    let page = vec![0xC3; PAGE];
    Ok(synced(disk, time, stop, |disk, turn| disk.write_over(turn % PAGES, &page))?.0)
}

/// How many pages of a new file are written over and synced in a second.
///
/// # Errors
/// As [`measure`].
pub(crate) fn synced_per_second(
    disk: &mut dyn Disk,
    time: Duration,
    stop: &AtomicBool,
) -> Result<f64, ComparisonError> {
    let page = vec![0x96; PAGE];
    for _ in 0..PAGES {
        disk.append(&page)?;
    }
    disk.sync()?;
    Ok(written_over(disk, time, stop)?.per_second)
}

/// Nanoseconds to a minute, told apart to one part in a thousand.
fn histogram() -> Result<Histogram<u64>, ComparisonError> {
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
    Percentiles::of(latency, 1e6)
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
        assert!(matches!(stopped, Err(ComparisonError::Stopped)) && disk.appended == 0);
    }
}
