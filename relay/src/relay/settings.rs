//! What a relay is told at its start, and every limit that it keeps.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{ClusterGroup, PageLimit, PeerId, Tag};

use super::Subscriber;
use crate::dial::{DialLimits, DialledPeer};
use crate::link::LinkLimits;
use crate::listen::ListenLimits;
use crate::protocol::DEFAULT_MAX_DEPTH;

/// How a relay behaves. [`Settings::default`] gives the documented defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The id of the relay. Without one it keeps the id that its store remembers, or makes one.
    pub instance_id: Option<PeerId>,
    /// The tags that it announces.
    pub tags: Arc<[Tag]>,
    /// The cluster group that it announces.
    pub cluster_group: ClusterGroup,
    /// The peers that it dials. No two have the same alias.
    pub peers: Vec<DialledPeer>,
    /// The applications that it holds messages for from the start, whether or not they ever linked. No two have the same
    /// id, and none has the alias of a dialled peer.
    pub subscribers: Vec<Subscriber>,
    /// How it dials them.
    pub dial: DialLimits,
    /// How deliveries are sent, and sent again.
    pub delivery: DeliveryRules,
    /// How much one peer may be owed; without a limit as much as the disk holds.
    pub backlog: Option<BacklogLimit>,
    /// When the disk is too full to take messages; without it only when the store says so.
    pub disk: Option<DiskGuard>,
    /// Most messages a second that one peer may send.
    pub rate_limit: Option<NonZeroU32>,
    /// Most levels of objects and arrays in a message, itself counted.
    pub max_depth: NonZeroUsize,
    /// How long an identity is remembered.
    pub dedup_window: Duration,
    /// Most identities that are remembered.
    pub dedup_max: u64,
    /// How long messages are held for a peer that is away.
    pub peer_ttl: Duration,
    /// How long a settled message can still be traced.
    pub trace_retention: Duration,
    /// Most bytes that the traces of settled messages take.
    pub trace_max_bytes: u64,
    /// Most peers that have series of their own on the metrics page; the others are summed.
    pub metrics_peers: usize,
    /// How long a shutdown may take.
    pub shutdown_timeout: Duration,
    /// Limits of each link.
    pub link: LinkLimits,
    /// Limits of the listener.
    pub listen: ListenLimits,
    /// Limits of the stages.
    pub stages: StageLimits,
}

/// How deliveries are sent, and sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryRules {
    /// Most deliveries in flight to one peer.
    pub window: NonZeroU32,
    /// Most bytes in flight to one application, and 16 times as many to a relay; one message may always be.
    pub window_bytes: usize,
    /// How long a peer may take to settle a delivery before it is republished: from when it was sent, or from when the
    /// peer last settled one that was sent before it. It doubles with each republish.
    pub ack_timeout: Duration,
    /// How often a delivery is republished before it becomes a dead letter.
    pub max_republishes: u32,
    /// The first pause after a peer refused a delivery for now. It doubles up to
    /// [`longest_pause`](Self::longest_pause).
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
}

impl Default for DeliveryRules {
    fn default() -> Self {
        Self {
            window: NonZeroU32::MIN.saturating_add(1023),
            window_bytes: 1 << 20,
            ack_timeout: Duration::from_secs(30),
            max_republishes: 3,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// How much one peer may be owed, and what gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogLimit {
    /// Most deliveries, in flight ones included. What other relays send is taken beyond it where the policy is
    /// [`Reject`](BacklogPolicy::Reject).
    pub deliveries: NonZeroU64,
    /// What gives way.
    pub policy: BacklogPolicy,
}

/// What gives way where a backlog limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BacklogPolicy {
    /// The new message, where an application sends it: it gets a NACK `backlog_full`. What another relay sends was
    /// confirmed already and is taken.
    Reject,
    /// The oldest delivery: it becomes a dead letter `backlog`.
    DropOldest,
}

/// When the disk is too full to take messages.
#[derive(Clone)]
pub struct DiskGuard {
    /// Below this many free bytes nothing new is accepted.
    pub min_free: u64,
    /// Where the store is, for a person.
    pub place: String,
    /// Tells how many bytes are free there; nothing where the system does not count them, and why where it does not
    /// tell. It may block for a moment.
    pub free: Arc<dyn Fn() -> Result<Option<u64>, String> + Send + Sync>,
}

impl fmt::Debug for DiskGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskGuard").field("min_free", &self.min_free).finish_non_exhaustive()
    }
}

/// How long a stamp is remembered: 30 days.
pub(crate) const STAMP_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The bounds of what stands between the stages. The defaults suit every load that we know of; they are fields so
/// that tests can make them small.
#[derive(Debug, Clone)]
pub struct StageLimits {
    /// Most submissions that wait for a commit; beyond it readers wait.
    pub commit_queue: usize,
    /// Most bytes of messages that wait for a commit; beyond it readers wait. One message may always wait.
    pub commit_queue_bytes: u32,
    /// Most submissions in a batch.
    pub batch_operations: usize,
    /// Most decisions about deliveries in a batch. Beside traffic a batch takes fewer, since a commit holds up the
    /// confirms of those who wait for the next one.
    pub batch_decisions: usize,
    /// Most messages of one link that were taken in and not yet answered; beyond it its reader waits.
    pub unanswered: u32,
    /// Most deliveries that wait in memory for one link.
    pub lane_items: usize,
    /// Most bytes of them; one delivery may always wait.
    pub lane_bytes: usize,
    /// Most bytes that wait in memory for all links together; beyond it each link keeps only its next delivery.
    pub lanes_bytes: usize,
    /// The size of the pages in which a peer catches up.
    pub page: PageLimit,
    /// Most identities in one batched ACK.
    pub ack_batch: usize,
    /// How often the janitor looks.
    pub janitor_interval: Duration,
    /// How much the janitor purges between two commits.
    pub purge_budget: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            instance_id: None,
            tags: Arc::default(),
            cluster_group: ClusterGroup::singleton(),
            peers: Vec::new(),
            subscribers: Vec::new(),
            dial: DialLimits::default(),
            delivery: DeliveryRules::default(),
            backlog: None,
            disk: None,
            rate_limit: None,
            max_depth: DEFAULT_MAX_DEPTH,
            dedup_window: Duration::from_secs(60 * 60),
            dedup_max: 1_000_000,
            peer_ttl: 7 * DAY,
            trace_retention: DAY,
            trace_max_bytes: 1 << 30,
            metrics_peers: 100,
            shutdown_timeout: Duration::from_secs(10),
            link: LinkLimits::default(),
            listen: ListenLimits::default(),
            stages: StageLimits::default(),
        }
    }
}

impl Default for StageLimits {
    fn default() -> Self {
        Self {
            commit_queue: 4_096,
            commit_queue_bytes: 16 << 20,
            batch_operations: 2_048,
            batch_decisions: 8_192,
            unanswered: 4_096,
            lane_items: 2_048,
            lane_bytes: 512 << 10,
            lanes_bytes: 64 << 20,
            page: PageLimit {
                items: NonZeroU32::MIN.saturating_add(511),
                bytes: NonZeroUsize::MIN.saturating_add((256 << 10) - 1),
            },
            ack_batch: 256,
            janitor_interval: Duration::from_secs(1),
            purge_budget: NonZeroU32::MIN.saturating_add(16_383),
        }
    }
}
