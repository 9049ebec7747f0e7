//! A peer's lane: what is on its way to one peer. Pure: no clock, no I/O, no tokio.
//!
//! While its link is up a lane is *live* (it is handed each delivery as it is committed) or *behind* (its deliveries
//! come in pages from the store until it has reached the head). A lane that cannot take what it is handed falls
//! behind: a slow peer costs disk, never memory. What is sent again is read from the store again, for the same reason.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DeadLetter, DeadLetterCursor, Identity, Key, MessageId, Operation, Page, Peer, PeerId, PeerKind,
    Pending, Sequence, Timestamp,
};

use super::decided::Decided;
use super::late::LateAcks;
use super::poison::Suspicion;
use super::transit::{TOO_LARGE, Transit};
use crate::clock::Moment;
use crate::protocol::{self, Nack};
use crate::relay::settings::DeliveryRules;

/// A committed message on its way to its recipients, shared by all of them.
#[derive(Debug)]
pub(crate) struct Forward {
    /// Its place in commit order.
    pub(crate) sequence: Sequence,
    /// What is kept of it while it is in flight.
    pub(crate) metadata: Arc<Metadata>,
    /// `targetedInstances`: the only applications that it is for; empty means no such limit.
    pub(crate) instances: Box<[PeerId]>,
    /// When it loses its point.
    pub(crate) expires_at: Option<Timestamp>,
    /// The outgoing text.
    pub(crate) text: Bytes,
}

/// What is kept of a message for as long as it is in flight, once for all of its recipients: all but the text, which
/// can be read from the store again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// What the peer's ACK will name.
    pub(crate) identity: Identity,
    /// The key whose value it sets, if it sets one.
    pub(crate) sets: Option<Key>,
    /// When it was read from its sender, on the clock's own scale, where this process read it.
    pub(crate) read_at: Option<Duration>,
}

impl From<Pending> for Forward {
    fn from(pending: Pending) -> Self {
        let Pending { sequence, identity, message_type, key, expires_at, text, .. } = pending;
        let sets = key.filter(|_| protocol::sets_a_key(&message_type));
        let instances = protocol::targeted_instances(&text);
        let metadata = Arc::new(Metadata { identity, sets, read_at: None });
        Self { sequence, metadata, instances, expires_at, text }
    }
}

/// How a lane sends, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneLimits {
    /// When deliveries are sent, and sent again.
    pub(crate) rules: DeliveryRules,
    /// Most deliveries that wait in memory to be sent.
    pub(crate) queue_items: usize,
    /// Most bytes of them; one delivery may always wait.
    pub(crate) queue_bytes: usize,
    /// Most bytes that all lanes together hold before each keeps only its next delivery.
    pub(crate) total_bytes: usize,
}

impl LaneLimits {
    pub(super) fn window(&self) -> usize {
        usize::try_from(self.rules.window.get()).unwrap_or(usize::MAX)
    }
}

/// What goes over a link to its peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LinkTerms {
    /// The largest message that it takes, where it announced a limit.
    pub(crate) max_message_bytes: Option<u64>,
    /// Whether it gets, after being away, only the newest value of each key.
    pub(crate) coalesce: bool,
    /// Who it is, where it is an application. A relay gets whatever is held for it.
    pub(crate) application: Option<Arc<Addressee>>,
}

/// An application, as messages name it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Addressee {
    id: PeerId,
    /// The name under which it was held for until it said its id.
    alias: Option<PeerId>,
}

/// How many times the bytes that may be in flight to an application may be in flight to a relay.
const RELAY_WINDOW_FACTOR: usize = 16;

impl LinkTerms {
    /// Most bytes in flight to the peer; one message may always be.
    pub(super) fn window_bytes(&self, limits: &LaneLimits) -> usize {
        let bytes = limits.rules.window_bytes;
        if self.application.is_some() { bytes } else { bytes.saturating_mul(RELAY_WINDOW_FACTOR) }
    }

    /// The same, for this peer.
    pub(crate) fn with(self, peer: &Peer) -> Self {
        let addressee = || Arc::new(Addressee { id: peer.id.clone(), alias: peer.alias.clone() });
        Self { application: (peer.kind == PeerKind::Application).then(addressee), ..self }
    }

    /// Whether a delivery is one for this peer. It was routed before it was known that the peer is an application, or
    /// who it is, where it is not.
    pub(super) fn permit(&self, forward: &Forward) -> bool {
        let Some(Addressee { id, alias }) = self.application.as_deref() else { return true };
        let named = |instance: &PeerId| instance == id || Some(instance) == alias.as_ref();
        let is_meant = forward.instances.is_empty() || forward.instances.iter().any(named);
        // Only under an alias can a message have been held for the peer that sent it.
        is_meant && (alias.is_none() || !protocol::path(&forward.text).contains(id))
    }
}

