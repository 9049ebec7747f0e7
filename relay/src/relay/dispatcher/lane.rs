//! The lane of one peer: what is on its way to it, with the lock and the wake-ups that the dispatcher, the link's reader
//! and the link's writer share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use slipstream_store::{ClusterGroup, DeadLetterReason, MessageId, Operation, PeerId, Pending, Sequence};
use tokio::sync::Notify;

use super::answers::Answered;
use super::environment::{CommitNumber, Environment};
use super::forward::{Forward, Metadata};
use super::in_flight::{Delivery, DeliveryState};
use super::send_state::{SendState, Wanted};
use super::terms::{LinkEnd, LinkTerms};
use crate::clock::Moment;
use crate::protocol::Nack;
use crate::relay::spans;

/// Which of the links that began since the start of the relay. A lane serves one at a time, and is deaf to every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(pub(crate) u64);

/// The wake-ups of one link.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// For the writer: something may be sent.
    pub(crate) send: Notify,
    /// For the pager: the lane may want a page, or to be woken earlier.
    pub(super) page: Notify,
}

/// The lane of one peer.
pub(crate) struct Lane {
    peer: PeerId,
    state: Mutex<State>,
    backlog: AtomicU64,
    republishes: AtomicU64,
    delivered: AtomicU64,
    /// How many of the republishes were taken into a sum over several peers.
    summed: AtomicU64,
    pub(super) environment: Arc<Environment>,
}

pub(super) struct State {
    pub(super) send: SendState,
    /// How much of the environment's sum of queued bytes is this lane's.
    queued_bytes: usize,
    link: Option<Linked>,
    /// When the pager wakes by itself.
    pub(super) pager_wakes_at: Option<Duration>,
    /// Whether the lane stands in the list of decisions.
    listed: bool,
    /// Nothing older than this is owed. Where it is not known, anything may be.
    owed_from: Option<Sequence>,
}

/// The link that a lane serves.
struct Linked {
    generation: Generation,
    wake: Arc<Wake>,
    /// The last commit that had begun before it.
    after: CommitNumber,
}

/// What a lane counts, at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneCounts {
    pub(crate) backlog: u64,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_bytes: usize,
    /// The peer is owed nothing older than this.
    pub(crate) owed_from: Option<Sequence>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl State {
    /// What is in memory is the oldest that is owed and not decided.
    fn note_oldest_in_memory(&mut self) {
        if self.link.is_some() {
            self.owed_from = self.owed_from.max(self.send.link.owed_from());
        }
    }
}

impl Lane {
    pub(super) fn new(peer: PeerId, environment: Arc<Environment>) -> Self {
        let send = SendState::new(peer.clone());
        let state = State { send, queued_bytes: 0, link: None, pager_wakes_at: None, listed: false, owed_from: None };
        Self {
            peer,
            state: Mutex::new(state),
            backlog: AtomicU64::new(0),
            republishes: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            summed: AtomicU64::new(0),
            environment,
        }
    }

