//! What is on its way over one link: waiting to be sent, in flight, to be sent again. Pure.
//!
//! Here is what needs no decision. What ends in one is in `sending`, `reading` and `answers`; what is held back from a peer
//! that may die of it in `isolation`.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{ClusterGroup, Identity, Key, MessageId, Page, Pending, Sequence};

use super::coalesce::{Coalescing, Segment};
use super::forward::Forward;
use super::in_flight::{Delivery, DeliveryState, InFlight};
use super::poison::HoldBack;
use super::redelivery::Hold;
use super::terms::{LaneLimits, LinkTerms};
use crate::clock::Moment;

/// A delivery that waits to be sent.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) forward: Arc<Forward>,
    /// How often it was republished.
    pub(super) attempts: u32,
}

/// A page that is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// Where the page starts, exclusive.
    pub(super) after: Option<Sequence>,
    /// Most items that the lane takes.
    pub(super) items: usize,
    pub(super) purpose: Purpose,
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

/// What is on its way over the link that a lane has, or over the next one.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) terms: LinkTerms,
    /// The last delivery that was queued on this link.
    pub(super) through: Option<Sequence>,
    pub(super) behind: bool,
    /// Counts what the lane was told of and did not queue, so that a page that was read before it is not taken for
    /// the head.
    pub(super) skips: u64,
    pub(super) coalescing: Option<Coalescing>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) queue_bytes: usize,
    pub(super) in_flight: InFlight,
    /// Read from the store again, to be sent again. Each is in flight, and the hold, if there is one, permits it: what
    /// may not go out must not take the room of what may.
    pub(super) resends: BTreeMap<Sequence, Arc<Forward>>,
    pub(super) resend_bytes: usize,
    pub(super) hold: Option<Hold>,
    /// Acknowledged on this link before they were read for it: the peer got them on an earlier one.
    pub(super) early: HashSet<(MessageId, Option<ClusterGroup>)>,
    /// The keys of the values that were sent on this link, while some are not that were sent on an earlier one. A newer
    /// value that the peer acknowledges early is sent after them all the same, so that it stays the newest.
    pub(super) sent_keys: Option<HashSet<Key>>,
    /// How many deliveries were sent on this link, up to the window.
    pub(super) sent: usize,
    /// Settled before the link began, while the store did not know it yet.
    pub(super) settled_before: BTreeSet<Sequence>,
    pub(super) hold_back: Option<HoldBack>,
    /// When the link began, or its first delivery was sent, on the clock's own scale.
    pub(super) lives_since: Duration,
    pub(super) has_sent: bool,
    /// Whether the peer has settled anything on this link.
    pub(super) has_settled: bool,
}

impl Default for LinkState {
    /// No link.
    fn default() -> Self {
        Self::new(LinkTerms::default(), BTreeSet::new(), None, Duration::ZERO)
    }
}

impl LinkState {
    /// A link begins; nothing was read for it yet.
    pub(super) fn new(
        terms: LinkTerms,
        settled_before: BTreeSet<Sequence>,
        hold_back: Option<HoldBack>,
        now: Duration,
    ) -> Self {
        Self {
            through: None,
            behind: true,
            skips: 0,
            coalescing: terms.coalesce.then(|| Coalescing::Reading(Segment::default())),
            terms,
            queue: VecDeque::new(),
            queue_bytes: 0,
            in_flight: InFlight::default(),
            resends: BTreeMap::new(),
            resend_bytes: 0,
            hold: None,
            early: HashSet::new(),
            sent_keys: Some(HashSet::new()),
            sent: 0,
            settled_before,
            hold_back,
            lives_since: now,
            has_sent: false,
            has_settled: false,
        }
    }

    /// Whether a delivery may be owed still, as far as this link knows.
    pub(super) fn may_be_owed(&self, sequence: Sequence) -> bool {
        Some(sequence) > self.through || self.in_flight.get(sequence).is_some()
    }

    /// Nothing older than this is owed and not decided, as far as was read for this link.
    pub(super) fn owed_from(&self) -> Option<Sequence> {
        let queued = self.queue.front().map(|queued| queued.forward.sequence);
        self.in_flight.first().into_iter().chain(queued).min().or(self.through)
    }

