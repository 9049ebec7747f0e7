//! What this relay does as one of several processes that share a store, and together are one relay. With an exclusive store
//! none of it runs.
//!
//! | file | subject |
//! | --- | --- |
//! | `news` | takes in what the others did |
//! | `beats` | shows that this process lives, and shuts out those that do not |
//! | `standing` | whether the others may have taken this process for dead |

mod beats;
mod news;
mod standing;

use slipstream_store::{MessageStore, StoreError};

pub(super) use self::standing::Standing;
use super::peers::Registry;

/// Works until it is dropped, or the store fails for good. With an exclusive store there is nothing to do.
pub(super) async fn run<S: MessageStore + ?Sized>(registry: Registry<S>) -> Result<(), StoreError> {
    let store = std::sync::Arc::clone(&registry.core.store);
    let Some(shared) = store.shared() else { return std::future::pending().await };
    tokio::try_join!(news::hear(&registry, shared), beats::beat(&registry.core, shared)).map(drop)
}