    pub(crate) fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// How many deliveries the peer is owed, in flight ones included.
    pub(crate) fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed)
    }

    /// How many deliveries were republished to the peer since the start of the relay.
    pub(crate) fn republishes(&self) -> u64 {
        self.republishes.load(Ordering::Relaxed)
    }

    /// How many of them there were since this was asked last.
    pub(crate) fn new_republishes(&self) -> u64 {
        let republishes = self.republishes();
        republishes.saturating_sub(self.summed.fetch_max(republishes, Ordering::Relaxed))
    }

    /// How many deliveries the peer has acknowledged since the start of the relay.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(crate) fn counts(&self) -> LaneCounts {
        let mut state = self.state.lock();
        state.note_oldest_in_memory();
        LaneCounts {
            backlog: self.backlog(),
            in_flight: state.send.link.in_flight.len(),
            in_flight_bytes: state.send.link.in_flight.bytes(),
            owed_from: state.owed_from,
        }
    }

    /// The store has told that the oldest delivery is this one.
    pub(super) fn is_owed_from(&self, oldest: Option<Sequence>) {
        let mut state = self.state.lock();
        state.owed_from = state.owed_from.max(oldest);
    }

    /// How many deliveries are in flight to the peer.
    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().send.link.in_flight.len()
    }

    /// How many bytes they have.
    pub(crate) fn in_flight_bytes(&self) -> usize {
        self.state.lock().send.link.in_flight.bytes()
    }

    /// Bytes that wait in memory to be sent.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.state.lock().queued_bytes
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.state.lock().link.is_some()
    }

    /// A link begins. The lane is deaf to every earlier one from now on; `former` tells how the last one ends, if that was
    /// not noticed yet.
    pub(crate) fn link_up(&self, generation: Generation, wake: &Arc<Wake>, terms: LinkTerms, former: LinkEnd) {
        let now = self.now();
        let mut state = self.state.lock();
        state.note_oldest_in_memory();
        state.send.unlink(former, now);
        state.link = Some(Linked { generation, wake: Arc::clone(wake), after: self.environment.last_commit() });
        self.begin(&mut state, terms, now);
    }

    /// Has nothing be sent to the peer from now on, or has it go on.
    pub(crate) fn pause(&self, paused: bool) {
        let mut state = self.state.lock();
        if state.send.paused != paused {
            state.send.paused = paused;
            self.changed(&mut state);
        }
    }

    /// Whether this delivery is in flight to the peer.
    pub(crate) fn has_in_flight(&self, sequence: Sequence) -> bool {
        self.state.lock().send.link.in_flight.get(sequence).is_some()
    }

    /// Everything that is owed is sent anew on this link, from the oldest on.
    pub(crate) fn rewind(&self, generation: Generation, terms: LinkTerms) {
        if let Some(mut state) = self.serving(generation) {
            state.owed_from = None;
            self.begin(&mut state, terms, self.now());
        }
    }

    fn begin(&self, state: &mut State, terms: LinkTerms, now: Moment) {
        state.pager_wakes_at = None;
        state.send.link_up(terms, now, &self.environment.limits());
        self.changed(state);
    }

    /// The link ended. Returns whether it was the lane's link until now.
    pub(crate) fn link_down(&self, generation: Generation, end: LinkEnd) -> bool {
        let Some(mut state) = self.serving(generation) else { return false };
        state.note_oldest_in_memory();
        state.link = None;
        state.send.unlink(end, self.now());
        self.changed(&mut state);
        true
    }

    /// Hands over what was just committed for this peer. What had begun to be committed before the link is read from the
    /// store instead: the peer may have settled it meanwhile, at another process that shares the store.
    pub(super) fn offer(&self, commit: CommitNumber, forwards: &[Arc<Forward>]) {
        let before = self.backlog.fetch_add(forwards.len() as u64, Ordering::Relaxed);
        let mut state = self.state.lock();
        if before == 0 {
            state.owed_from = state.owed_from.max(forwards.first().map(|forward| forward.sequence));
        }
        let Some(link) = &state.link else { return };
        if commit <= link.after {
            return self.fall_behind(&mut state);
        }
        let limits = self.environment.limits();
        for forward in forwards {
            state.send.link.offer(forward, &limits);
        }
        self.changed(&mut state);
    }

    /// The commit of that many decisions of the lane has ended; that many settled a delivery.
    pub(super) fn committed(&self, decisions: usize, settled: u64) {
        self.settled(settled);
        let mut state = self.state.lock();
        state.send.committed(decisions);
        if state.send.decided.is_settled() {
            self.changed(&mut state);
        }
    }

    /// A delivery of the peer was settled elsewhere, and that is committed.
    pub(super) fn settled_elsewhere(&self, sequence: Sequence) {
        self.settled(1);
        let mut state = self.state.lock();
        state.send.settled(sequence, self.now());
        self.changed(&mut state);
    }

    /// So many deliveries fewer are owed. What other processes recorded for the peer may not be counted yet.
    fn settled(&self, deliveries: u64) {
        let _ = self
            .backlog
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owed| Some(owed.saturating_sub(deliveries)));
    }

    /// One more delivery is owed, which is read from the store.
    pub(super) fn redriven(&self) {
        self.backlog.fetch_add(1, Ordering::Relaxed);
        self.fall_behind(&mut self.state.lock());
    }

    /// The store counts this much as owed, and has this as the oldest.
    pub(crate) fn recount(&self, backlog: u64, oldest: Option<Sequence>) {
        self.backlog.store(backlog, Ordering::Relaxed);
        self.state.lock().owed_from = oldest;
    }

    /// Something may be owed that was never offered, and is older than what is offered next.
    pub(crate) fn read_on(&self) {
        let mut state = self.state.lock();
        if state.link.is_some() {
            self.fall_behind(&mut state);
        }
    }

    fn fall_behind(&self, state: &mut State) {
        state.send.link.fall_behind();
        self.changed(state);
    }

    /// Calls `send` with each delivery that may go out on this link now, while it answers that there is room.
    pub(crate) fn send_into(&self, generation: Generation, mut send: impl FnMut(&Forward) -> bool) {
        let Some(mut state) = self.serving(generation) else { return };
        let now = self.now();
        let limits = self.environment.limits();
        // The writer asks for more once all that it was given is with the operating system.
        state.send.link.written(now.elapsed, &limits);
        while let Some(forward) = state.send.next(now, &limits) {
            if !send(&forward) {
                break;
            }
        }
        // The writer comes back by itself while it has something to write.
        let wanted = Wanted { send: false, ..state.send.wanted(&self.environment.limits()) };
        self.wake(&mut state, wanted);
    }

    /// The peer acknowledges on this link. Calls `each` with when the message was read from its sender, if that is known,
    /// or with `None` if the ACK names nothing in flight.
    pub(crate) fn acknowledge(
        &self,
        generation: Generation,
        ids: &[MessageId],
        group: Option<&ClusterGroup>,
        mut each: impl FnMut(Option<Option<Duration>>),
    ) {
        let now = self.now();
        let Some(mut state) = self.serving(generation) else { return };
        let mut delivered = 0;
        let mut traced = Vec::new();
        for id in ids {
            let answered = match state.send.acknowledge(id, group, now) {
                Answered::InFlight { read_at, traced: delivery } => {
                    traced.extend(delivery);
                    Some(read_at)
                }
                Answered::Early => Some(None),
                Answered::NotInFlight => None,
            };
            delivered += u64::from(answered.is_some());
            each(answered);
        }
        self.delivered.fetch_add(delivered, Ordering::Relaxed);
        self.changed(&mut state);
        drop(state);
        // Whoever listens may take a while, and must not hold up the lane.
        traced.iter().for_each(|delivery| self.tell_delivered(delivery, now.elapsed));
    }

    fn tell_delivered(&self, delivery: &Delivery, now: Duration) {
        let Metadata { identity, trace: Some(context), .. } = &*delivery.metadata else { return };
        let took = match delivery.state {
            DeliveryState::Sent { at, .. } => now.saturating_sub(at),
            _ => Duration::ZERO,
        };
        spans::delivered(&spans::Delivered {
            context,
            message_id: identity.id.as_str(),
            cluster_group: identity.group.as_str(),
            to: &self.peer,
            republished: delivery.attempts,
            took,
        });
    }

    /// The peer refuses on this link. Returns whether the NACK names something in flight.
    pub(crate) fn refuse(&self, generation: Generation, nack: &Nack) -> bool {
        let Some(mut state) = self.serving(generation) else { return false };
        let answered = state.send.refuse(nack, self.now(), &self.environment.limits());
        self.changed(&mut state);
        answered != Answered::NotInFlight
    }

    /// Gives up the oldest deliveries that the peer is owed. Returns whether that is new of any.
    pub(super) fn give_up(&self, oldest: &[Pending], reason: &DeadLetterReason) -> bool {
        let mut state = self.state.lock();
        let oldest = oldest.iter().map(|pending| (pending.sequence, pending.attempts));
        let is_new = state.send.give_up(oldest, reason, self.now());
        self.changed(&mut state);
        is_new
    }

    /// Moves what was decided, the oldest `most` of it, to `operations`. What is left is listed again, behind others.
    pub(super) fn take_decided(&self, operations: &mut Vec<Operation>, most: usize) {
        let mut state = self.state.lock();
        state.listed = false;
        let was_full = state.send.decided.is_full();
        let first = operations.len();
        state.send.decided.take(operations, most);
        let republishes = operations[first..].iter().filter(|operation| matches!(operation, Operation::Attempt { .. }));
        self.republishes.fetch_add(republishes.count() as u64, Ordering::Relaxed);
        let wanted = state.send.wanted(&self.environment.limits());
        self.wake(&mut state, Wanted { send: was_full && wanted.send, ..wanted });
    }

    pub(super) fn now(&self) -> Moment {
        Moment::now(&*self.environment.clock)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The state, if the lane serves this link.
    pub(super) fn serving(&self, generation: Generation) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        let serves = state.link.as_ref().is_some_and(|link| link.generation == generation);
        serves.then_some(state)
    }

    /// Follows up on a change.
    pub(super) fn changed(&self, state: &mut State) {
        let wanted = state.send.wanted(&self.environment.limits());
        self.wake(state, wanted);
    }

    /// Counts what the lane holds, and wakes whom it wants.
    fn wake(&self, state: &mut State, wanted: Wanted) {
        let now = state.send.link.queued_bytes();
        self.environment.count_queued(state.queued_bytes, now);
        state.queued_bytes = now;
        if let Some(Linked { wake, .. }) = &state.link {
            if wanted.send {
                wake.send.notify_one();
            }
            let sleeps_too_long = match (state.send.wakes_at(), state.pager_wakes_at) {
                (Some(wanted), Some(set)) => wanted < set,
                (wanted, set) => wanted.is_some() && set.is_none(),
            };
            if wanted.page || sleeps_too_long {
                wake.page.notify_one();
            }
        }
        if wanted.commit && !state.listed {
            state.listed = true;
            self.environment.decisions.list(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests;
