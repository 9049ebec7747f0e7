//! What a relay is told at its start, and every limit that it keeps.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use slipstream_store::{ClusterGroup, PageLimit, PeerId, Tag};

use crate::link::LinkLimits;
use crate::listen::ListenLimits;

/// How a relay behaves. [`Settings::default`] gives the documented defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The id of the relay. Without one it keeps the id that its store remembers, or makes one.
    pub instance_id: Option<PeerId>,
    /// The tags that it announces.
    pub tags: Arc<[Tag]>,
    /// The cluster group that it announces.
    pub cluster_group: ClusterGroup,
    /// Most deliveries in flight to one peer.
    pub window: NonZeroU32,
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
    /// How long a shutdown may take.
    pub shutdown_timeout: Duration,
    /// Limits of each link.
    pub link: LinkLimits,
    /// Limits of the listener.
    pub listen: ListenLimits,
    /// Limits of the stages.
    pub stages: StageLimits,
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
    /// Most operations in a batch, give or take the decisions of one peer.
    pub batch_operations: usize,
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
            window: NonZeroU32::MIN.saturating_add(1023),
            dedup_window: Duration::from_secs(60 * 60),
            dedup_max: 1_000_000,
            peer_ttl: 7 * DAY,
            trace_retention: DAY,
            trace_max_bytes: 1 << 30,
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
