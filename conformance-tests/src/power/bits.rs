//! Bits that flip on the disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use slipstream_store::{Depth, MessageStore};

use super::life::Remains;
use super::mounted::Mounted;
use super::view::{View, difference};
use super::{STEPS, Story, Trial, Unsynced, replay};
use crate::{FlippedBits, Harness};

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
    for (seed, flips) in trial.stories() {
        let story = Story::draw(seed, STEPS).await;
        let mut life = trial.whole_life(&story).await.map_err(|problem| replay(seed, "without a fault", &problem))?;
        life.end().await.map_err(|problem| replay(seed, "without a fault", &problem))?;
        let whole = life.cut(life.disk.now(), Unsynced::Lost);
        let mut chance = fastrand::Rng::with_seed(seed);
        for _ in 0..flips {
            let (found, told) = flip(&trial, &story, &whole, &mut chance).await?;
            counts[found as usize] += 1;
            if found == Found::Unnoticed && first.is_none() {
                first = Some(replay(seed, "a flipped bit was not noticed", &told));
            }
            trial.goes_on();
        }
    }
    let [reported, harmless, unnoticed] = counts;
    eprintln!("of {} flipped bits, {reported} were reported, {harmless} harmless, {unnoticed} not noticed", trial.cuts);
    match (trial.harness.flipped_bits(), first) {
        (FlippedBits::Reported, Some(unnoticed)) => Err(unnoticed),
        (FlippedBits::MayGoUnnoticed(reason), None) if trial.cuts >= super::SHORT => {
            Err(format!("every flipped bit was noticed, though the harness says: {reason}"))
        }
        _ => Ok(()),
    }
}

async fn flip<H: Harness>(
    trial: &Trial<H>,
    story: &Story,
    whole: &Remains,
    chance: &mut fastrand::Rng,
) -> Result<(Found, String), String> {
    let mount = Mounted::new(&whole.image);
    let told = flip_one(trial.harness.data_files(&mount.store()), chance).map_err(|error| error.to_string())?;
    let Ok(store) = trial.harness.open(&mount.store()).await else { return Ok((Found::Reported, told)) };
    let is_fine = store.check(Depth::Full).await.is_ok_and(|defects| defects.is_empty());
    let view = View::read(&store, story.messages()).await;
    let (true, Ok(view)) = (is_fine, view) else { return Ok((Found::Reported, told)) };
    let expected = &story.expected[story.len()];
    match difference(&expected.lines, &view.lines(&expected.forgotten)) {
        None => Ok((Found::Harmless, told)),
        Some(differs) => Ok((Found::Unnoticed, format!("{told}:{differs}"))),
    }
}

/// Flips a bit anywhere in the files, and says where.
fn flip_one(mut files: Vec<PathBuf>, chance: &mut fastrand::Rng) -> io::Result<String> {
    files.sort();
    let mut lengths = Vec::new();
    for file in &files {
        lengths.push(File::open(file)?.metadata()?.len());
    }
    let all = lengths.iter().sum::<u64>();
    if all == 0 {
        return Err(io::Error::other(format!(
            "expected data in the files of a closed store, got {files:?}, all empty"
        )));
    }
    let mut at = chance.u64(..all);
    for (path, length) in files.iter().zip(lengths) {
        if at < length {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            let (mut byte, bit) = ([0], chance.u32(..8));
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[byte[0] ^ (1 << bit)], at)?;
            let name = path.file_name().unwrap_or_default();
            return Ok(format!("bit {bit} of byte {at} of {length} in {}", name.display()));
        }
        at -= length;
    }
    unreachable!("the place is within the files")
}