    /// Bytes that wait in memory to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue_bytes + self.resend_bytes
    }

    /// Whether there is more to be read for this link than was queued.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Takes in a delivery that was just committed, or falls behind.
    pub(super) fn offer(&mut self, forward: &Arc<Forward>, limits: &LaneLimits) {
        if self.through.is_some_and(|through| forward.sequence <= through) {
            return;
        }
        if !self.behind && self.has_room(forward.text.len(), limits) {
            self.queue_up(Queued { forward: Arc::clone(forward), attempts: 0 });
        } else {
            self.fall_behind();
        }
    }

    /// Something is owed that was not queued: it is read from the store.
    pub(super) fn fall_behind(&mut self) {
        self.behind = true;
        self.skips += 1;
    }

    pub(super) fn load_to_resend(&mut self, page: Page<Pending>, after: Option<Sequence>, now: Duration) {
        let last = page.items.last().map(|pending| pending.sequence);
        let through = if page.more { last } else { Some(Sequence::LAST) };
        let mut gone: BTreeSet<_> =
            through.map(|through| self.in_flight.unread(after, through).collect()).unwrap_or_default();
        for pending in page.items {
            gone.remove(&pending.sequence);
            // Since the page was asked for, the peer may have refused.
            if self.permits(pending.sequence) && self.in_flight.was_read(pending.sequence) {
                let forward = Arc::new(Forward::from(pending));
                self.resend_bytes += forward.text.len();
                self.resends.insert(forward.sequence, forward);
            }
        }
        // What the page passed over is not owed any more. What lies before it came to be sent again meanwhile.
        for gone in gone {
            self.end(gone, now);
        }
    }

    /// Whether something may go out now.
    pub(super) fn can_send(&self, limits: &LaneLimits) -> bool {
        match self.resends.first_key_value() {
            Some((sequence, _)) => self.permits(*sequence),
            None => self.may_send_new(limits),
        }
    }

    /// Whether a delivery that is to be sent again may go out now.
    pub(super) fn permits(&self, sequence: Sequence) -> bool {
        self.hold.is_none_or(|hold| hold.permits(sequence))
    }

    /// Whether what was never sent on this link may go out now: nothing older is to be sent again first.
    pub(super) fn may_send_new(&self, limits: &LaneLimits) -> bool {
        let Some(Queued { forward, .. }) = self.queue.front() else { return false };
        let in_flight = self.in_flight.len();
        let has_room = in_flight < limits.window()
            && self.in_flight.bytes().saturating_add(forward.text.len()) <= self.terms.window_bytes(limits);
        self.hold.is_none() && self.in_flight.first_unread().is_none() && (has_room || in_flight == 0)
    }

    pub(super) fn take_resend(&mut self) -> Option<Arc<Forward>> {
        let sequence = *self.resends.first_key_value()?.0;
        if self.permits(sequence) { self.take_forward(sequence) } else { None }
    }

    /// Once a window of deliveries was sent, all that an earlier link had in flight was sent on this one.
    pub(super) fn note_key(&mut self, forward: &Forward, limits: &LaneLimits) {
        let Some(keys) = &mut self.sent_keys else { return };
        keys.extend(forward.metadata.sets.clone());
        self.sent += 1;
        if self.sent >= limits.window() {
            self.sent_keys = None;
        }
    }

    /// The peer has settled a delivery. Once it has settled all there was, an earlier link has no more in flight.
    pub(super) fn forget_earlier_links(&mut self) {
        if self.sent_keys.is_some() && self.in_flight.len() == 0 && self.queue.is_empty() && !self.behind {
            self.sent_keys = None;
        }
    }

    pub(super) fn note_sent(&mut self, now: Duration) {
        if !self.has_sent {
            self.has_sent = true;
            self.lives_since = now;
        }
    }

    /// What was sent until now is with the operating system.
    pub(super) fn written(&mut self, now: Duration, limits: &LaneLimits) {
        self.in_flight.written(now, limits.rules.ack_timeout);
    }

    /// When [`tick`](super::send_state::SendState::tick) is wanted next, on the clock's own scale.
    pub(super) fn wakes_at(&self) -> Option<Duration> {
        let pause = self.hold.as_ref().and_then(Hold::ends_at);
        [self.in_flight.due(), pause, self.isolates_at()].into_iter().flatten().min()
    }

    /// The peer refused a delivery in flight for now: it is sent again after a pause.
    pub(super) fn hold(&mut self, sequence: Sequence, now: Moment, limits: &LaneLimits) {
        self.in_flight.send_again(sequence, false);
        // What was read to be sent again waits for its turn in the store.
        self.resend_bytes = 0;
        for waiting in std::mem::take(&mut self.resends).into_keys() {
            self.in_flight.read_again(waiting);
        }
        self.hold = Some(Hold::refused(self.hold, sequence, now.elapsed, &limits.rules));
    }

    /// Ends a delivery that the peer has not acknowledged. Older values of its key are not sent on this link any more.
    pub(super) fn end(&mut self, sequence: Sequence, now: Duration) -> Option<Delivery> {
        let delivery = self.in_flight.remove(sequence)?;
        if let Some(key) = delivery.metadata.sets.as_ref().filter(|_| delivery.state != DeliveryState::HeldBack) {
            let mut overtaken = Vec::new();
            self.in_flight.older(sequence, key, &mut overtaken);
            for older in overtaken {
                self.in_flight.overtake(older, now);
            }
        }
        self.ended(sequence);
        Some(delivery)
    }

    /// A delivery has ended. What it held up goes on.
    pub(super) fn ended(&mut self, sequence: Sequence) {
        self.take_forward(sequence);
        let next = || self.in_flight.unread(Some(sequence), Sequence::LAST).next();
        self.hold = self.hold.and_then(|hold| hold.ended(sequence, next));
        if let Some(hold_back) = &mut self.hold_back {
            hold_back.ended(sequence);
        }
    }

    /// Never sends this delivery on this link, nor an older one that it has not read.
    pub(super) fn skip(&mut self, sequence: Sequence, now: Duration) {
        self.end(sequence, now);
        while let Some(queued) = self.queue.pop_front_if(|queued| queued.forward.sequence <= sequence) {
            self.queue_bytes -= queued.forward.text.len();
        }
        self.through = self.through.max(Some(sequence));
    }

    fn take_forward(&mut self, sequence: Sequence) -> Option<Arc<Forward>> {
        let forward = self.resends.remove(&sequence)?;
        self.resend_bytes -= forward.text.len();
        Some(forward)
    }

    fn has_room(&self, bytes: usize, limits: &LaneLimits) -> bool {
        self.queue.is_empty()
            || (self.queue.len() < limits.queue_items && self.queue_bytes + bytes <= limits.queue_bytes)
    }

    pub(super) fn queue_up(&mut self, queued: Queued) {
        self.through = Some(queued.forward.sequence);
        self.queue_bytes += queued.forward.text.len();
        self.queue.push_back(queued);
    }

    pub(super) fn was_acknowledged_early(&mut self, forward: &Forward) -> bool {
        let Identity { id, group } = &forward.metadata.identity;
        !self.early.is_empty()
            && (self.early.remove(&(id.clone(), Some(group.clone()))) || self.early.remove(&(id.clone(), None)))
            && !self.goes_back(forward)
    }

    /// Whether an older value of the key was sent on this link: if the peer handled this one on an earlier link, it
    /// must come again after the older one.
    pub(super) fn goes_back(&self, forward: &Forward) -> bool {
        let keys = self.sent_keys.as_ref();
        keys.zip(forward.metadata.sets.as_ref()).is_some_and(|(keys, key)| keys.contains(key))
    }

    /// The peer wants a delivery later. If a newer value of its key was sent, that one is sent again in its place.
    pub(super) fn refused_for_now(&mut self, sequence: Sequence, now: Moment, limits: &LaneLimits) {
        self.survived(sequence);
        let newest = self.in_flight.newest_like(sequence);
        let is_overtaken = self.in_flight.get(sequence).is_none_or(|delivery| delivery.overtaken);
        if is_overtaken || newest != sequence {
            self.in_flight.defer(sequence);
        }
        if is_overtaken {
            return;
        }
        // The newest one's own answer tells whether the peer wants that one later, too.
        if newest == sequence || self.hold.is_none_or(|hold| !hold.waits_for(newest)) {
            self.hold(newest, now, limits);
        }
    }
}
