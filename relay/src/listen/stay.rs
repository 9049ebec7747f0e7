//! The places that a connection holds: one of the listener's, and one of its address's.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;

use super::limits::ListenLimits;
use super::proxy::TrustedProxies;
use super::source::{Places, Queued, Slot, Source, Sources, Visit};
use crate::link::Refusal;

/// What too many connections count as.
const TOO_MANY: &str = "max_connections";
const TOO_MANY_PER_ADDRESS: &str = "max_connections_per_address";

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Rooms {
    places: Places,
    /// Nothing where an address may have any number.
    sources: Option<Arc<Sources>>,
    trusted: TrustedProxies,
}

/// What there is no room for, not even to be told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Listener,
    Address,
}

impl Full {
    /// The reason under which it counts.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Listener => "no_room",
            Self::Address => TOO_MANY_PER_ADDRESS,
        }
    }
}

/// What a connection holds as long as it lives.
#[derive(Debug)]
pub(super) struct Stay {
    place: Slot,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Its place among those of its address, once that is known.
    visit: Option<Visit>,
    /// The places that it gets when the link has ended that it takes over.
    awaited: Awaited,
}

/// Places that are free some day.
#[derive(Default)]
pub(super) struct Awaited(Vec<Queued>);

impl std::fmt::Debug for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Awaited({})", self.0.len())
    }
}

impl Awaited {
    /// Waits for all of them.
    pub(super) async fn all(self) -> Vec<Option<Slot>> {
        let mut granted = Vec::with_capacity(self.0.len());
        for queued in self.0 {
            granted.push(queued.await);
        }
        granted
    }
}

impl Rooms {
    pub(super) fn new(limits: &ListenLimits) -> Self {
        Self {
            places: Places::new(limits.max_connections, limits.max_beyond),
            sources: limits.max_per_address.map(|most| Arc::new(Sources::new(most, limits.max_beyond_per_address))),
            trusted: limits.trusted_proxies.clone(),
        }
    }

    /// Returns what one more connection holds, if there is room to hear it.
    pub(super) fn stay(&self, socket: SocketAddr) -> Result<Stay, Full> {
        let stay = Stay { place: self.places.take().ok_or(Full::Listener)?, held: Mutex::default() };
        self.count(&stay, socket.ip()).map_err(|_| Full::Address)?;
        Ok(stay)
    }

    /// Counts a connection to its address, unless that was done. A trusted proxy has none of its own: who its client is
    /// may be known later.
    ///
    /// # Errors
    /// There is not even room to wait for a link that it may take over.
    pub(super) fn count(&self, stay: &Stay, ip: IpAddr) -> Result<(), Refusal> {
        let Some(sources) = &self.sources else { return Ok(()) };
        let visit = &mut stay.held.lock().visit;
        if visit.is_none() && !self.trusted.contains(ip) {
            let source = Source::of(ip);
            *visit = Some(sources.visit(source).ok_or_else(|| too_many_from(source))?);
        }
        Ok(())
    }

    /// Whether a peer may stay for which there was no room: because there is now, or because it takes over a link, from
    /// the address that `taken_over` returns.
    pub(super) async fn settle(&self, stay: &Stay, taken_over: impl Fn() -> Option<SocketAddr>) -> Result<(), Refusal> {
        let queue = stay.held.lock().visit.as_ref().and_then(|visit| Some((visit.source(), visit.queue()?)));
        if let Some((source, queue)) = queue {
            let same = || taken_over().is_some_and(|from| Source::of(from.ip()) == source);
            let awaited = wait_in(queue, same).await.ok_or_else(|| too_many_from(source))?;
            stay.held.lock().awaited.0.push(awaited);
        }
        if stay.place.is_beyond() {
            let awaited = wait_in(self.places.queue(), || taken_over().is_some()).await.ok_or_else(|| {
                Refusal::unavailable("this relay has no room for another connection").counted_as(TOO_MANY)
            })?;
            stay.held.lock().awaited.0.push(awaited);
        }
        Ok(())
    }
}

fn too_many_from(source: Source) -> Refusal {
    Refusal::too_many(format!("{source} has as many connections as this relay takes from one address"))
        .counted_as(TOO_MANY_PER_ADDRESS)
}

/// Stands in the queue for a place. Returns it, or the way to wait for it if that is allowed.
async fn wait_in(mut queue: Queued, may_wait: impl FnOnce() -> bool) -> Option<Queued> {
    // It stands in the queue before it is asked whether there is a link, so that nobody else gets that one's place.
    match poll_fn(|cx| Poll::Ready(queue.as_mut().poll(cx))).await {
        Poll::Ready(granted) => Some(Box::pin(std::future::ready(granted))),
        Poll::Pending => may_wait().then_some(queue),
    }
}

impl Stay {
    /// The places that it waits for; none if it has what it needs.
    pub(super) fn awaited(&mut self) -> Option<Awaited> {
        let awaited = std::mem::take(&mut self.held.get_mut().awaited);
        (!awaited.0.is_empty()).then_some(awaited)
    }

    /// Gives up what it holds beyond all places, now that it has been granted others.
    pub(super) fn settled(self) -> (Option<Slot>, Option<Visit>) {
        let Self { place, held } = self;
        let mut visit = held.into_inner().visit;
        if let Some(visit) = &mut visit {
            visit.settle();
        }
        ((!place.is_beyond()).then_some(place), visit)
    }
}
