//! What the pages show, and where they get it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::FromRef;
use serde::Serialize;
use slipstream_store::MessageStore;
use tokio::sync::{Semaphore, watch};

use super::access::ApiAccess;
use super::api::Sweeps;
use super::backup::Backups;
use super::error::ApiError;
use super::live::Live;
use super::shared_page::SharedPage;
use crate::listen::Seldom;
use crate::logging::{SwitchChange, Switches};
use crate::relay::{Observer, Operator};

/// Whether the relay takes messages, and what its ACK is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Why it does not; it is ready where there is no reason.
    pub reasons: Vec<String>,
    /// Why a confirmed message is worth less than it could be, though it takes messages.
    pub degraded: Vec<String>,
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
    /// The relay, once its store is open.
    pub relay: Option<Running>,
    /// Who may use the API.
    pub api: ApiAccess,
}

/// A relay that runs, as the API sees it.
#[derive(Debug, Clone)]
pub struct Running {
    /// How it is seen.
    pub observer: Observer<dyn MessageStore>,
    /// How it is steered.
    pub operator: Operator<dyn MessageStore>,
    /// Makes backups of its store.
    pub backups: Backups,
    /// Goes through its dead letters.
    pub sweeps: Sweeps,
    /// Lets one at a time read what was exchanged with a peer.
    pub reconciling: Arc<Semaphore>,
    /// Where it takes links; `None` if it only dials.
    pub listen: Option<String>,
    /// Where its store is.
    pub store_place: String,
    /// When the process began.
    pub since: Instant,
}

impl Pages {
    /// The relay, if it runs yet.
    pub(super) fn running(&self) -> Result<&Running, ApiError> {
        self.relay.as_ref().ok_or_else(|| ApiError::unavailable("the store is being opened; ask again later"))
    }
}

/// The pages as they are at any time: there is more to show once the store is open.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) pages: watch::Receiver<Pages>,
    /// Decides which refused calls of the API are told.
    pub(super) refusals: Arc<Seldom>,
    /// What those are told who watch.
    pub(super) live: Arc<Live>,
}

impl FromRef<Shown> for Arc<Live> {
    fn from_ref(shown: &Shown) -> Self {
        Arc::clone(&shown.live)
    }
}

impl FromRef<Shown> for Pages {
    fn from_ref(shown: &Shown) -> Self {
        shown.pages.borrow().clone()
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}
