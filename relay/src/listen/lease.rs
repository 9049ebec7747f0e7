//! How long what an authorizer said of a peer holds.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Holds until whoever gave it ends it. Clones are handles of the same lease.
#[derive(Debug, Clone, Default)]
pub struct Lease(Arc<State>);

#[derive(Debug, Default)]
struct State {
    ended: CancellationToken,
    why: OnceLock<&'static str>,
}

impl Lease {
    /// A lease that runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends it, and with it every link that runs on it. `why` is for the peer and the log: at most 123 bytes, and no
    /// secret. Only the first end counts.
    pub fn end(&self, why: &'static str) {
        let _ = self.0.why.set(why);
        self.0.ended.cancel();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.ended.is_cancelled()
    }

    /// Returns when it has ended, and why.
    pub async fn ended(&self) -> &'static str {
        self.0.ended.cancelled().await;
        self.0.why.get().copied().unwrap_or_default()
    }
}
