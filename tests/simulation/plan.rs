//! What a simulation is made of: who takes part, how they are joined, how they behave and what befalls them.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use slipstream::Settings;
use slipstream::listen::Listener;
use slipstream::relay::{BacklogLimit, BacklogPolicy};
use slipstream::store::{MessageStore, PeerId, Tag};

use crate::application::{Sent, Temper, Topics};
use crate::network::Weather;

/// A whole simulation.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) relays: Vec<RelayPlan>,
    pub(crate) applications: Vec<ApplicationPlan>,
    pub(crate) weather: Weather,
    /// What all relays are told, but for their ids and whom they dial.
    pub(crate) settings: Settings,
    /// How long applications write, and faults happen.
    pub(crate) traffic: Duration,
    pub(crate) faults: FaultPlan,
    /// Within which time after that everything must have settled.
    pub(crate) settles_within: Duration,
    pub(crate) breakage: Breakage,
}

#[derive(Debug, Clone)]
pub(crate) struct RelayPlan {
    pub(crate) id: PeerId,
    /// The machines that it runs on. On several it is several processes that share a store.
    pub(crate) hosts: Vec<PeerId>,
    /// The relays that it dials, by their index.
    pub(crate) dials: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct ApplicationPlan {
    pub(crate) id: PeerId,
    /// The relay that it links to, by its index.
    pub(crate) home: usize,
    pub(crate) tags: Vec<Tag>,
    /// Whether it names itself and keeps what is unconfirmed.
    pub(crate) durable: bool,
    pub(crate) takes_batches: bool,
    pub(crate) topics: Topics,
    pub(crate) temper: Temper,
    pub(crate) seed: u64,
}

/// What is wrong with the relays, on purpose, to see an invariant bite.
#[derive(Clone)]
pub(crate) struct Breakage {
    pub(crate) store: fn(Arc<dyn MessageStore>) -> Arc<dyn MessageStore>,
    pub(crate) listener: fn(Box<dyn Listener>) -> Box<dyn Listener>,
    /// Every that many commits the disk really syncs. 1 is right.
    pub(crate) syncs_every: u64,
}

impl Default for Breakage {
    fn default() -> Self {
        Self { store: |store| store, listener: |listener| listener, syncs_every: 1 }
    }
}

impl fmt::Debug for Breakage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakage").field("syncs_every", &self.syncs_every).finish_non_exhaustive()
    }
}

impl Plan {
    /// The relays that one relay is joined with.
    pub(crate) fn neighbours<'p>(&'p self, relay: &'p PeerId) -> impl Iterator<Item = &'p PeerId> {
        self.relays.iter().map(|other| &other.id).filter(move |id| self.are_neighbours(id.as_str(), relay.as_str()))
    }

    /// The machines that a relay runs on.
    pub(crate) fn hosts_of<'p>(&'p self, relay: &PeerId) -> impl Iterator<Item = &'p PeerId> + use<'p> {
        let relay = self.relays.iter().find(|it| it.id == *relay);
        relay.into_iter().flat_map(|relay| &relay.hosts)
    }

    pub(crate) fn are_neighbours(&self, one: &str, other: &str) -> bool {
        let dials = |from: &str, to: &str| {
            let from = self.relays.iter().find(|relay| relay.id.as_str() == from);
            from.is_some_and(|from| from.dials.iter().any(|index| self.relays[*index].id.as_str() == to))
        };
        dials(one, other) || dials(other, one)
    }

    /// Every tag that an application has.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.applications.iter().flat_map(|application| application.tags.clone()).collect();
        tags.sort();
        tags.dedup();
        tags
    }
}

impl Plan {
    /// A mesh of that many relays, each pair `(from, to)` dialled by the first, on a calm network without faults. Each
    /// relay has an application; a relay that is alone has three.
    pub(crate) fn mesh(relays: usize, joins: &[(usize, usize)]) -> Self {
        let id = |name: String| PeerId::new(name).expect("a valid id");
        let relay = |index| RelayPlan {
            id: id(format!("relay-{index}")),
            hosts: vec![id(format!("relay-{index}"))],
            dials: joins.iter().filter(|(from, _)| *from == index).map(|(_, to)| *to).collect(),
        };
        let applications = if relays == 1 { 3 } else { relays };
        let application = |index: usize| ApplicationPlan {
            id: id(format!("app-{index}")),
            home: index % relays,
            tags: Vec::new(),
            durable: true,
            takes_batches: index.is_multiple_of(2),
            topics: Topics::events(Duration::from_millis(500)),
            temper: Temper::prompt(),
            seed: index as u64,
        };
        Self {
            relays: (0..relays).map(relay).collect(),
            applications: (0..applications).map(application).collect(),
            weather: Weather::calm(),
            settings: Settings::default(),
            traffic: Duration::from_secs(60),
            faults: FaultPlan::none(),
            settles_within: Duration::from_secs(900),
            breakage: Breakage::default(),
        }
    }

