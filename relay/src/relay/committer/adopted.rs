//! Who has taken the place of an alias, for the messages that were routed just before.

use std::collections::BTreeMap;
use std::sync::Arc;

use slipstream_store::{Operation, PeerId, Route};

use super::Submission;

/// The peers that have taken the place of an alias since the start; at most one for each peer that is dialled.
///
/// A message that was routed to an alias may come to be committed after the alias has been adopted, when nobody is
/// remembered under the alias any more. It is owed to the peer.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    peers: BTreeMap<PeerId, PeerId>,
    /// The route that was looked at last, and what became of it. Neighbouring messages mostly share one.
    last: Option<(Arc<Route>, Arc<Route>)>,
}

impl Adopted {
    /// Looks at a submission on its way into a batch.
    pub(super) fn follow(&mut self, submission: &mut Submission) {
        match submission {
            Submission::Message(record, ..) if !self.peers.is_empty() => record.route = self.followed(&record.route),
            Submission::Apply(Operation::AdoptPeer { alias, peer }, _) => {
                self.last = None;
                self.peers.insert(alias.clone(), peer.id.clone());
            }
            Submission::Apply(Operation::RememberPeer(peer), _) => {
                // Somebody else has the alias for an id.
                self.last = None;
                self.peers.remove(&peer.id);
            }
            _ => {}
        }
    }

    /// The alias stays among the recipients: should the store have refused the adoption, it is still owed the message,
    /// and otherwise the store passes it over.
    fn followed(&mut self, route: &Arc<Route>) -> Arc<Route> {
        if let Some((seen, followed)) = &self.last
            && Arc::ptr_eq(seen, route)
        {
            return Arc::clone(followed);
        }
        let behind = route.recipients.iter().filter_map(|recipient| self.peers.get(recipient));
        let missing: Vec<PeerId> = behind.filter(|peer| !route.recipients.contains(peer)).cloned().collect();
        let followed = if missing.is_empty() {
            Arc::clone(route)
        } else {
            Arc::new(Route { recipients: [&*route.recipients, &missing].concat().into(), ..Route::clone(route) })
        };
        self.last = Some((Arc::clone(route), Arc::clone(&followed)));
        followed
    }
}
