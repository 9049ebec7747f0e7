//! What is in transit over one link: waiting to be sent, in flight, to be sent again. Pure.
//!
//! This file holds what goes out; `answers.rs` holds what the peer's answers do, `isolation.rs` what is held back from
//! a peer that may die of it.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{ClusterGroup, Identity, Key, MessageId, Page, Pending, Sequence, Timestamp};

use super::coalesce::{Coalescing, Segment};
use super::decided::Decided;
use super::lane::{Forward, LaneLimits, LinkTerms, PageRequest, Purpose};
use super::poison::HoldBack;
use super::schedule::{Hold, timeout};
use super::window::{Flight, FlightState, Window};
use crate::clock::Moment;

/// Into how many parts a timeout is divided, at whose ends overdue deliveries are looked for.
const TIMEOUT_PARTS: u32 = 32;

/// The reason of dead letters that are larger than their peer takes.
pub(super) const TOO_LARGE: &str = "too_large";

/// A delivery that waits to be sent.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) forward: Arc<Forward>,
    /// How often it was republished.
    attempts: u32,
}

#[derive(Debug)]
pub(super) struct Transit {
    terms: LinkTerms,
    /// The last delivery that was queued on this link.
    through: Option<Sequence>,
    behind: bool,
    /// Counts what the lane was told of and did not queue, so that a page that was read before it is not taken for
    /// the head.
    skips: u64,
    coalescing: Option<Coalescing>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) queue_bytes: usize,
    pub(super) window: Window,
    /// Read from the store again, to be sent again. Each is in flight, and the hold, if there is one, permits it: what
    /// may not go out must not take the room of what may.
    resends: BTreeMap<Sequence, Arc<Forward>>,
    resend_bytes: usize,
    pub(super) hold: Option<Hold>,
    /// Acknowledged on this link before they were read for it: the peer got them on an earlier one.
    pub(super) early: HashSet<(MessageId, Option<ClusterGroup>)>,
    /// The keys of the values that were sent on this link, while some are not that were sent on an earlier one. A newer
    /// value that the peer acknowledges early is sent after them all the same, so that it stays the newest.
    sent_keys: Option<HashSet<Key>>,
    /// How many deliveries were sent on this link, up to the window.
    sent: usize,
    /// Given up when the last link ended, while the store does not know it yet.
    given_up: BTreeSet<Sequence>,
    pub(super) hold_back: Option<HoldBack>,
    /// When the link began, or its first delivery was sent, on the clock's own scale.
    pub(super) lives_since: Duration,
    pub(super) has_sent: bool,
    /// Whether the peer has settled anything on this link.
    pub(super) has_settled: bool,
}

