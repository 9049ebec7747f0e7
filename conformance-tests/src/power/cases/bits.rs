//! Bits that flip on the disk.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use slipstream_store::{Depth, MessageStore};

use crate::harness::{FlippedBits, Harness, open_after_drop};
use crate::power::disks::log::Unsynced;
use crate::power::disks::mounted::Mounted;
use crate::power::life::Remains;
use crate::power::trial::{CUTS_PER_WORKLOAD, SHORT, STEPS, Trial, replay};
use crate::power::view::{View, difference};
use crate::power::workload::Workload;

/// The places that are looked at for something written, in bytes.
const SECTOR: usize = 512;

/// What came of a bit that flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The store said that something is wrong.
    Reported,
    /// Everything reads as before.
    Harmless,
    /// Something else was read than was written, and nothing was said.
    Unnoticed,
}

/// A store whose data changed on the disk says so, or reads as before, unless its harness says that it may not notice.
///
/// # Errors
/// What is wrong with the store, or with what its harness says of it.
pub async fn flipped_bits_are_reported<H: Harness>(trial: Trial<H>) -> Result<(), String> {
    let (mut counts, mut first) = ([0_u64; 3], None);
    for seed in trial.workloads() {
        // Of workloads with megabytes of messages, hardly anything else would be hit.
        let workload = Workload::generate(2 * seed, STEPS).await;
        let mut life =
            trial.whole_life(&workload).await.map_err(|problem| replay(seed, "without a fault", &problem))?;
        life.end().await.map_err(|problem| replay(seed, "without a fault", &problem))?;
        let whole = life.cut(life.disk.now(), Unsynced::Lost);
        let mut chance = fastrand::Rng::with_seed(seed);
        for _ in 0..CUTS_PER_WORKLOAD {
            let (found, told) = flip(&trial, &workload, &whole, &mut chance).await?;
            counts[found as usize] += 1;
            if found == Found::Unnoticed && first.is_none() {
                first = Some(replay(seed, "a flipped bit was not noticed", &told));
            }
            trial.goes_on();
        }
    }
    tell(counts);
    match (trial.harness.flipped_bits(), first) {
        (FlippedBits::Reported, Some(unnoticed)) => Err(unnoticed),
        (FlippedBits::MayGoUnnoticed(reason), None) if trial.cuts >= SHORT => {
            Err(format!("every flipped bit was noticed, though the harness says: {reason}"))
        }
        _ => Ok(()),
    }
}

#[expect(clippy::print_stderr, reason = "what was found is for whoever runs a campaign")]
fn tell([reported, harmless, unnoticed]: [u64; 3]) {
    eprintln!("flipped bits: {reported} were reported, {harmless} harmless, {unnoticed} not noticed");
}

async fn flip<H: Harness>(
    trial: &Trial<H>,
    workload: &Workload,
    whole: &Remains,
    chance: &mut fastrand::Rng,
) -> Result<(Found, String), String> {
    let mount = Mounted::new(&whole.image);
    let told = flip_one(trial.harness.data_files(&mount.store()), chance).map_err(|error| error.to_string())?;
    let opened = open_after_drop(&trial.harness, &mount.store()).await;
    let Ok(store) = opened else { return Ok((Found::Reported, told)) };
    let is_fine = store.check(Depth::Full).await.is_ok_and(|defects| defects.is_empty());
    let view = View::read(&store, workload.messages()).await;
    let (true, Ok(view)) = (is_fine, view) else { return Ok((Found::Reported, told)) };
    let expected = &workload.expected[workload.len()];
    match difference(&expected.lines, &view.lines(&expected.forgotten)) {
        None => Ok((Found::Harmless, told)),
        Some(differs) => Ok((Found::Unnoticed, format!("{told}:{differs}"))),
    }
}

/// Flips a bit anywhere in the files where something is written, and says where.
fn flip_one(mut files: Vec<PathBuf>, chance: &mut fastrand::Rng) -> io::Result<String> {
    files.sort();
    let mut written = Vec::new();
    for path in &files {
        let sectors = fs::read(path)?;
        let sectors = sectors.chunks(SECTOR).enumerate().filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
        written.extend(sectors.map(|(at, sector)| (path, at * SECTOR, sector.len())));
    }
    let Some((path, from, length)) = chance.choice(&written) else {
        return Err(io::Error::other(format!("expected data in the files of a closed store, got none in {files:?}")));
    };
    let (at, bit) = ((from + chance.usize(..*length)) as u64, chance.u32(..8));
    let (file, mut byte) = (OpenOptions::new().read(true).write(true).open(path)?, [0]);
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ (1 << bit)], at)?;
    Ok(format!("bit {bit} of byte {at} in {}", path.file_name().unwrap_or_default().display()))
}
