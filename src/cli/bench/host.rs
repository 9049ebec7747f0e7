//! What `bench store` gives the comparison of the engines.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use slipstream_benches::engines::{self, Host};
use slipstream_store::Durability;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::backend;
use crate::config::EmbeddedEngine;
use crate::disk;

/// This program, which is started again for each engine.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    durability: Durability,
}

impl Program {
    /// # Errors
    /// Where the system does not tell where this program is.
    pub(super) fn new(durability: Durability) -> Result<Self, String> {
        let path = std::env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
        Ok(Self { path, durability })
    }
}

impl Host for Program {
    /// The arguments are those that the command reads into its `Worker`.
    fn worker(&self, engine: &'static str, path: &Path) -> Command {
        let mut command = Command::new(&self.path);
        let durability = self.durability.to_string();
        command.args(["bench", "store-worker", "--engine", engine, "--durability", &durability]);
        command.arg("--path").arg(path);
        command
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<Option<u64>> {
        disk::free_bytes(folder)
    }

    fn date(&self) -> String {
        let mut date = String::new();
        // Writing to a text does not fail; without a date the report is still one.
        let _ = SystemTime.format_time(&mut Writer::new(&mut date));
        date.split_once('.').map_or(date.clone(), |(seconds, _)| format!("{seconds}Z"))
    }
}

/// An engine as the comparison knows it.
pub(super) fn compared(engine: EmbeddedEngine) -> engines::Engine {
    engines::Engine { name: engine.name(), not_recommended: backend::not_recommended(engine) }
}
