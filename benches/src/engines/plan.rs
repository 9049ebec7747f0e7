//! What is to be measured.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use slipstream_store::Durability;

use super::disk::DiskPlan;
use super::error::ComparisonError;
use super::host::Host;
use super::workload::Shape;

/// How often its text a message may take on the disk: a page engine splits pages, keeps free ones, and some keep an old
/// copy of what they move.
const ROOM_A_TEXT: u64 = 4;

/// What a store may take beside its messages: logs, files that grow by steps, free pages.
const ROOM_A_STORE: u64 = 256 << 20;

/// Messages of a batch, smallest first: a relay without load, and ever more of it.
pub const BATCHES: [u64; 4] = [1, 16, 256, 4096];

/// How many peers a message goes to.
pub const FAN_OUTS: [usize; 2] = [1, 10];

/// An engine as its caller knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    /// Its name.
    pub name: &'static str,
    /// Why it is measured and never named, however good it is; nothing for one that may be named.
    pub not_recommended: Option<&'static str>,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What is to be measured, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How it was asked, to repeat it.
    pub command: String,
    /// The folder that the stores are made below.
    pub folder: PathBuf,
    /// What commits must survive.
    pub durability: Durability,
    /// Which engines, the preferred one first.
    pub engines: Vec<Engine>,
    /// How many messages are pending when a store is opened again, and how many are turned over.
    pub messages: u64,
    /// How often the engines take turns.
    pub rounds: u32,
    /// How long one size of commits takes in one round.
    pub commits: Duration,
    /// How much the disk is measured.
    pub disk: DiskPlan,
    /// Whether this is the short form.
    pub quick: bool,
}

impl Plan {
    /// The pending messages of the long form.
    pub const MESSAGES: u64 = 1_000_000;
    /// The pending messages of the short form.
    pub const QUICK_MESSAGES: u64 = 50_000;

    /// Several minutes, for a decision.
    #[must_use]
    pub fn full(engines: Vec<Engine>) -> Self {
        Self {
            command: String::new(),
            folder: PathBuf::from("."),
            durability: Durability::default(),
            engines,
            messages: Self::MESSAGES,
            rounds: 5,
            commits: Duration::from_secs(1),
            disk: DiskPlan { time: Duration::from_secs(3), sequential_bytes: 512 << 20 },
            quick: false,
        }
    }

    /// Less than a minute, for a first look.
    #[must_use]
    pub fn quick(engines: Vec<Engine>) -> Self {
        Self {
            messages: Self::QUICK_MESSAGES,
            rounds: 3,
            commits: Duration::from_millis(70),
            disk: DiskPlan { time: Duration::from_millis(500), sequential_bytes: 64 << 20 },
            quick: true,
            ..Self::full(engines)
        }
    }

    /// Most bytes that the run takes on the disk at any time.
    #[must_use]
    pub fn room(&self) -> u64 {
        let text = Shape::default().text_bytes as u64;
        let store = self.messages.saturating_mul(text * ROOM_A_TEXT).saturating_add(ROOM_A_STORE);
        store.saturating_mul(self.engines.len() as u64).max(self.disk.sequential_bytes * 2)
    }

    /// # Errors
    /// Where too little is free, or the system does not tell how much is.
    pub(super) fn check_room(&self, host: &dyn Host) -> Result<(), ComparisonError> {
        let free = host.free_bytes(&self.folder);
        let free = free.map_err(|error| ComparisonError::File { path: self.folder.clone(), error })?;
        // Where the filesystem does not count, the run tells.
        let Some(free) = free else { return Ok(()) };
        let needed = self.room();
        if free >= needed {
            return Ok(());
        }
        let (needed_mb, free_mb) = (needed.div_ceil(1_000_000), free / 1_000_000);
        Err(ComparisonError::NoRoom { folder: self.folder.clone(), needed_mb, free_mb })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// A disk with so many bytes free.
    #[derive(Debug)]
    struct Room(Option<u64>);

    impl Host for Room {
        fn worker(&self, engine: &'static str, _: &Path) -> Command {
            Command::new(engine)
        }

        fn free_bytes(&self, _: &Path) -> io::Result<Option<u64>> {
            match self.0 {
                Some(0) => Err(io::ErrorKind::NotFound.into()),
                free => Ok(free),
            }
        }

        fn date(&self) -> String {
            String::new()
        }
    }

    #[test]
    fn a_disk_without_room_is_refused_with_both_figures() {
        let engines = || vec![Engine { name: "sqlite", not_recommended: None }];
        let plan = Plan { messages: u64::MAX / 2, ..Plan::full(engines()) };
        let refused = plan.check_room(&Room(Some(7_000_000))).expect_err("refused").to_string();
        assert!(refused.contains("7 MB are free") && refused.contains("--messages"), "{refused}");
        let plan = Plan { messages: 1, ..Plan::quick(engines()) };
        assert!(plan.room() >= 256 << 20 && plan.room() < 1 << 30);
        for room in [Some(1 << 30), None] {
            plan.check_room(&Room(room)).expect("there is room, or nobody knows");
        }
        let nowhere = Plan { folder: "/nowhere/at/all".into(), ..plan };
        assert!(nowhere.check_room(&Room(Some(0))).expect_err("refused").to_string().contains("/nowhere/at/all"));
    }
}
