//! Which of the processes that share a store serves a peer. With an exclusive store it is this one.

use slipstream_store::{MessageStore, Peer, StoreError};
use tracing::debug;

use super::dials::Dial;
use super::registry::Registry;

/// How often a claim is tried before the link is given up.
const TRIES: u32 = 3;

impl<S: MessageStore + ?Sized> Registry<S> {
    /// Has this process serve a peer, whoever did, from what the peer is owed now on. Its lock is held.
    pub(in crate::relay) async fn claim(&self, peer: &Peer) -> Result<(), StoreError> {
        let Some(shared) = self.core.store.shared() else { return Ok(()) };
        let mut failure = StoreError::Busy("the peer is forgotten again and again".to_owned());
        for _ in 0..TRIES {
            match shared.claim(&peer.id).await {
                Ok(Some(claimed)) => {
                    let lane = self.core.dispatcher.open_lane(&peer.id);
                    lane.recount(claimed.backlog, claimed.oldest);
                    lane.read_on();
                    return Ok(());
                }
                // Another process has just forgotten it.
                Ok(None) => self.put(peer.clone()).await?,
                Err(error @ (StoreError::Busy(_) | StoreError::Indeterminate(_))) => failure = error,
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    /// Whether this process is the one that dials a peer. Once it comes to be, it goes by what the one before found there.
    pub(super) async fn is_to_dial(&self, dial: &Dial) -> Result<bool, StoreError> {
        let Some(shared) = self.core.store.shared() else { return Ok(true) };
        let is_ours = shared.take_duty(&format!("dial {}", dial.configured.alias)).await?;
        if is_ours && !dial.is_ours() {
            dial.taken_over(&self.core.renew().await?);
        }
        Ok(is_ours)
    }

    /// The link of a peer has ended. Unless another one began here, the peer is not served.
    pub(in crate::relay) async fn release(&self, peer: &Peer) {
        let Some(shared) = self.core.store.shared() else { return };
        let _changing = self.core.changing.lock(&peer.id).await;
        if self.core.links.linked(&peer.id).is_none()
            && let Err(error) = shared.release(&peer.id).await
        {
            debug!(peer = %peer.id, %error, "a claim was not given back");
        }
    }
}
