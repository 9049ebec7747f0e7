//! What must hold, whatever befalls the relay and its database.
//!
//! - **Nothing is lost.** What was confirmed comes to everyone that it is for.
//! - **Order.** For each receiver, the messages of a sender come for the first time in the order in which the sender made
//!   them. A sender that has several messages unconfirmed may get them accepted in another order if one is refused, or its
//!   link is lost: these alone may come late. A sender that waits for each confirm has no such excuse.
//! - **Once.** A message never comes twice on one link. It comes again on another link only unless its acknowledgement must
//!   be durable: that is so once the link on which it was sent has seen [`PROVES`] exchanges after it, each of a message
//!   and its confirm, for the acknowledgement was then in a commit that is durable. On a former link (below) it may come
//!   again all the same: a process that stood still sends what it had in memory, and what it wrote is on its way.
//! - **One link is served.** Once something has come on a link after another of the same application was served, the
//!   former link is a former one. Its relay may not know yet, and what it wrote may be on the way; but after it has run for
//!   [`LEARNS_WITHIN`], without the time that it was stopped, nothing comes on the former link. What comes until then keeps
//!   all of the above.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::awake::Awake;
use super::counts::Counts;
use super::receiver::{Arrival, Receiver};
use super::traffic::{Name, Traffic};

/// After how many exchanges an acknowledgement is durable. One would do, if each commit took all acknowledgements that
/// were read before its messages; it takes some hundreds.
const PROVES: u64 = 4;

/// How long a process that runs may take to learn that it serves a peer no longer: it is told so at once, it must have
/// noticed after 7 seconds that it cannot be told, and a machine may be slow.
const LEARNS_WITHIN: Duration = Duration::from_secs(30);

/// A link of an application: which application, and which of its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LinkName {
    pub(crate) application: usize,
    pub(crate) number: u64,
}

/// What is known, and what was violated.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) traffic: Traffic,
    pub(crate) awake: Arc<Awake>,
    /// Cancelled at the first violation.
    pub(crate) failed: CancellationToken,
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    links: HashMap<LinkName, Link>,
    counts: Counts,
    violations: Vec<String>,
}

#[derive(Debug, Default)]
struct Sender {
    /// How many messages it has made.
    made: u64,
    /// Those that may be accepted after later ones, and why.
    loose: HashMap<u64, Loose>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loose {
    Refused,
    LinkLost,
}

#[derive(Debug)]
struct Link {
    member: usize,
    served: bool,
    /// How long its process had been awake when a later link was served.
    former_since: Option<Duration>,
    /// The exchanges that are over, and the message whose confirm ends the next.
    exchanges: u64,
    exchange: Option<u64>,
}

impl Oracle {
    pub(crate) fn new(traffic: Traffic, awake: Arc<Awake>) -> Self {
        let of_each = |_| Receiver::new(traffic.applications);
        let facts = Facts {
            senders: (0..traffic.applications).map(|_| Sender::default()).collect(),
            receivers: (0..traffic.applications).map(of_each).collect(),
            ..Facts::default()
        };
        Self { traffic, awake, failed: CancellationToken::new(), facts: Mutex::new(facts) }
    }

    /// Something does not hold.
    pub(crate) fn violated(&self, what: &str) {
        self.facts.lock().violations.push(what.to_owned());
        self.failed.cancel();
    }

    /// What did not hold.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.facts.lock().violations.clone()
    }

