//! A lane with its lock and its wake-ups: what the dispatcher, the link's reader and the link's writer share.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::{
    ClusterGroup, DeadLetterCursor, DeadLetterFilter, MessageId, MessageStore, Operation, PageLimit, PeerId, Pending,
    Result, Sequence,
};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Shared;
use super::lane::{Answered, Forward, Lane, LinkEnd, LinkTerms, PageRequest, Wanted};
use crate::clock::Moment;
use crate::protocol::Nack;
use crate::relay::rate::Rate;

/// The wake-ups of one link. It also stands for the link: a lane serves the link whose `Wake` it holds, and is deaf
/// to every older one.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// For the writer: something may be sent.
    pub(crate) send: Notify,
    /// For the pager: the lane may want a page, or to be woken earlier.
    page: Notify,
}

/// The lane of one peer, and what is kept of the peer beside it for as long as the peer is known.
pub(crate) struct PeerLane {
    peer: PeerId,
    state: Mutex<State>,
    backlog: AtomicU64,
    /// Deliveries that are on their way into the store.
    admitted: AtomicU64,
    republishes: AtomicU64,
    /// How fast the peer may send, on whatever links.
    rate: Option<Rate>,
    shared: Arc<Shared>,
}

struct State {
    lane: Lane,
    /// How much of the shared sum of queued bytes is this lane's.
    queued_bytes: usize,
    link: Option<Arc<Wake>>,
    /// When the pager wakes by itself.
    pager_wakes_at: Option<Duration>,
    /// Whether the lane stands in the list of decisions.
    listed: bool,
}

/// What a pager does next.
enum Next {
    /// It reads a page of pending deliveries.
    Page(PageRequest),
    /// It reads a page of dead letters, after this one.
    DeadLetters(Option<DeadLetterCursor>),
    /// It sleeps for so long, or until it is woken.
    Sleep(Option<Duration>),
}

