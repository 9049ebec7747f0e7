//! The relay: the stages between the links and the store.
//!
//! ```text
//! reader -> decode -> router -> committer -> store
//!                                  |-> outbox of the sender      (confirm)
//!                                  `-> dispatcher -> lane -> writer   (forward)
//! reader of the recipient -> its lane -> the next batch of the committer  (acknowledge)
//! ```
//!
//! A stage knows the handle of the next one and never the previous one. Nothing is confirmed or forwarded before it
//! is durable. Once it runs, only the committer calls `commit` and `purge`; only the dispatcher calls `pending`.

mod committer;
mod core;
mod disk;
mod dispatcher;
mod drop_oldest;
mod erased;
mod imports;
mod janitor;
mod links;
mod members;
mod notices;
mod observation;
mod observer;
mod operator;
mod peers;
mod rate;
mod router;
mod runs;
mod sample;
mod sampling;
mod series;
mod settings;
mod soon;
mod spans;
mod stamps;
mod tap;

use std::sync::Arc;

use slipstream_store::{GeneratedFor, MessageStore, Operation, PeerId, RememberedPeer, Roster, StoreError};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{debug, info, warn};

pub use self::imports::{ExportedDeadLetter, Import};
pub use self::observation::{Census, DialObservation, DialState, MessageObservation, Observation, PeerObservation};
pub use self::observer::Observer;
pub use self::operator::Operator;
pub use self::peers::{Declared, Forgotten, Subscriber};
pub use self::sample::{Sample, record_ready};
pub use self::settings::{BacklogLimit, BacklogPolicy, DeliveryRules, DiskGuard, Settings, StageLimits};
pub use self::tap::{Passing, Watch};
pub use crate::metrics::{Flow, Latencies};

use self::committer::{CommitQueue, Committer, Reserved, Submissions};
use self::core::Core;
use self::disk::Disk;
use self::dispatcher::{Dispatcher, LaneLimits};
use self::links::{Inflows, Links};
use self::members::Standing;
use self::notices::Notices;
use self::peers::{Dials, PeerLocks, Registry, SharedTopology, Subscribers};
use self::series::PeerSeries;
use self::stamps::Stamps;
use self::tap::Tap;
use crate::clock::{Clock, Step};
use crate::link::{CloseCode, Connector};
use crate::listen::{self, Authorizer, Listener};
use crate::metrics::Metrics;

/// A relay over an open store. [`open`](Self::open) it, then [`run`](Self::run) it.
///
/// It is generic over the store: any [`MessageStore`] will do, also a `dyn MessageStore`, for which
/// [`open_erased`](Self::open_erased) and [`run_erased`](Self::run_erased) are already compiled.
#[derive(Debug)]
pub struct Relay<S: MessageStore + ?Sized> {
    core: Arc<Core<S>>,
    commits: CommitQueue,
    submissions: Submissions,
}

/// Why a relay ended, or did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The store failed for good. What was confirmed is in it; open it anew.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of the relay panicked. This is a defect; what was confirmed is in the store.
    #[error("a stage of the relay panicked: {0}")]
    Panicked(#[from] JoinError),
    /// A peer is to be dialled under an id that is this relay's own. Give one of them another id.
    #[error("a peer to be dialled has the id {0}, which is this relay's own")]
    OwnAlias(PeerId),
    /// A subscriber has this relay's own id. Give one of them another id.
    #[error("a subscriber has the id {0}, which is this relay's own")]
    OwnSubscriber(PeerId),
    /// Processes that share a store are one relay, under one id. Give this one that of the others.
    #[error(
        "this relay is to be {own}, and the store is shared with processes that are {others}; expected one id for all"
    )]
    OtherRelay {
        /// The id that this one was given.
        own: PeerId,
        /// The id of the others.
        others: PeerId,
    },
}

