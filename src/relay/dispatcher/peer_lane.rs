//! A lane with its lock and its wake-ups: what the dispatcher, the link's reader and the link's writer share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::{ClusterGroup, MessageId, MessageStore, Operation, PageLimit, PeerId, Result};
use tokio::sync::Notify;

use super::Shared;
use super::lane::{Acknowledged, Forward, Lane, Next, Settle, Wanted};

/// The wake-ups of one link. It also stands for the link: a lane serves the link whose `Wake` it holds, and is deaf
/// to every older one.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// For the writer: something may be sent.
    pub(crate) send: Notify,
    /// For the pager: the lane may want a page.
    page: Notify,
}

/// The lane of one peer.
pub(crate) struct PeerLane {
    peer: PeerId,
    state: Mutex<State>,
    backlog: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct State {
    lane: Lane,
    /// How much of the shared sum of queued bytes is this lane's.
    queued_bytes: usize,
    link: Option<Arc<Wake>>,
    /// Whether the lane stands in the list of decisions.
    listed: bool,
}

impl fmt::Debug for PeerLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerLane").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl PeerLane {
    pub(super) fn new(peer: PeerId, backlog: u64, shared: Arc<Shared>) -> Self {
        Self { peer, state: Mutex::default(), backlog: AtomicU64::new(backlog), shared }
    }

    pub(crate) fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// How many deliveries the peer is owed, in flight ones included.
    pub(crate) fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().lane.in_flight()
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.state.lock().link.is_some()
    }

    /// A link begins. The lane is deaf to every earlier one from now on.
    pub(crate) fn link_up(self: &Arc<Self>, wake: &Arc<Wake>, max_message_bytes: Option<u64>) {
        let mut state = self.state.lock();
        state.link = Some(Arc::clone(wake));
        let wanted = state.lane.link_up(max_message_bytes);
        self.wake(&mut state, wanted);
    }

    /// The link ended. Answers whether it was the lane's link until now.
    pub(crate) fn link_down(self: &Arc<Self>, wake: &Arc<Wake>) -> bool {
        let mut state = self.state.lock();
        if !state.serves(wake) {
            return false;
        }
        state.link = None;
        state.lane.unlink();
        self.wake(&mut state, Wanted::default());
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
        let mut wanted = Wanted::default();
        for forward in forwards {
            wanted = state.lane.offer(forward, &limits);
        }
        self.wake(&mut state, wanted);
    }

    /// That many deliveries of the peer are settled and committed.
    pub(crate) fn settled(&self, deliveries: u64) {
        self.backlog.fetch_sub(deliveries, Ordering::Relaxed);
    }

    pub(super) fn resync(self: &Arc<Self>, backlog: u64) {
        self.backlog.store(backlog, Ordering::Relaxed);
        let mut state = self.state.lock();
        let wanted = state.lane.resync(&self.shared.limits());
        self.wake(&mut state, wanted);
    }

    /// Calls `send` with each delivery that may go out on this link now, while it answers that there is room.
    pub(crate) fn send_into(self: &Arc<Self>, wake: &Arc<Wake>, mut send: impl FnMut(&Forward) -> bool) {
        let mut state = self.state.lock();
        if !state.serves(wake) {
            return;
        }
        let now = self.shared.clock.now();
        let limits = self.shared.limits();
        let mut room = true;
        while room {
            match state.lane.next(now, &limits) {
                Some(Next::Send(forward)) => room = send(&forward),
                Some(Next::Settle(settle)) => state.lane.decide(self.operation(settle)),
                None => break,
            }
        }
        // The writer comes back by itself while it has something to write.
        let wanted = Wanted { send: false, ..state.lane.wanted(&self.shared.limits()) };
        self.wake(&mut state, wanted);
    }

    /// The peer acknowledges on this link. Answers the time since the message was read from its sender where that is
    /// known, or `None` where the ACK names nothing in flight.
    pub(crate) fn acknowledge(
        self: &Arc<Self>,
        wake: &Arc<Wake>,
        ids: &[MessageId],
        group: Option<&ClusterGroup>,
        mut each: impl FnMut(Option<Option<Duration>>),
    ) {
        let now = self.shared.clock.now();
        let mut state = self.state.lock();
        if !state.serves(wake) {
            return;
        }
        for id in ids {
            match state.lane.acknowledge(&self.peer, id, group, now) {
                Acknowledged::Settled(read_at) => each(Some(read_at)),
                Acknowledged::NotInFlight => each(None),
            }
        }
        let wanted = state.lane.wanted(&self.shared.limits());
        self.wake(&mut state, wanted);
    }

    /// Reads from the store what the lane wants, for as long as the link lives. It ends only with an error of the
    /// store; dropping it at any time loses nothing.
    pub(crate) async fn catch_up<S: MessageStore + ?Sized>(
        self: &Arc<Self>,
        wake: &Arc<Wake>,
        store: &S,
        limit: PageLimit,
    ) -> Result<()> {
        loop {
            let request = {
                let state = self.state.lock();
                if state.serves(wake) { state.lane.wants_page(&self.shared.limits()) } else { None }
            };
            let Some(request) = request else {
                wake.page.notified().await;
                continue;
            };
            let items =
                limit.items.min(u32::try_from(request.items).unwrap_or(u32::MAX).try_into().unwrap_or(limit.items));
            let page = store.pending(&self.peer, request.after, PageLimit { items, ..limit }).await?;
            let mut state = self.state.lock();
            if state.serves(wake) {
                let wanted = state.lane.load(request, page, &self.shared.limits());
                self.wake(&mut state, wanted);
            }
        }
    }

    pub(super) fn take_decided(&self, operations: &mut Vec<Operation>) {
        let mut state = self.state.lock();
        state.listed = false;
        let was_full = !state.lane.wanted(&self.shared.limits()).send;
        state.lane.take_decided(operations);
        let can_send = state.lane.wanted(&self.shared.limits()).send;
        if let (true, true, Some(link)) = (was_full, can_send, &state.link) {
            link.send.notify_one();
        }
    }

    fn operation(&self, settle: Settle) -> Operation {
        let peer = self.peer.clone();
        match settle {
            Settle::Acknowledge { sequence, at } => Operation::Acknowledge { peer, sequence, at },
            Settle::Expire { sequence, at } => Operation::Expire { peer, sequence, at },
            Settle::TooLarge { sequence, at } => {
                Operation::DeadLetter { peer, sequence, reason: "too_large".to_owned(), attempts: 0, at }
            }
        }
    }

    /// Follows up on a change: counts what the lane holds, and wakes whom it wants.
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
            if wanted.page {
                link.page.notify_one();
            }
        }
        if wanted.commit && !state.listed {
            state.listed = true;
            self.shared.decisions.lanes.lock().push(Arc::clone(self));
            self.shared.decisions.made.notify_one();
        }
    }
}

impl State {
    fn serves(&self, wake: &Arc<Wake>) -> bool {
        self.link.as_ref().is_some_and(|link| Arc::ptr_eq(link, wake))
    }
}