impl fmt::Debug for PeerLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerLane").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl PeerLane {
    pub(super) fn new(peer: PeerId, backlog: u64, shared: Arc<Shared>) -> Self {
        let state =
            State { lane: Lane::new(peer.clone()), queued_bytes: 0, link: None, pager_wakes_at: None, listed: false };
        Self {
            peer,
            state: Mutex::new(state),
            backlog: AtomicU64::new(backlog),
            admitted: AtomicU64::new(0),
            republishes: AtomicU64::new(0),
            rate: shared.rate_limit.map(Rate::new),
            shared,
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

    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().lane.in_flight()
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
    pub(crate) fn link_up(self: &Arc<Self>, wake: &Arc<Wake>, terms: LinkTerms, former: LinkEnd) {
        let now = Moment::now(&*self.shared.clock);
        let mut state = self.state.lock();
        state.lane.unlink(former, now);
        state.link = Some(Arc::clone(wake));
        self.begin(&mut state, terms, now);
    }

    /// Everything that is owed is sent anew on this link, from the oldest on.
    pub(crate) fn rewind(self: &Arc<Self>, wake: &Arc<Wake>, terms: LinkTerms) {
        let now = Moment::now(&*self.shared.clock);
        let mut state = self.state.lock();
        if state.serves(wake) {
            self.begin(&mut state, terms, now);
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State, terms: LinkTerms, now: Moment) {
        state.pager_wakes_at = None;
        let wanted = state.lane.link_up(terms, now, &self.shared.limits());
        self.wake(state, wanted);
    }

    /// The link ended. Answers whether it was the lane's link until now.
    pub(crate) fn link_down(self: &Arc<Self>, wake: &Arc<Wake>, end: LinkEnd) -> bool {
        let now = Moment::now(&*self.shared.clock);
        let mut state = self.state.lock();
        if !state.serves(wake) {
            return false;
        }
        state.link = None;
        state.lane.unlink(end, now);
        self.changed(&mut state);
        true
    }

    /// Hands over what was just committed for this peer.
    pub(super) fn offer(self: &Arc<Self>, forwards: &[Arc<Forward>]) {
        self.backlog.fetch_add(forwards.len() as u64, Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.link.is_none() {
            return;
        }
        let limits = self.shared.limits();
        for forward in forwards {
            state.lane.offer(forward, &limits);
        }
        self.changed(&mut state);
    }

    /// Whether the peer may send a message now, which then counts; otherwise how many it may send in a second.
    pub(crate) fn may_send(&self, now: Duration) -> Result<(), NonZeroU32> {
        self.rate.as_ref().map_or(Ok(()), |rate| rate.permits(now))
    }

    /// Admits a delivery on its way into the store, unless the peer would then be owed more than `most`. Each that is
    /// admitted is to be [`released`](Self::released).
    pub(crate) fn admit(&self, most: u64) -> bool {
        // The committer alone admits, so that nothing comes in between.
        let fits = self.backlog() + self.admitted.load(Ordering::Relaxed) < most;
        self.admitted.fetch_add(u64::from(fits), Ordering::Relaxed);
        fits
    }

    /// A delivery that was admitted is in the store now, or was refused.
    pub(crate) fn released(&self) {
        // A lane that was closed and opened anew meanwhile has not admitted it.
        let less = |admitted: u64| admitted.checked_sub(1);
        let _ = self.admitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// The commit of that many decisions of the lane has ended; that many settled a delivery.
    pub(super) fn committed(self: &Arc<Self>, decisions: usize, settled: u64) {
        self.backlog.fetch_sub(settled, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.lane.committed(decisions);
        if state.lane.is_settled() {
            self.changed(&mut state);
        }
    }

    /// Deliveries of the peer were settled elsewhere, and that is committed.
    pub(super) fn settled_elsewhere(self: &Arc<Self>, sequence: Sequence) {
        self.backlog.fetch_sub(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.lane.settled(sequence, Moment::now(&*self.shared.clock));
        self.changed(&mut state);
    }

    pub(super) fn resync(self: &Arc<Self>, backlog: u64) {
        self.backlog.store(backlog, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.lane.resync();
        self.changed(&mut state);
    }

    /// Calls `send` with each delivery that may go out on this link now, while it answers that there is room.
    pub(crate) fn send_into(self: &Arc<Self>, wake: &Arc<Wake>, mut send: impl FnMut(&Forward) -> bool) {
        let mut state = self.state.lock();
        if !state.serves(wake) {
            return;
        }
        let now = Moment::now(&*self.shared.clock);
        let limits = self.shared.limits();
        // The writer asks for more once all that it was given is with the operating system.
        state.lane.written(now, &limits);
        while let Some(forward) = state.lane.next(now, &limits) {
            if !send(&forward) {
                break;
            }
        }
        // The writer comes back by itself while it has something to write.
        let wanted = Wanted { send: false, ..state.lane.wanted(&self.shared.limits()) };
        self.wake(&mut state, wanted);
    }

    /// The peer acknowledges on this link. Answers when the message was read from its sender, where that is known, or
    /// `None` where the ACK names nothing in flight.
    pub(crate) fn acknowledge(
        self: &Arc<Self>,
        wake: &Arc<Wake>,
        ids: &[MessageId],
        group: Option<&ClusterGroup>,
        mut each: impl FnMut(Option<Option<Duration>>),
    ) {
        let now = Moment::now(&*self.shared.clock);
        let mut state = self.state.lock();
        if !state.serves(wake) {
            return;
        }
        for id in ids {
            match state.lane.acknowledge(id, group, now) {
                Answered::InFlight(read_at) => each(Some(read_at)),
                Answered::Early => each(Some(None)),
                Answered::NotInFlight => each(None),
            }
        }
        self.changed(&mut state);
    }

    /// The peer refuses on this link. Answers whether the NACK names something in flight.
    pub(crate) fn refuse(self: &Arc<Self>, wake: &Arc<Wake>, nack: &Nack) -> bool {
        let now = Moment::now(&*self.shared.clock);
        let mut state = self.state.lock();
        if !state.serves(wake) {
            return false;
        }
        let answered = state.lane.refuse(nack, now, &self.shared.limits());
        self.changed(&mut state);
        answered != Answered::NotInFlight
    }

    /// Reads from the store what the lane wants, and has it look at its deliveries in time, for as long as the link
    /// lives. It ends only with an error of the store; dropping it at any time loses nothing.
    pub(crate) async fn catch_up<S: MessageStore + ?Sized>(
        self: &Arc<Self>,
        wake: &Arc<Wake>,
        store: &S,
        limit: PageLimit,
    ) -> Result<()> {
        loop {
            let next = {
                let mut state = self.state.lock();
                if state.serves(wake) { self.look(&mut state) } else { Next::Sleep(None) }
            };
            let request = match next {
                Next::Page(request) => request,
                Next::DeadLetters(after) => {
                    let of_peer = DeadLetterFilter { peer: Some(self.peer.clone()), ..DeadLetterFilter::default() };
                    let page = store.dead_letters(&of_peer, after, limit).await?;
                    let mut state = self.state.lock();
                    state.lane.load_dead_letters(page, Moment::now(&*self.shared.clock));
                    self.changed(&mut state);
                    continue;
                }
                Next::Sleep(wakes_in) => {
                    let overdue = async {
                        match wakes_in {
                            Some(pause) => sleep(pause).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = wake.page.notified() => {}
                        () = overdue => {}
                    }
                    continue;
                }
            };
            let items =
                limit.items.min(u32::try_from(request.items).unwrap_or(u32::MAX).try_into().unwrap_or(limit.items));
            let page = store.pending(&self.peer, request.after, PageLimit { items, ..limit }).await?;
            let mut state = self.state.lock();
            if state.serves(wake) {
                state.lane.load(request, page, Moment::now(&*self.shared.clock));
                self.changed(&mut state);
            }
        }
    }

    /// What the pager does next.
    fn look(self: &Arc<Self>, state: &mut State) -> Next {
        let now = Moment::now(&*self.shared.clock);
        let limits = self.shared.limits();
        if state.lane.wakes_at().is_some_and(|at| at <= now.elapsed) {
            state.lane.tick(now, &limits);
            self.changed(state);
        }
        state.pager_wakes_at = state.lane.wakes_at();
        if let Some(request) = state.lane.wants_page(&limits) {
            return Next::Page(request);
        }
        if let Some(after) = state.lane.wants_dead_letters(now.elapsed) {
            return Next::DeadLetters(after);
        }
        Next::Sleep(state.pager_wakes_at.map(|at| at.saturating_sub(now.elapsed)))
    }

    /// Gives up the oldest deliveries that the peer is owed. Answers whether that is new of any.
    pub(super) fn give_up(self: &Arc<Self>, oldest: &[Pending], reason: &str) -> bool {
        let now = Moment::now(&*self.shared.clock);
        let mut state = self.state.lock();
        let oldest = oldest.iter().map(|pending| (pending.sequence, pending.attempts));
        let is_new = state.lane.give_up(oldest, reason, now);
        self.changed(&mut state);
        is_new
    }

    /// Moves what was decided, the oldest `most` of it, to `operations`. What is left is listed again, behind others.
    pub(super) fn take_decided(self: &Arc<Self>, operations: &mut Vec<Operation>, most: usize) {
        let mut state = self.state.lock();
        state.listed = false;
        let was_full = !state.lane.wanted(&self.shared.limits()).send;
        let first = operations.len();
        state.lane.take_decided(operations, most);
        let republishes = operations[first..].iter().filter(|operation| matches!(operation, Operation::Attempt { .. }));
        self.republishes.fetch_add(republishes.count() as u64, Ordering::Relaxed);
        let wanted = state.lane.wanted(&self.shared.limits());
        self.wake(&mut state, Wanted { send: was_full && wanted.send, ..wanted });
    }

    /// Follows up on a change.
    fn changed(self: &Arc<Self>, state: &mut State) {
        let wanted = state.lane.wanted(&self.shared.limits());
        self.wake(state, wanted);
    }

    /// Counts what the lane holds, and wakes whom it wants.
    fn wake(self: &Arc<Self>, state: &mut State, wanted: Wanted) {
        let (before, now) = (state.queued_bytes, state.lane.queued_bytes());
        if now >= before {
            self.shared.queued_bytes.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.shared.queued_bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
        state.queued_bytes = now;
        if let Some(link) = &state.link {
            if wanted.send {
                link.send.notify_one();
            }
            let sleeps_too_long = match (state.lane.wakes_at(), state.pager_wakes_at) {
                (Some(wanted), Some(set)) => wanted < set,
                (wanted, set) => wanted.is_some() && set.is_none(),
            };
            if wanted.page || sleeps_too_long {
                link.page.notify_one();
            }
        }
        if wanted.commit && !state.listed {
            state.listed = true;
            self.shared.decisions.lanes.lock().push_back(Arc::clone(self));
            self.shared.decisions.made.notify_one();
        }
    }
}

impl State {
    fn serves(&self, wake: &Arc<Wake>) -> bool {
        self.link.as_ref().is_some_and(|link| Arc::ptr_eq(link, wake))
    }
}