impl Transit {
    pub(super) fn new(
        terms: LinkTerms,
        given_up: BTreeSet<Sequence>,
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
            window: Window::default(),
            resends: BTreeMap::new(),
            resend_bytes: 0,
            hold: None,
            early: HashSet::new(),
            sent_keys: Some(HashSet::new()),
            sent: 0,
            given_up,
            hold_back,
            lives_since: now,
            has_sent: false,
            has_settled: false,
        }
    }

    /// Whether a delivery may be owed still, as far as this link knows.
    pub(super) fn may_be_owed(&self, sequence: Sequence) -> bool {
        Some(sequence) > self.through || self.window.get(sequence).is_some()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.window.len()
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queue_bytes + self.resend_bytes
    }

    /// Whether there is more to be read for this link than was queued.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

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

    pub(super) fn fall_behind(&mut self) {
        self.behind = true;
        self.skips += 1;
    }

    /// After which delivery a page is wanted, and what for.
    pub(super) fn wants_page(&self, decided: &Decided, limits: &LaneLimits) -> Option<(Option<Sequence>, Purpose)> {
        let fits = |items: usize, bytes: usize| items * 2 <= limits.queue_items && bytes * 2 <= limits.queue_bytes;
        if let Some(unread) = self.window.first_unread()
            && self.permits(unread)
            && fits(self.resends.len(), self.resend_bytes)
        {
            return Some((Sequence::new(unread.get() - 1), Purpose::Resend));
        }
        match &self.coalescing {
            _ if !self.behind => None,
            Some(Coalescing::Reading(segment)) => {
                (!decided.is_full()).then_some((segment.through(), Purpose::Coalesce))
            }
            Some(Coalescing::Read { .. }) if !decided.is_settled() => None,
            _ => {
                fits(self.queue.len(), self.queue_bytes).then_some((self.through, Purpose::Send { skips: self.skips }))
            }
        }
    }

    pub(super) fn load(&mut self, request: PageRequest, page: Page<Pending>, decided: &mut Decided, now: Moment) {
        match request.purpose {
            Purpose::Send { skips } => self.load_to_send(page, skips, decided, now),
            Purpose::Resend => self.load_to_resend(page, request.after, now.elapsed),
            Purpose::Coalesce => self.look_ahead(page, decided, now.time),
        }
    }

    /// Where the page is the last one and nothing was skipped since it was asked for, the lane is live.
    fn load_to_send(&mut self, page: Page<Pending>, skips: u64, decided: &mut Decided, now: Moment) {
        let end = match &self.coalescing {
            Some(Coalescing::Read { end }) => *end,
            _ => None,
        };
        for pending in page.items {
            if end.is_some_and(|end| pending.sequence > end) {
                self.coalescing = Some(Coalescing::Reading(Segment::after(end)));
                return;
            }
            if self.through.is_some_and(|through| pending.sequence <= through) {
                continue;
            }
            let attempts = pending.attempts;
            let forward = Arc::new(Forward::from(pending));
            if self.given_up.contains(&forward.sequence) {
                self.through = Some(forward.sequence);
            } else if self.was_acknowledged_early(&forward) {
                self.through = Some(forward.sequence);
                self.acknowledged(forward.sequence, forward.metadata.sets.as_ref(), decided, now);
            } else {
                self.queue_up(Queued { forward, attempts });
            }
        }
        self.behind = page.more || self.skips != skips;
        if !self.behind {
            self.coalescing = None;
            self.early = HashSet::new();
        }
    }

    fn load_to_resend(&mut self, page: Page<Pending>, after: Option<Sequence>, now: Duration) {
        let last = page.items.last().map(|pending| pending.sequence);
        let through = if page.more { last } else { Some(Sequence::LAST) };
        let mut gone: BTreeSet<_> =
            through.map(|through| self.window.unread(after, through).collect()).unwrap_or_default();
        for pending in page.items {
            gone.remove(&pending.sequence);
            // Since the page was asked for, the peer may have refused.
            if self.permits(pending.sequence) && self.window.was_read(pending.sequence) {
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

    fn look_ahead(&mut self, page: Page<Pending>, decided: &mut Decided, at: Timestamp) {
        let Some(Coalescing::Reading(segment)) = &mut self.coalescing else { return };
        for pending in page.items {
            let forward = Forward::from(pending);
            // What the peer does not get is no newer value to it.
            let sets = forward.metadata.sets.as_ref().filter(|_| self.terms.permit(&forward));
            if let Some(superseded) = segment.look(forward.sequence, sets) {
                decided.supersede(superseded, at);
            }
        }
        if !page.more || segment.is_full() {
            let end = segment.through().filter(|_| page.more);
            self.coalescing = Some(Coalescing::Read { end });
        }
    }

    pub(super) fn can_send(&self, limits: &LaneLimits) -> bool {
        match self.resends.first_key_value() {
            Some((sequence, _)) => self.permits(*sequence),
            None => self.may_send_new(limits),
        }
    }

    /// Whether a delivery that is to be sent again may go out now.
    fn permits(&self, sequence: Sequence) -> bool {
        self.hold.is_none_or(|hold| hold.permits(sequence))
    }

    /// Whether what was never sent on this link may go out now: nothing older is to be sent again first.
    fn may_send_new(&self, limits: &LaneLimits) -> bool {
        let Some(Queued { forward, .. }) = self.queue.front() else { return false };
        let in_flight = self.window.len();
        let has_room = in_flight < limits.window()
            && self.window.bytes().saturating_add(forward.text.len()) <= self.terms.window_bytes(limits);
        self.hold.is_none() && self.window.first_unread().is_none() && (has_room || in_flight == 0)
    }

    pub(super) fn next(&mut self, decided: &mut Decided, now: Moment, limits: &LaneLimits) -> Option<Arc<Forward>> {
        let waits = self.isolate(now.elapsed);
        while !decided.is_full() {
            if let Some(forward) = self.take_resend() {
                if self.resend(&forward, decided, now) {
                    return Some(forward);
                }
                continue;
            }
            if waits || !self.may_send_new(limits) {
                return None;
            }
            let Queued { forward, attempts } = self.queue.pop_front()?;
            self.queue_bytes -= forward.text.len();
            if self.send(&forward, attempts, decided, now, limits) {
                return Some(forward);
            }
        }
        None
    }

    fn take_resend(&mut self) -> Option<Arc<Forward>> {
        let sequence = *self.resends.first_key_value()?.0;
        if self.permits(sequence) { self.take_forward(sequence) } else { None }
    }

    /// Notes that a delivery goes out again; false if it is not to.
    fn resend(&mut self, forward: &Forward, decided: &mut Decided, now: Moment) -> bool {
        let sequence = forward.sequence;
        if has_expired(forward, now) {
            self.end(sequence, now.elapsed);
            decided.expire(sequence, now.time);
            return false;
        }
        let Some(flight) = self.window.get(sequence) else { return false };
        if flight.state == (FlightState::Again { spends: true }) {
            // It goes out in the place of the older ones of its key, too.
            let mut republished = Vec::new();
            if let Some(key) = &flight.metadata.sets {
                self.window.older(sequence, key, &mut republished);
            }
            republished.push(sequence);
            for republished in republished {
                self.spend_attempt(republished, decided, now.time);
            }
        }
        self.window.resent(sequence);
        if let Some(hold) = &mut self.hold {
            hold.sent(sequence);
        }
        self.note_sent(now.elapsed);
        true
    }

    fn spend_attempt(&mut self, sequence: Sequence, decided: &mut Decided, at: Timestamp) {
        if let Some(attempts) = self.window.get(sequence).map(|flight| flight.attempts.saturating_add(1)) {
            self.window.attempted(sequence, attempts);
            decided.attempt(sequence, attempts, at);
        }
    }

    /// Notes that a delivery goes out for the first time on this link; false if it is not to.
    fn send(
        &mut self,
        forward: &Forward,
        attempts: u32,
        decided: &mut Decided,
        now: Moment,
        limits: &LaneLimits,
    ) -> bool {
        let sequence = forward.sequence;
        if has_expired(forward, now) || !self.terms.permit(forward) {
            decided.expire(sequence, now.time);
            return false;
        }
        if self.terms.max_message_bytes.is_some_and(|max| forward.text.len() as u64 > max) {
            decided.give_up(sequence, TOO_LARGE.to_owned(), attempts, now.time);
            return false;
        }
        let is_held = self.hold_back.as_mut().is_some_and(|hold_back| hold_back.takes(sequence));
        self.window.push(Flight::new(forward, attempts), is_held);
        if is_held {
            return false;
        }
        self.note_key(forward, limits);
        self.note_sent(now.elapsed);
        true
    }

    /// Once a window of deliveries was sent, all that an earlier link had in flight was sent on this one.
    fn note_key(&mut self, forward: &Forward, limits: &LaneLimits) {
        let Some(keys) = &mut self.sent_keys else { return };
        keys.extend(forward.metadata.sets.clone());
        self.sent += 1;
        if self.sent >= limits.window() {
            self.sent_keys = None;
        }
    }

    /// The peer has settled a flight. Once it has settled all there was, an earlier link has no more in flight.
    pub(super) fn forget_earlier_links(&mut self) {
        if self.sent_keys.is_some() && self.window.len() == 0 && self.queue.is_empty() && !self.behind {
            self.sent_keys = None;
        }
    }

    fn note_sent(&mut self, now: Duration) {
        if !self.has_sent {
            self.has_sent = true;
            self.lives_since = now;
        }
    }

    /// What was sent until now is with the operating system.
    pub(super) fn written(&mut self, now: Duration, limits: &LaneLimits) {
        self.window.written(now, limits.rules.ack_timeout);
    }

    pub(super) fn tick(&mut self, decided: &mut Decided, now: Moment, limits: &LaneLimits) {
        if let Some(hold) = &mut self.hold {
            hold.tick(now.elapsed);
        }
        let rules = &limits.rules;
        let due = |flight: &Flight| timeout(rules, flight.attempts, flight.sequence);
        for sequence in self.window.overdue(now.elapsed, rules.ack_timeout / TIMEOUT_PARTS, due) {
            let Some(&Flight { attempts, overtaken, is_deferred, .. }) = self.window.get(sequence) else { continue };
            if overtaken && is_deferred {
                // It is left to the next link. Until then a newer value may supersede it.
                self.window.waits_on(sequence, now.elapsed, timeout(rules, attempts, sequence));
            } else if attempts >= rules.max_republishes {
                self.end(sequence, now.elapsed);
                decided.give_up(sequence, "unacknowledged".to_owned(), attempts, now.time);
            } else if overtaken {
                self.spend_attempt(sequence, decided, now.time);
                self.window.waits_on(sequence, now.elapsed, timeout(rules, attempts + 1, sequence));
            } else {
                self.window.send_again(sequence, true);
                if let Some(hold) = &mut self.hold {
                    hold.unanswered(sequence);
                }
            }
            self.survived(sequence);
        }
        self.isolate(now.elapsed);
    }

    pub(super) fn wakes_at(&self) -> Option<Duration> {
        let pause = self.hold.as_ref().and_then(Hold::ends_at);
        [self.window.due(), pause, self.isolates_at()].into_iter().flatten().min()
    }

    /// The peer refused a delivery in flight for now: it is sent again after a pause.
    pub(super) fn hold(&mut self, sequence: Sequence, now: Moment, limits: &LaneLimits) {
        self.window.send_again(sequence, false);
        // What was read to be sent again waits for its turn in the store.
        self.resend_bytes = 0;
        for waiting in std::mem::take(&mut self.resends).into_keys() {
            self.window.read_again(waiting);
        }
        self.hold = Some(Hold::refused(self.hold, sequence, now.elapsed, &limits.rules));
    }

    /// Ends a flight that the peer has not acknowledged. Older values of its key are not sent on this link any more.
    pub(super) fn end(&mut self, sequence: Sequence, now: Duration) -> Option<Flight> {
        let flight = self.window.remove(sequence)?;
        if let Some(key) = flight.metadata.sets.as_ref().filter(|_| flight.state != FlightState::HeldBack) {
            let mut overtaken = Vec::new();
            self.window.older(sequence, key, &mut overtaken);
            for older in overtaken {
                self.window.overtake(older, now);
            }
        }
        self.ended(sequence);
        Some(flight)
    }

    /// A flight has ended. What it held up goes on.
    pub(super) fn ended(&mut self, sequence: Sequence) {
        self.take_forward(sequence);
        let next = || self.window.unread(Some(sequence), Sequence::LAST).next();
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

    fn queue_up(&mut self, queued: Queued) {
        self.through = Some(queued.forward.sequence);
        self.queue_bytes += queued.forward.text.len();
        self.queue.push_back(queued);
    }

    fn was_acknowledged_early(&mut self, forward: &Forward) -> bool {
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
}

fn has_expired(forward: &Forward, now: Moment) -> bool {
    forward.expires_at.is_some_and(|expiry| expiry <= now.wall)
}
