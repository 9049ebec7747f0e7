//! Decides to whom a message goes. One router serves one link; it does no I/O and imports no tokio.

use std::sync::Arc;

use slipstream_store::{PeerId, RosterVersion, Route, Tag};

use super::peers::{SharedTopology, Target};

/// Makes routes for the messages of one sender.
///
/// Neighbouring messages mostly go the same way, so the last route is kept and shared while it still holds.
#[derive(Debug)]
pub(super) struct Router {
    topology: Arc<SharedTopology>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    version: u64,
    came_by: Box<[PeerId]>,
    tags: Box<[Tag]>,
    instances: Box<[PeerId]>,
    route: Arc<Route>,
    roster: RosterVersion,
}

impl Router {
    pub(super) fn new(topology: Arc<SharedTopology>) -> Self {
        Self { topology, last: None }
    }

    /// The route of a message with this target, and the roster that it goes by; `outgoing_path` makes its path as it goes
    /// out.
    pub(super) fn route(
        &mut self,
        target: Target<'_>,
        outgoing_path: impl FnOnce() -> Box<[PeerId]>,
    ) -> (Arc<Route>, RosterVersion) {
        let topology = self.topology.load();
        if let Some(last) = &self.last
            && last.version == topology.version
            && *last.tags == *target.tags
            && *last.instances == *target.instances
            && *last.came_by == *target.path
        {
            return (Arc::clone(&last.route), last.roster);
        }
        let route = Arc::new(Route {
            received_from: target.sender.clone(),
            path: outgoing_path(),
            recipients: topology.recipients(target),
        });
        self.last = Some(Last {
            version: topology.version,
            came_by: target.path.into(),
            tags: target.tags.into(),
            instances: target.instances.into(),
            route: Arc::clone(&route),
            roster: topology.roster,
        });
        (route, topology.roster)
    }
}

#[cfg(test)]
mod tests {
    use slipstream_store::{ClusterGroup, Peer, PeerKind, Timestamp};

    use super::*;

    #[test]
    fn a_route_is_shared_until_the_target_or_the_topology_changes() {
        let id = |text: &str| PeerId::new(text).unwrap();
        let peer = |name: &str| Peer {
            id: id(name),
            kind: PeerKind::Application,
            group: ClusterGroup::singleton(),
            tags: Arc::from([Tag::new("t").unwrap()]),
            durable: true,
            last_seen: Timestamp::ZERO,
            alias: None,
            paused: false,
        };
        let topology = Arc::new(SharedTopology::default());
        topology.put([peer("a"), peer("b")]);
        let mut router = Router::new(Arc::clone(&topology));
        let sender = id("a");
        let mut route = |tags: &[Tag], path: &[PeerId]| {
            let target = Target { sender: &sender, path, tags, instances: &[] };
            router.route(target, || Box::new([id("a"), id("relay")])).0
        };
        let first = route(&[], &[]);
        assert_eq!(*first.recipients, [id("b")]);
        assert!(Arc::ptr_eq(&first, &route(&[], &[])));
        assert_eq!(*route(&[], &[id("b")]).recipients, []);
        assert_eq!(*route(&[Tag::new("other").unwrap()], &[]).recipients, []);
        topology.put([peer("c")]);
        assert_eq!(*route(&[], &[]).recipients, [id("b"), id("c")]);
    }
}
