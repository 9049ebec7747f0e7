//! What an operator sets: one table of settings, read from flags, environment, file and defaults into one typed
//! [`Config`], or refused with every fault at once.
//!
//! Nothing here opens a store, a socket or (but for the settings file, through a function that is passed in) a file.
//! A setting is one entry of `table.rs`: its field, variable, file key, flag, help, default and limits follow from it.

mod fault;
mod file;
mod peer_entry;
mod peers;
mod rules;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use fault::{Fault, Faults};
pub use file::{MAX_FILE_BYTES, read_file, read_text};
pub use peers::{MAX_PEERS, encode_peers};
pub use sources::Sources;
pub use table::{Config, SETTINGS, Setting};
pub use value::{Engine, Listen, LogFormat};

/// Where the value of a setting came from, the strongest source first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A flag of the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The TOML file.
    File,
    /// Nobody gave one.
    Default,
}

impl Config {
    /// Reads the settings, each from the strongest source that gives it.
    ///
    /// A value that a stronger source hides is checked all the same, so that it does not come out as a fault on the
    /// day on which the stronger one goes.
    ///
    /// # Errors
    /// All that is wrong in any source, and every contradiction among the settings that could be read. The caller
    /// prints it and exits with status 2.
    pub fn load(sources: &Sources<'_>) -> Result<Self, Faults> {
        let mut gathered = sources.gather();
        let config = Self::take(&mut gathered);
        let (unreadable, mut faults) = gathered.into_faults();
        if let Some(config) = &config {
            faults.extend(rules::broken(config, sources.engines, &unreadable));
        }
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(Faults::new(faults)),
        }
    }

    /// What can be run and is hardly what was meant: each a sentence for the operator.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        rules::doubts(self)
    }
}