/// What a lane asks of its surroundings after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// Something can be sent.
    pub(super) send: bool,
    /// A page of the store.
    pub(super) page: bool,
    /// A commit of what was decided.
    pub(super) commit: bool,
}

/// The reason of dead letters that their reader died of.
const POISON: &str = "poison";

/// What became of an answer of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// It is about this delivery in flight, whose message was read from its sender at that time, where that is known.
    InFlight(Option<Duration>),
    /// It is about a delivery that waits to be sent on this link: the peer got it on an earlier one.
    Early,
    /// Nothing of that id is in flight.
    NotInFlight,
}

/// A wish for a page, as of the moment when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// Where the page starts, exclusive.
    pub(super) after: Option<Sequence>,
    /// Most items that the lane takes.
    pub(super) items: usize,
    pub(super) purpose: Purpose,
    /// Which link of the lane wishes it.
    link: u64,
}

/// What a page is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be sent in turn. Counts what the lane was told of and skipped until then.
    Send { skips: u64 },
    /// To find what is in flight and is to be sent again.
    Resend,
    /// To find what is superseded before anything is sent.
    Coalesce,
}

/// The lane of one peer.
#[derive(Debug)]
pub(super) struct Lane {
    decided: Decided,
    /// The last of its oldest deliveries that were given up.
    given_up: Option<Sequence>,
    /// Given up when a link ended, until the store knows it.
    given_up_at_end: BTreeSet<Sequence>,
    suspicion: Option<Box<Suspicion>>,
    late: Option<Box<LateAcks>>,
    /// Counts the links, so that what one asked for is not given to the next.
    links: u64,
    transit: Option<Box<Transit>>,
}

/// How a link ended, as far as its deliveries are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkEnd {
    /// The peer closed it with 1009: something in flight was too large for it.
    TooLarge,
    /// In any other way.
    Lost,
}

impl Lane {
    pub(super) fn new(peer: PeerId) -> Self {
        Self {
            decided: Decided::new(peer),
            given_up: None,
            given_up_at_end: BTreeSet::new(),
            suspicion: None,
            late: None,
            links: 0,
            transit: None,
        }
    }

    /// A link begins, or begins anew: everything that is still owed is sent again, oldest first.
    pub(super) fn link_up(&mut self, terms: LinkTerms, now: Moment, limits: &LaneLimits) -> Wanted {
        self.links += 1;
        let hold_back = self.suspicion.as_ref().and_then(|suspicion| suspicion.next_link(limits.window()));
        self.transit = Some(Box::new(Transit::new(terms, self.given_up_at_end.clone(), hold_back, now.elapsed)));
        Wanted { page: true, ..Wanted::default() }
    }

    /// The link ended. What was decided still waits for its commit.
    pub(super) fn unlink(&mut self, end: LinkEnd, now: Moment) {
        let Some(mut transit) = self.transit.take() else { return };
        if end == LinkEnd::TooLarge
            && let Some(largest) = transit.window.largest().map(|flight| flight.sequence)
        {
            self.give_up_at_end(&mut transit, largest, TOO_LARGE, now);
            transit.has_settled = true;
        }
        let loss = transit.lost(now.elapsed);
        let mut suspicion = self.suspicion.take().unwrap_or_default();
        if let Some(poison) = suspicion.lost(loss, |sequence| transit.may_be_owed(sequence)) {
            self.give_up_at_end(&mut transit, poison, POISON, now);
        }
        self.suspicion = (!suspicion.is_idle()).then_some(suspicion);
    }

    fn give_up_at_end(&mut self, transit: &mut Transit, sequence: Sequence, reason: &str, now: Moment) {
        let attempts = transit.end(sequence, now.elapsed).map_or(0, |flight| flight.attempts);
        self.decided.give_up(sequence, reason.to_owned(), attempts, now.time);
        self.given_up_at_end.insert(sequence);
    }

    /// What was handed to the link until now has been taken by the operating system.
    pub(super) fn written(&mut self, now: Moment, limits: &LaneLimits) {
        if let Some(transit) = &mut self.transit {
            transit.written(now.elapsed, limits);
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.transit.as_ref().map_or(0, |transit| transit.in_flight())
    }

    /// Bytes that wait in memory to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.transit.as_ref().map_or(0, |transit| transit.queued_bytes())
    }

    /// Hands over a delivery that was just committed.
    pub(super) fn offer(&mut self, forward: &Arc<Forward>, limits: &LaneLimits) {
        if let Some(transit) = &mut self.transit {
            transit.offer(forward, limits);
        }
    }

    /// Something may have been committed for this peer that was never offered: read on from the store.
    pub(super) fn resync(&mut self) {
        if let Some(transit) = &mut self.transit {
            transit.fall_behind();
        }
    }

    /// What the lane wants to read next from the store, if anything.
    pub(super) fn wants_page(&self, limits: &LaneLimits) -> Option<PageRequest> {
        let (after, purpose) = self.transit.as_ref()?.wants_page(&self.decided, limits)?;
        Some(PageRequest { after, items: limits.queue_items, purpose, link: self.links })
    }

