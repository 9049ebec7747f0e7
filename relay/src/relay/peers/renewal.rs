//! The peers as other processes that share the store have made them.

use slipstream_store::{MessageStore, Result, Roster};

use super::topology::SharedTopology;
use crate::relay::dispatcher::Dispatcher;

/// Reads the roster, and has routers and lanes go by it.
///
/// # Errors
/// As [`MessageStore::roster`]; nothing was changed then.
pub(in crate::relay) async fn renew<S: MessageStore + ?Sized>(
    store: &S,
    topology: &SharedTopology,
    dispatcher: &Dispatcher,
) -> Result<Roster> {
    let since = topology.load().version;
    let roster = store.roster().await?;
    dispatcher.renew(&roster);
    // Nobody forgets a peer that has a link here: it is claimed.
    for gone in topology.renew(since, &roster) {
        dispatcher.close_lane(&gone);
    }
    Ok(roster)
}
