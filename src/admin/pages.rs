//! What the pages show, and where they get it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::access::ApiAccess;
use super::backup::Backups;
use super::shared_page::SharedPage;
use crate::logging::{SwitchChange, Switches};

/// Whether the relay takes messages, and what its ACK is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Why it does not; it is ready where there is no reason.
    pub reasons: Vec<String>,
    /// The dialled peers that do not answer for so long that their circuit is open. They make nothing unready: others
    /// are served, and what these are owed is kept.
    pub open_circuits: Vec<String>,
    /// The engine of the store.
    pub store: String,
    /// The guarantee in force, as a sentence. None is while the store is being opened.
    pub guarantee: Option<String>,
}

impl Readiness {
    /// Whether the relay takes messages.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Where the pages get what they show. Everything except the metrics page is there at once.
#[derive(Clone)]
pub struct Pages {
    /// The metrics page.
    pub metrics: SharedPage,
    /// Tells how the relay is.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Changes what is logged, where it is asked to, and tells what is logged then, or in words why that failed.
    pub logging: Arc<dyn Fn(SwitchChange) -> Result<Switches, String> + Send + Sync>,
    /// Makes backups of the store, once it is open.
    pub backups: Option<Backups>,
    /// Who may use the API.
    pub api: ApiAccess,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}
