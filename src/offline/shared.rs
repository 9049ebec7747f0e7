//! Work on a store that several processes share. Relays may have it open meanwhile.

use std::path::PathBuf;
use std::sync::Arc;

use slipstream_store::{Defect, Depth, MessageStore, Stats, StoreError};

use super::{OfflineError, Progress};
use crate::backend;
use crate::link::Secret;

/// How much is in the store with this URL.
///
/// # Errors
/// `Store`, with what the engine says; also if there is no store.
pub async fn shared_stats(url: &Secret) -> Result<Stats, OfflineError> {
    let place = place(url)?;
    let store = join(url, &place).await?;
    let stats = store.stats().await;
    leave(&*store).await;
    stats.map_err(|error| fault(&place, error))
}

/// Looks for contradictions in the store with this URL. Says where it is, too, for people.
///
/// # Errors
/// As [`shared_stats`].
pub async fn check_shared(
    url: &Secret,
    depth: Depth,
    progress: &dyn Progress,
) -> Result<(String, Vec<Defect>), OfflineError> {
    let place = place(url)?;
    progress.stage("opening", None);
    let store = join(url, &place).await?;
    progress.stage("checking", None);
    let defects = store.check(depth).await;
    leave(&*store).await;
    let defects = defects.map_err(|error| fault(&place, error))?;
    Ok((place, defects))
}

async fn join(url: &Secret, place: &str) -> Result<Arc<dyn MessageStore>, OfflineError> {
    backend::join(url).await.map_err(|error| fault(place, error))
}

/// Nothing was written that could be lost.
async fn leave(store: &dyn MessageStore) {
    drop(store.close().await);
}

/// Where the store with this URL is, for people.
pub(super) fn place(url: &Secret) -> Result<String, OfflineError> {
    backend::address(url).map_err(|error| fault("SLIPSTREAM_STORE_URL", error))
}

/// What is told of an error of the store at this place.
pub(super) fn fault(place: &str, error: StoreError) -> OfflineError {
    match error {
        StoreError::InUse(_) => OfflineError::InUse(PathBuf::from(place)),
        error => OfflineError::Store { path: PathBuf::from(place), error },
    }
}
