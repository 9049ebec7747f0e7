//! What an operator sets: one table of settings, read from flags, environment, file and defaults into one typed
//! [`Config`], or refused with every fault at once.
//!
//! Nothing here opens a store, a socket or (but for the settings file, through a function that is passed in) a file.
//! A setting is one entry of `table.rs`: its field, variable, file key, flag, help, default and limits follow from it.

mod auth_file;
mod discreet;
mod engine;
mod fault;
mod file;
mod gathered;
mod lists;
mod names;
mod nearest;
mod rules;
mod setting;
mod sources;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod value;
mod warnings;

use self::table::{SUBSCRIBERS, URL_CONFIG};
use crate::dial::DialledPeer;
use crate::relay::Subscriber;

pub use auth_file::{MAX_CREDENTIALS, read_credentials};
pub(crate) use discreet::url as discreet_url;
pub(crate) use engine::embedded_engine;
pub use engine::{EmbeddedEngine, Engine};
pub use fault::{Fault, Faults};
pub use lists::{MAX_PEERS, MAX_SUBSCRIBERS, encode_peers};
pub(crate) use names::{ADMIN_TOKEN, ADMIN_URL, ADMIN_URLS, RELAY_URL, TOKEN};
pub use setting::{Effective, Origin, Setting};
pub use sources::Sources;
pub use store::StoreConfig;
pub use table::{Config, SETTINGS};
pub use text::{MAX_FILE_BYTES, read_file, read_text};
pub use value::{Listen, LogFormat, Required};
pub(crate) use value::{MAX_NAME, MAX_TOKEN, durability, duration, is_credential_name, token};

/// What the sources say, whether or not it can be run.
#[derive(Debug)]
pub struct Inspection {
    /// What each setting comes to, in the order of the table.
    pub settings: Vec<Effective>,
    /// The peers to dial; none where the strongest source that gives them has a fault.
    pub peers: Vec<DialledPeer>,
    /// The subscribers; likewise.
    pub subscribers: Vec<Subscriber>,
    /// The configuration to run, or all that is wrong.
    pub outcome: Result<Config, Faults>,
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
        Self::inspect(sources).outcome
    }

    /// Reads the settings as [`load`](Self::load) does, and tells what each comes to also where there are faults.
    #[must_use]
    pub fn inspect(sources: &Sources<'_>) -> Inspection {
        let mut gathered = sources.gather();
        let config = Self::take(&mut gathered);
        let settings = SETTINGS.iter().map(|setting| gathered.effective(setting)).collect();
        let is_whole = |setting| gathered.effective(setting).value.is_some();
        let peers = config.as_ref().filter(|_| is_whole(&URL_CONFIG)).map(|config| config.peers.clone());
        let subscribers = config.as_ref().filter(|_| is_whole(&SUBSCRIBERS)).map(|config| config.subscribers.clone());
        let (unreadable, mut faults) = gathered.into_faults();
        if let Some(config) = &config {
            faults.extend(rules::broken(config, sources.engines, &unreadable));
        }
        let outcome = match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(Faults::new(faults)),
        };
        let (peers, subscribers) = (peers.unwrap_or_default(), subscribers.unwrap_or_default());
        Inspection { settings, peers, subscribers, outcome }
    }

    /// What can be run and is hardly what was meant: each a sentence for the operator.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        warnings::warnings(self)
    }
}
