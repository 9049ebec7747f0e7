//! How long a look at the relay waits for the store.

use std::time::Duration;

use slipstream_store::{Result, StoreError};
use tokio::time::{Instant, timeout_at};

/// How long a look waits for the store.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the store tells soon.
pub(super) async fn soon<T>(read: impl Future<Output = Result<T>>) -> Result<T> {
    within(Some(deadline()), read).await
}

/// Until when a look that begins now waits for the store.
pub(super) fn deadline() -> Instant {
    Instant::now() + STORE_TIMEOUT
}

/// What the store tells until the deadline.
pub(super) async fn within<T>(deadline: Option<Instant>, read: impl Future<Output = Result<T>>) -> Result<T> {
    match deadline {
        None => read.await,
        Some(deadline) => timeout_at(deadline, read)
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the store does not answer".to_owned()))),
    }
}