impl<S: MessageStore + ?Sized> Relay<S> {
    /// Takes up what the store remembers: the relay's id, the peers, and what they are owed. What anonymous peers
    /// were owed when the last run ended without saying goodbye is dropped here.
    ///
    /// # Errors
    /// [`RelayError::Store`] where the store cannot be read or written, [`RelayError::OwnAlias`] or
    /// [`RelayError::OwnSubscriber`] where a configured peer has the relay's id, [`RelayError::OtherRelay`] where others
    /// share the store under another id.
    pub async fn open(store: Arc<S>, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, RelayError> {
        let (metrics, notices) = (Arc::new(Metrics::new()), Arc::new(Notices::new(Arc::clone(&clock))));
        let subscribers = Subscribers::new(&settings.subscribers);
        let (id, dials) = settle_roster(&*store, &settings, &subscribers, &*clock, &metrics, &notices).await?;
        let roster = store.roster().await?;
        let limits = LaneLimits {
            rules: settings.delivery,
            queue_items: settings.stages.lane_items,
            queue_bytes: settings.stages.lane_bytes,
            total_bytes: settings.stages.lanes_bytes,
        };
        let dispatcher = Arc::new(Dispatcher::new(limits, Arc::clone(&clock)));
        let topology = Arc::new(SharedTopology::default());
        dispatcher.open_lanes(&roster);
        topology.renew(topology.load().version, &roster);
        let (commits, submissions) = committer::queue(&settings.stages);
        let stamps = Arc::new(Stamps::new(Arc::clone(&clock)));
        let disk = Arc::new(Disk::new(settings.disk.clone()));
        let at_once = settings.listen.handshake_timeout.max(settings.dial.timeout);
        let core = Core {
            links: Links::new(id.clone(), at_once),
            inflows: Inflows::new(settings.rate_limit),
            changing: PeerLocks::new(clock.random()),
            series: PeerSeries::new(settings.metrics_peers),
            id,
            store,
            settings,
            clock,
            metrics,
            notices,
            topology,
            dispatcher,
            stamps,
            dials,
            subscribers,
            health: Arc::default(),
            disk,
            tap: Arc::new(Tap::new()),
            overfull: Arc::default(),
            standing: Standing::default(),
        };
        Ok(Self { core: Arc::new(core), commits, submissions })
    }

    /// The id of this relay.
    #[must_use]
    pub fn id(&self) -> &PeerId {
        &self.core.id
    }

    /// What can be seen of the relay from outside, also after it has ended.
    #[must_use]
    pub fn observer(&self) -> Observer<S> {
        Observer::new(Arc::clone(&self.core))
    }

    /// A handle with which an operator acts on the relay while it runs.
    #[must_use]
    pub fn operator(&self) -> Operator<S> {
        Operator::new(Arc::clone(&self.core), self.commits.downgrade())
    }

    /// Runs until `shutdown` is cancelled, or the store fails for good. Either way it ends in order: it stops taking
    /// messages, commits and confirms what it took, closes the links with 1001, and closes the store.
    ///
    /// Links come in through `listener`, if `authorizer` lets them ([`AllowAll`](listen::AllowAll) asks for no
    /// credential), and are dialled through `connector`.
    ///
    /// # Errors
    /// [`RelayError`], once everything that could be done was done.
    ///
    /// # Cancellation
    /// Dropping the future drops the links at once. What was confirmed is in the store.
    pub async fn run(
        self,
        listener: Option<Box<dyn Listener>>,
        authorizer: Arc<dyn Authorizer>,
        connector: Arc<dyn Connector>,
        shutdown: CancellationToken,
    ) -> Result<(), RelayError> {
        let Self { core, commits, submissions } = self;
        let failed = CancellationToken::new();
        let committing = AbortOnDropHandle::new(core.spawn_committer(submissions, &failed));
        let registry = Registry { core: Arc::clone(&core), commits: commits.clone() };
        let mut janitor = AbortOnDropHandle::new(tokio::spawn(janitor::run(registry.clone())));
        let mut members = AbortOnDropHandle::new(tokio::spawn(members::run(registry.clone())));
        let mut drop_oldest = AbortOnDropHandle::new(tokio::spawn(drop_oldest::run(registry.clone())));
        let links = TaskTracker::new();
        let accepting = CancellationToken::new();
        let listening = listener.map(|listener| {
            let limits = core.settings.listen.clone();
            let serve = listen::serve(listener, registry.clone(), authorizer, limits, accepting.clone(), links.clone());
            AbortOnDropHandle::new(tokio::spawn(serve))
        });
        let dialling = registry.dial(&connector, &accepting);
        drop(registry);

        let failure = tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                info!("shutting down");
                None
            }
            () = failed.cancelled() => {
                warn!("shutting down because the store failed");
                None
            }
            ended = &mut janitor => {
                warn!("shutting down because nothing is purged any more");
                Some(ended)
            }
            ended = &mut members => {
                warn!("shutting down because the processes that share the store work on without this one");
                Some(ended)
            }
            ended = &mut drop_oldest => {
                warn!("shutting down because backlogs are not kept any more");
                Some(ended)
            }
        };
        accepting.cancel();
        drop((janitor, members, drop_oldest));
        core.links.stop_taking();
        let deadline = tokio::time::Instant::now() + core.settings.shutdown_timeout;
        let ended = tokio::time::timeout_at(deadline, wind_down(&core, commits, links, listening, dialling)).await;
        core.notices.tell_all();
        if ended.is_err() {
            warn!(timeout = ?core.settings.shutdown_timeout, "some links did not end in time; they are dropped");
        }
        let outcome = match tokio::time::timeout_at(deadline, committing).await {
            Ok(joined) => joined?.map_err(RelayError::from),
            // A link that is still there keeps the committer alive; all that was submitted has been answered.
            Err(_) => Ok(()),
        };
        match core.store.close().await {
            Err(error @ (StoreError::Poisoned(_) | StoreError::Unavailable(_))) => return Err(error.into()),
            // It may be a disk that is full, or another program that has the file open.
            Err(error) => warn!(%error, "the store was not closed in order; what was confirmed is kept"),
            Ok(()) => {}
        }
        outcome?;
        failure.map_or(Ok(()), |ended| Ok(ended??))
    }
}