    /// Takes in the page that [`wants_page`](Self::wants_page) asked for.
    pub(super) fn load(&mut self, request: PageRequest, page: Page<Pending>, now: Moment) {
        if let Some(transit) = self.transit.as_mut().filter(|_| request.link == self.links) {
            transit.load(request, page, &mut self.decided, now);
        }
    }

    /// Takes the next delivery to send, which is in flight from now on. What must not be sent is settled instead.
    pub(super) fn next(&mut self, now: Moment, limits: &LaneLimits) -> Option<Arc<Forward>> {
        self.transit.as_mut()?.next(&mut self.decided, now, limits)
    }

    /// The peer acknowledges.
    pub(super) fn acknowledge(&mut self, id: &MessageId, group: Option<&ClusterGroup>, now: Moment) -> Answered {
        let Some(transit) = &mut self.transit else { return Answered::NotInFlight };
        let answered = transit.acknowledge(&mut self.decided, id, group, now);
        if answered == Answered::NotInFlight {
            self.late.get_or_insert_default().note(id, group);
        }
        answered
    }

    /// After which dead letter of the peer a page is wanted now, to find those that it has acknowledged after all.
    pub(super) fn wants_dead_letters(&mut self, now: Duration) -> Option<Option<DeadLetterCursor>> {
        // One that was given up just now is to be found, too.
        if !self.decided.is_settled() {
            return None;
        }
        self.late.as_mut()?.wants_page(now)
    }

    /// Takes in the page that [`wants_dead_letters`](Self::wants_dead_letters) asked for.
    pub(super) fn load_dead_letters(&mut self, page: Page<DeadLetter>, now: Moment) {
        if let Some(late) = &mut self.late {
            late.load(page, &mut self.decided, now);
        }
        if self.late.as_ref().is_some_and(|late| late.wakes_at().is_none()) {
            self.late = None;
        }
    }

    /// The peer refuses, for now or for good.
    pub(super) fn refuse(&mut self, nack: &Nack, now: Moment, limits: &LaneLimits) -> Answered {
        match &mut self.transit {
            Some(transit) => transit.refuse(&mut self.decided, nack, now, limits),
            None => Answered::NotInFlight,
        }
    }

    /// Time goes by.
    pub(super) fn tick(&mut self, now: Moment, limits: &LaneLimits) {
        if let Some(transit) = &mut self.transit {
            transit.tick(&mut self.decided, now, limits);
        }
    }

    /// When [`tick`](Self::tick) is wanted next, on the clock's own scale.
    pub(super) fn wakes_at(&self) -> Option<Duration> {
        let late = self.late.as_ref().filter(|_| self.decided.is_settled()).and_then(|late| late.wakes_at());
        self.transit.as_ref()?.wakes_at().into_iter().chain(late).min()
    }

    /// Gives deliveries up, the oldest that are owed, each with its attempts. Answers whether there was one that was not
    /// given up before: until the store has taken that in, it shows them still.
    pub(super) fn give_up(
        &mut self,
        oldest: impl IntoIterator<Item = (Sequence, u32)>,
        reason: &str,
        now: Moment,
    ) -> bool {
        let before = self.given_up;
        for (sequence, attempts) in oldest.into_iter().filter(|(sequence, _)| Some(*sequence) > before) {
            self.given_up = Some(sequence);
            if let Some(transit) = &mut self.transit {
                transit.skip(sequence, now.elapsed);
            }
            self.decided.give_up(sequence, reason.to_owned(), attempts, now.time);
        }
        self.given_up > before
    }

    /// A delivery was settled elsewhere.
    pub(super) fn settled(&mut self, sequence: Sequence, now: Moment) {
        if let Some(transit) = &mut self.transit {
            transit.end(sequence, now.elapsed);
            transit.isolate(now.elapsed);
        }
    }

    /// Whether the store knows all that was decided.
    pub(super) fn is_settled(&self) -> bool {
        self.decided.is_settled()
    }

    /// Moves what was decided, the oldest `most` of it, to `operations`.
    pub(super) fn take_decided(&mut self, operations: &mut Vec<Operation>, most: usize) {
        self.decided.take(operations, most);
    }

    /// The commit of this many decisions has ended.
    pub(super) fn committed(&mut self, operations: usize) {
        self.decided.committed(operations);
        if self.decided.is_settled() {
            self.given_up_at_end.clear();
        }
    }

    pub(super) fn wanted(&self, limits: &LaneLimits) -> Wanted {
        Wanted {
            send: !self.decided.is_full() && self.transit.as_ref().is_some_and(|transit| transit.can_send(limits)),
            page: self.wants_page(limits).is_some(),
            commit: self.decided.is_waiting(),
        }
    }
}

#[cfg(test)]
mod tests;
