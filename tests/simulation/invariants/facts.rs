//! What the oracle knows.

use std::collections::{BTreeMap, BTreeSet};

use slipstream::store::{Identity, Key, PeerId, Sequence, Tag, Timestamp};
use tokio::time::Instant;

use crate::application::Sent;
use crate::clock::MachineClock;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) applications: BTreeMap<PeerId, Application>,
    pub(super) relays: BTreeMap<PeerId, Relay>,
    pub(super) messages: BTreeMap<Identity, Message>,
}

impl Facts {
    /// Whether something holds of the application that a relay knows under this id: of one of the anonymous ones,
    /// where it is an id that the relay gave.
    pub(super) fn holds_of(&self, peer: &PeerId, holds: impl Fn(&Application) -> bool) -> bool {
        match self.applications.get(peer) {
            Some(application) => holds(application),
            None => self.applications.values().any(|application| !application.durable && holds(application)),
        }
    }

    /// When a message expires, and whether this relay may have taken it for expired by now.
    pub(super) fn expiry(&self, world: &World, relay: &PeerId, identity: &Identity) -> (Option<Timestamp>, bool) {
        let due = self.messages.get(identity).and_then(|message| message.sent.expires_at);
        (due, due.is_some_and(|due| due <= self.relays[relay].clock.latest(world)))
    }
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) sent: Sent,
    /// When it was first sent.
    pub(super) first_sent: Instant,
    /// The links it was sent on and its place on each, where it was not refused there.
    pub(super) sends: BTreeSet<(u64, u64)>,
    pub(super) confirmed: bool,
    /// The durable applications that must get it.
    pub(super) expected: BTreeSet<PeerId>,
}

#[derive(Debug)]
pub(super) struct Application {
    pub(super) durable: bool,
    pub(super) home: PeerId,
    pub(super) tags: Vec<Tag>,
    /// Whether its relay has ever welcomed it.
    pub(super) remembered: bool,
    pub(super) link: u64,
    pub(super) link_began: Instant,
    /// What came on this link and was not answered.
    pub(super) unanswered: BTreeSet<Identity>,
    pub(super) received: BTreeMap<Identity, Received>,
    pub(super) received_again: u64,
    /// The largest sequence that came for the first time.
    pub(super) newest: Option<Sequence>,
    pub(super) acknowledged: BTreeSet<Identity>,
    /// Refused for good.
    pub(super) rejected: BTreeSet<Identity>,
    /// Not answered at least once, on purpose.
    pub(super) withheld: BTreeSet<Identity>,
    /// How many messages it has sent on its link.
    pub(super) sent_on_link: u64,
    /// The newest value of each key that came on this link.
    pub(super) newest_on_link: BTreeMap<Key, Sequence>,
    /// The value of each key that it handled last, and the newest that it ever handled. It remembers nothing, so each
    /// time that a value comes it is handled.
    pub(super) handled: BTreeMap<Key, Handled>,
    /// How many links it has lost since its relay last counted an acknowledgement of it.
    pub(super) lost_links: u32,
    /// After several such links the relay holds the oldest deliveries back, so that newer ones overtake them: those up to
    /// this one may come late.
    pub(super) held_through: Option<Sequence>,
    /// It died of these.
    pub(super) died_of: BTreeSet<Identity>,
}

/// What an application handled of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handled {
    pub(super) last: Sequence,
    pub(super) newest: Sequence,
}

impl Default for Application {
    fn default() -> Self {
        Self {
            durable: false,
            home: PeerId::new("none").expect("a valid id"),
            tags: Vec::new(),
            remembered: false,
            link: 0,
            link_began: Instant::now(),
            unanswered: BTreeSet::new(),
            received: BTreeMap::new(),
            received_again: 0,
            newest: None,
            acknowledged: BTreeSet::new(),
            rejected: BTreeSet::new(),
            withheld: BTreeSet::new(),
            sent_on_link: 0,
            newest_on_link: BTreeMap::new(),
            handled: BTreeMap::new(),
            lost_links: 0,
            held_through: None,
            died_of: BTreeSet::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) last: Instant,
    pub(super) link: u64,
    pub(super) times: u32,
}

#[derive(Debug, Default)]
pub(super) struct Relay {
    pub(super) recorded: BTreeMap<Identity, Sequence>,
    pub(super) by_sequence: BTreeMap<Sequence, Identity>,
    /// What another relay was told is here.
    pub(super) handed_over: BTreeSet<Identity>,
    /// The newest value of a key that a peer has acknowledged, and when that was committed.
    pub(super) newest_of_key: BTreeMap<(PeerId, Key), (Sequence, Instant)>,
    /// The link and the place on it of the last message that was recorded from an application.
    pub(super) last_from: BTreeMap<PeerId, (u64, u64)>,
    pub(super) ended: BTreeMap<&'static str, u64>,
    /// The clock of its machine.
    pub(super) clock: MachineClock,
    /// The deliveries that ended without an acknowledgement: expired or given up.
    pub(super) dropped: BTreeSet<(PeerId, Sequence)>,
}