    /// Counts something.
    pub(crate) fn count(&self, how: impl FnOnce(&mut Counts)) {
        how(&mut self.facts.lock().counts);
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> Counts {
        self.facts.lock().counts.clone()
    }

    /// An application has a new link.
    pub(crate) fn linked(&self, link: LinkName, member: usize) {
        let known = Link { member, served: false, former_since: None, exchanges: 0, exchange: None };
        let mut facts = self.facts.lock();
        facts.counts.links += 1;
        facts.links.insert(link, known);
    }

    /// A link has ended, or its application has let it go.
    pub(crate) fn ended(&self, link: LinkName, code: Option<u16>) {
        let mut facts = self.facts.lock();
        facts.links.remove(&link);
        facts.receivers[link.application].link_ended(link.number);
        if let Some(code) = code {
            *facts.counts.ends.entry(code).or_default() += 1;
        }
    }

    /// Whether a link was served: something came on it that shows that its process had claimed the application.
    pub(crate) fn is_served(&self, link: LinkName) -> bool {
        self.facts.lock().links.get(&link).is_some_and(|link| link.served)
    }

    /// An application sends a message on a link, for the first time or again.
    pub(crate) fn sending(&self, link: LinkName, number: u64) {
        let mut facts = self.facts.lock();
        let sender = &mut facts.senders[link.application];
        sender.made = sender.made.max(number + 1);
        if let Some(link) = facts.links.get_mut(&link) {
            link.exchange.get_or_insert(number);
        }
    }

    /// A message may be accepted after later ones of its sender from now on.
    pub(crate) fn loosened(&self, name: Name, why: Loose) {
        self.facts.lock().senders[name.sender].loose.entry(name.number).or_insert(why);
    }

    /// A message is confirmed. `first` says whether it is for the first time.
    pub(crate) fn confirmed(&self, link: LinkName, number: u64, first: bool) {
        let mut facts = self.facts.lock();
        facts.counts.confirmed += u64::from(first);
        self.serves(&mut facts, link);
        let Facts { links, receivers, .. } = &mut *facts;
        if let Some(known) = links.get_mut(&link)
            && known.exchange == Some(number)
        {
            known.exchange = None;
            known.exchanges += 1;
            receivers[link.application].proven(link.number, known.exchanges.saturating_sub(PROVES));
        }
    }

    /// A message comes to an application, which acknowledges it on the same link at once.
    pub(crate) fn arrived(&self, link: LinkName, name: Name) {
        let receiver = link.application;
        let mut facts = self.facts.lock();
        self.serves(&mut facts, link);
        facts.counts.delivered += 1;
        if name.sender >= facts.senders.len()
            || name.number >= facts.senders[name.sender].made
            || !self.traffic.goes_to(name, receiver)
        {
            return self.violates(facts, format!("{link} gets {name}, which is not for it"));
        }
        self.comes_in_time(&mut facts, link, name);
        let Facts { senders, receivers, links, counts, .. } = &mut *facts;
        let (exchanges, is_former) =
            links.get(&link).map_or((0, true), |link| (link.exchanges, link.former_since.is_some()));
        let is_expected = |number| self.traffic.goes_to(Name { number, ..name }, receiver);
        match receivers[receiver].takes(name, link.number, exchanges, is_expected) {
            Arrival::InOrder => {}
            Arrival::Late | Arrival::AgainAndLate => match senders[name.sender].loose.get(&name.number) {
                Some(Loose::Refused) => counts.late_after_refusal += 1,
                Some(Loose::LinkLost) => counts.late_after_lost_link += 1,
                None => self.violates(facts, format!("{link} gets {name} after later ones of its sender")),
            },
            Arrival::Again => counts.again += 1,
            Arrival::TwiceOnLink => self.violates(facts, format!("{link} gets {name} twice")),
            // A process that stood still sends what it had, and cannot know.
            Arrival::AgainThoughSettled if is_former => counts.again += 1,
            Arrival::AgainThoughSettled => {
                let what = format!("{link} gets {name} again, though its acknowledgement was durable");
                self.violates(facts, what);
            }
        }
    }

    /// Something came on a link that shows that it is served: all before it are former ones.
    fn serves(&self, facts: &mut Facts, link: LinkName) {
        match facts.links.get_mut(&link) {
            Some(known) if !known.served => known.served = true,
            _ => return,
        }
        for (name, former) in &mut facts.links {
            if name.application == link.application && name.number < link.number && former.served {
                former.former_since.get_or_insert_with(|| self.awake.time(former.member));
            }
        }
    }

    fn comes_in_time(&self, facts: &mut Facts, link: LinkName, name: Name) {
        let Some(Link { member, former_since: Some(since), .. }) = facts.links.get(&link) else { return };
        let late = self.awake.time(*member).saturating_sub(*since);
        facts.counts.on_former_links += 1;
        facts.counts.latest_on_former_link = facts.counts.latest_on_former_link.max(late);
        if late > LEARNS_WITHIN {
            let what = format!("{link} gets {name} {late:?} after a later link of the application was served");
            facts.violations.push(what);
            self.failed.cancel();
        }
    }

    /// Ends the run: the facts are of no use any more.
    fn violates(&self, mut facts: parking_lot::MutexGuard<'_, Facts>, what: String) {
        facts.violations.push(what);
        self.failed.cancel();
    }

    /// How many messages each application still misses of what was made.
    pub(crate) fn missing(&self) -> BTreeMap<usize, Vec<Name>> {
        let facts = self.facts.lock();
        let mut missing = BTreeMap::new();
        for (number, receiver) in facts.receivers.iter().enumerate() {
            let mut lacks = Vec::new();
            for (sender, known) in facts.senders.iter().enumerate() {
                lacks.extend(receiver.lacks(sender, known.made, |name| self.traffic.goes_to(name, number)));
            }
            if !lacks.is_empty() {
                missing.insert(number, lacks);
            }
        }
        missing
    }
}

impl std::fmt::Display for LinkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "app-{} (link {})", self.application, self.number)
    }
}