impl<S: MessageStore + ?Sized> Core<S> {
    /// Starts the committer. When it ends, however it ends, `ended` is cancelled.
    fn spawn_committer(
        &self,
        submissions: Submissions,
        ended: &CancellationToken,
    ) -> JoinHandle<Result<(), StoreError>> {
        let committer = Committer {
            store: Arc::clone(&self.store),
            dispatcher: Arc::clone(&self.dispatcher),
            topology: Arc::clone(&self.topology),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            notices: Arc::clone(&self.notices),
            tap: Arc::clone(&self.tap),
            health: Arc::clone(&self.health),
            limits: self.settings.stages.clone(),
            backlog: self.settings.backlog,
            disk: Arc::clone(&self.disk),
            overfull: Arc::clone(&self.overfull),
            reserved: Reserved::default(),
        };
        let ended = ended.clone();
        tokio::spawn(async move {
            let _ended = ended.drop_guard();
            committer.run(submissions).await
        })
    }
}

/// Confirms what was taken in, then lets the links go.
async fn wind_down<S: MessageStore + ?Sized>(
    core: &Core<S>,
    commits: CommitQueue,
    links: TaskTracker,
    listening: Option<AbortOnDropHandle<JoinSet<()>>>,
    mut dialling: JoinSet<()>,
) {
    commits.drain().await;
    drop(commits);
    core.links.close_all(core.settings.shutdown_timeout, CloseCode::AWAY, "shutting down");
    let accepted = match listening {
        Some(listening) => listening.await.inspect_err(|error| debug!(%error, "the listener had ended")).ok(),
        None => None,
    };
    links.close();
    links.wait().await;
    drop(accepted);
    while let Some(ended) = dialling.join_next().await {
        if let Err(error) = ended {
            debug!(%error, "a dialler had ended");
        }
    }
}

/// Has the relay's time go on from when it was noted last, whatever the machine's clock says now.
fn go_on(roster: &Roster, settings: &Settings, clock: &dyn Clock) {
    let Some(noted) = roster.peers.iter().map(|remembered| remembered.peer.last_seen).max() else { return };
    // By what nobody saw pass alone nothing is forgotten.
    let unseen = settings.peer_ttl.min(settings.dedup_window).min(settings.trace_retention) / 2;
    match clock.resume(noted, unseen) {
        Some(Step::Back(by)) => warn!(
            ?by,
            "the machine's clock is behind the newest time in the store; the relay's time goes on from there"
        ),
        Some(Step::Forward(by)) => info!(
            ?by,
            "the relay was down for long, or the machine's clock was set; that time does not count for absent peers, the \
             dedup window and the traces"
        ),
        None => {}
    }
}

/// Names the relay, remembers the peers that are configured, and drops what anonymous peers were owed when the last run
/// ended.
async fn settle_roster<S: MessageStore + ?Sized>(
    store: &S,
    settings: &Settings,
    subscribers: &Subscribers,
    clock: &dyn Clock,
    metrics: &Metrics,
    notices: &Notices,
) -> Result<(PeerId, Dials), RelayError> {
    let roster = store.roster().await?;
    go_on(&roster, settings, clock);
    let known = settings.instance_id.clone().or_else(|| roster.relay.clone());
    let id = known.unwrap_or_else(|| PeerId::generated(GeneratedFor::Relay, clock.ulid()));
    if let (Some(shared), Some(others)) = (store.shared(), roster.relay.as_ref().filter(|others| **others != id))
        && shared.beat().await?.len() > 1
    {
        return Err(RelayError::OtherRelay { own: id, others: others.clone() });
    }
    let dials = Dials::new(&settings.peers, &roster);
    let at = clock.now();
    let dialled = dials.peers(&roster, at);
    if let Some(own) = dialled.iter().find(|peer| peer.id == id) {
        return Err(RelayError::OwnAlias(own.id.clone()));
    }
    if subscribers.of(&id).is_some() {
        return Err(RelayError::OwnSubscriber(id));
    }
    let anonymous: Vec<_> = roster.peers.iter().filter(|remembered| !remembered.peer.durable).collect();
    let forget = |peer: &&RememberedPeer| Operation::ForgetPeer { peer: peer.peer.id.clone(), at };
    let mut operations: Vec<_> = anonymous.iter().map(forget).collect();
    operations.push(Operation::NameRelay { id: id.clone() });
    let configured = dialled.into_iter().chain(subscribers.peers(&roster, at));
    operations.extend(configured.map(Box::new).map(Operation::RememberPeer));
    store.commit(Arc::new(operations.into())).await?;
    for RememberedPeer { peer, backlog, .. } in anonymous {
        metrics.forgotten(peer.durable, *backlog);
        notices.forgotten(peer, *backlog);
    }
    Ok((id, dials))
}