    /// The same with each relay as so many processes that share a store.
    pub(crate) fn on_several_machines(mut self, machines: usize) -> Self {
        for relay in &mut self.relays {
            let host = |number| PeerId::new(format!("{}-{number}", relay.id)).expect("a valid id");
            relay.hosts = (0..machines).map(host).collect();
        }
        self
    }

    /// The same with faults, of these kinds.
    pub(crate) fn with_faults(self, kinds: &[Fault]) -> Self {
        let faults = FaultPlan { kinds: kinds.to_vec(), every: Duration::from_secs(4), lasts: Duration::from_secs(20) };
        Self { faults, ..self }
    }

    /// The same with applications that pause so long between two messages, on average.
    pub(crate) fn with_pause(mut self, pause: Duration) -> Self {
        self.applications.iter_mut().for_each(|it| it.topics = Topics::events(pause));
        self
    }

    /// The same with applications that write about a few keys, to some of the others, and that answer late, lose
    /// their answers, refuse, or never answer.
    pub(crate) fn with_moods(mut self) -> Self {
        for (index, application) in self.applications.iter_mut().enumerate() {
            application.tags = vec![Tag::new(format!("tag-{}", index % 2)).expect("a valid tag")];
            application.temper = Temper::moody();
            let Topics { every, .. } = application.topics;
            application.topics = Topics { every, ..Topics::mixed() };
        }
        // Some wait for a second or third link, and one that is never answered doubles its timeout until it is given up.
        self.settles_within *= 3;
        self
    }

    /// The same with an application that dies of a message of the first one.
    pub(crate) fn with_a_poison(mut self, number: u64) -> Self {
        let poison = Sent::identity(&self.applications[0].id, number);
        if let Some(last) = self.applications.last_mut() {
            last.temper.dies_of = Some(poison);
        }
        self
    }

    /// The same with relays that refuse applications where a peer is owed so much.
    pub(crate) fn with_backlog_limit(mut self, deliveries: NonZeroU64) -> Self {
        self.settings.backlog = Some(BacklogLimit { deliveries, policy: BacklogPolicy::Reject });
        self
    }

    /// The same with a last application that names no id: it gets what comes while it is linked, and keeps nothing.
    pub(crate) fn with_an_anonymous_one(mut self) -> Self {
        if let Some(last) = self.applications.last_mut() {
            last.durable = false;
        }
        self
    }
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A connection is reset; both ends learn of it.
    Reset,
    /// A connection is dead, in one direction or both, and neither end learns of it.
    Sever,
    /// Two hosts do not reach each other for a while, in one direction or both. What was sent comes late.
    Cut,
    /// A route is slow and loses much for a while.
    Storm,
    /// A relay is killed, or its machine.
    RelayCrash,
    /// A relay is asked to end, and started again.
    RelayRestart,
    /// An application is killed.
    ApplicationCrash,
    /// A disk is slow, busy, full, or does not say whether it committed.
    Disk,
    /// A disk fails for good; the relay must be started again.
    DiskFailure,
    /// A machine's clock is set.
    ClockJump,
    /// A process stands still at each call of its store for a while, as one that was stopped.
    Pause,
    /// A shared store is out of reach for a while, of one process or of all, as while its database fails over.
    Away,
}

impl Fault {
    /// Everything that may befall a relay that has its store for itself.
    pub(crate) const ALL: [Self; 10] = [
        Self::Reset,
        Self::Sever,
        Self::Cut,
        Self::Storm,
        Self::RelayCrash,
        Self::RelayRestart,
        Self::ApplicationCrash,
        Self::Disk,
        Self::DiskFailure,
        Self::ClockJump,
    ];

    /// Everything that may befall processes that share a store. The store itself does not fail for good.
    pub(crate) const SHARING: [Self; 9] = [
        Self::Reset,
        Self::Sever,
        Self::Cut,
        Self::Storm,
        Self::RelayCrash,
        Self::RelayRestart,
        Self::ApplicationCrash,
        Self::Disk,
        Self::Pause,
    ];

    /// What befalls them while the store itself comes and goes.
    pub(crate) const FAILING_OVER: [Self; 7] =
        [Self::Reset, Self::Cut, Self::RelayCrash, Self::RelayRestart, Self::ApplicationCrash, Self::Away, Self::Away];
}

/// Which faults happen, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FaultPlan {
    pub(crate) kinds: Vec<Fault>,
    /// The pause between two faults is up to twice this.
    pub(crate) every: Duration,
    /// How long one that lasts does at most.
    pub(crate) lasts: Duration,
}

impl FaultPlan {
    pub(crate) fn none() -> Self {
        Self { kinds: Vec::new(), every: Duration::from_secs(1), lasts: Duration::from_secs(1) }
    }

    pub(crate) fn hurt_disks(&self) -> bool {
        self.kinds.iter().any(|kind| matches!(kind, Fault::Disk | Fault::DiskFailure))
    }
}
