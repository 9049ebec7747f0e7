//! The trait. Its documentation is the contract.

use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::batch::{Batch, Outcome};
use crate::dead_letter::{DeadLetter, DeadLetterCount, DeadLetterCounts, DeadLetterCursor, DeadLetterFilter};
use crate::error::Result;
use crate::exchange::Show;
use crate::guarantee::Guarantee;
use crate::ids::{Identity, PeerId};
use crate::peer::Roster;
use crate::shared::SharedStore;
use crate::values::{Sequence, Timestamp};
use crate::views::{Defect, Depth, Horizon, Page, PageLimit, Pending, Purged, Stats, Trace};

/// How many dead letters are read at once to count them.
const PAGE_OF_COUNTING: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

/// A durable store of messages and of what is owed to whom.
///
/// The relay holds one store and shares it between its stages. One stage alone calls [`commit`](Self::commit) and
/// [`purge`](Self::purge), one call at a time; the other methods may be called by anyone, at any time, also while a
/// commit runs.
///
/// # Contract
///
/// Each case of the conformance suite cites the clause that it checks.
///
/// - **C1 Atomic.** All operations of a batch apply, or none; each sees those before it in the batch.
/// - **C2 Durable.** `Ok` means durable as configured: with [`Durability::Full`](crate::Durability::Full), synced
///   to the medium before the call returns. An engine that cannot do so says so in its documentation and in
///   [`guarantee`](Self::guarantee).
/// - **C3 Repeatable.** Committing a batch again changes nothing and gives [`Outcome::Duplicate`] or
///   [`Outcome::Unchanged`], so that [`Indeterminate`](crate::StoreError::Indeterminate) is recoverable. (A
///   `Conflict` stays a `Conflict`.) An attempt carries its number; what depends on a delivery's state carries the
///   sequence that it was decided on. `RememberPeer` and `NameRelay` are `Unchanged` where they bring nothing new.
///   The promise is for the batch that was committed last; a batch that both forgets (`AdoptPeer`: the alias) and
///   remembers a peer, that remembers a peer or names the relay in two ways, or whose identities went behind the
///   horizon in between, is not repeatable in this sense.
/// - **C4 Identity.** The first write wins. Until its horizon, across reopening, a second record of an identity is
///   `Duplicate`, or `Conflict` where its fingerprint differs; a second record of a stamp is `Duplicate`.
///   An imported dead letter is no record, neither the first nor the second.
/// - **C5 Ascending.** Sequences ascend in the order of the operations and become visible in ascending order: once
///   a page has shown *n*, nothing new appears at or below *n*. A sequence is never given twice, also across
///   reopening, and also where everything before it was purged. Gaps are allowed.
/// - **C6 Pages.** `after` is exclusive. A page is one snapshot in ascending order, bounded in items and in bytes;
///   one oversized item still comes. `more` is exact.
/// - **C7 Redrive.** A redriven delivery has a new sequence and no attempts, so that live cursors see it.
/// - **C8 Dropped futures.** Dropping the future of a call cancels nothing that has begun; the outcome is then
///   unknown to the caller. The store stays whole.
/// - **C9 Purge.** A purge removes at most its budget, never a pending unexpired delivery, never what lies before
///   the horizon, and says whether there is more. Space is given back or reused: a store that turns over stays
///   bounded.
/// - **C10 Pure.** No wall clock and no randomness inside: equal calls in equal order give equal results.
/// - **C11 Exclusive.** A store is opened by one process at a time, and once within a process
///   ([`InUse`](crate::StoreError::InUse)), unless it is [`shared`](Self::shared): then the clauses S1 to S6 of
///   [`SharedStore`] hold instead. A damaged one is refused with a clear error and left as it was.
/// - **C12 Roster.** Peers and this relay's id are remembered; a peer's tags and its last-seen time are read back
///   after reopening.
/// - **C13 Exchanged.** What is told of an exchange is what was recorded and acknowledged, also after reopening, so
///   that two relays which agree tell the same.
///
/// # Errors
///
/// Every method may fail with any [`StoreError`](crate::StoreError); what the caller does next stands at each
/// variant. A failed commit has changed nothing, except where it is `Indeterminate`. Once a store has answered
/// `Poisoned` it answers nothing else until it is opened anew.
///
/// # Cancellation
///
/// See C8. A caller that needs the outcome keeps the future, for example in a task of its own.
#[async_trait]
pub trait MessageStore: fmt::Debug + Send + Sync + 'static {
    /// What an `Ok` from this store is worth. It does not change while the store is open.
    fn guarantee(&self) -> Guarantee;

    /// What the store offers to several processes that share it; `None`, the default, if it is exclusive (C11).
    fn shared(&self) -> Option<&dyn SharedStore> {
        None
    }

    /// Applies a batch, and answers one outcome for each operation, in the same order (C1, C2, C3, C4, C5).
    ///
    /// An empty batch answers an empty list. The relay keeps batches to a size that it is configured with; a store
    /// need not split them.
    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>>;

    /// The pending deliveries of a peer after `after`, oldest first (C5, C6). For a peer that is not remembered the
    /// page is empty.
    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>>;

    /// Where a message stands, peer by peer, or `None` where nothing is known of it.
    ///
    /// It is answered at least while a delivery of the message is pending or a dead letter, and until
    /// [`Horizon::traces`] has passed the time at which the last delivery was settled (for a message that was owed
    /// to nobody: the time at which it was received), unless [`Horizon::max_trace_bytes`] was exceeded. Where an
    /// identity was recorded again after its horizon, the newest record is meant.
    ///
    /// Dead letters that were imported after that record, and what was redriven of them, are deliveries of the trace, too;
    /// of each peer the delivery with the newest sequence is told. Where no record is known (any more), the newest of the
    /// imported messages says the rest.
    ///
    /// This may read much of the store; it is for people, not for the flow of messages.
    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>>;

    /// Shows what this relay and a peer exchanged: each message that was recorded with an epoch and whose trace is kept,
    /// once for each time that it was recorded, in no order (C13). Imported dead letters are none.
    ///
    /// The answer is the time from which on none is missing: of those that were received before, some may have been
    /// forgotten for [`Horizon::max_trace_bytes`]. For their age others may be missing, as
    /// [`deliveries`](Self::deliveries) says.
    ///
    /// It reads all traces, as of one commit; it is for people, not for the flow of messages. Once `show` has enough, it
    /// ends soon.
    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp>;

    /// The dead letters that `filter` means, after `after`, by sequence and then by peer id (C6).
    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>>;

    /// How many dead letters there are: an entry for each peer that has any and each class of their reasons, by peer id
    /// and then by class. Together they are [`Stats::dead_letters`].
    ///
    /// It is asked for often. A store that keeps the counts answers from them, however many dead letters there are; this
    /// default reads all of them, in pages, and may miss or double what changes meanwhile.
    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        let (mut counts, mut after) = (DeadLetterCounts::default(), None);
        loop {
            let limit = PageLimit::items(PAGE_OF_COUNTING);
            let page = self.dead_letters(&DeadLetterFilter::default(), after, limit).await?;
            for dead in &page.items {
                counts.add(&dead.peer, dead.reason.class(), 1, dead.dead_at);
            }
            match page.items.last() {
                Some(last) if page.more => {
                    after = Some(DeadLetterCursor { sequence: last.sequence, peer: last.peer.clone() });
                }
                _ => return Ok(counts.into()),
            }
        }
    }

    /// The relay's id and the remembered peers (C12).
    async fn roster(&self) -> Result<Roster>;

    /// Forgets what lies behind the horizon, at most `budget` things, and gives their space back or makes it
    /// reusable (C9). Call it again while it says `more`.
    ///
    /// It counts as one of its budget: each message that nobody is owed any more, each identity, each row of stamps,
    /// each trace record, and each delivery that ends as expired. Once a purge says that there is no more, no
    /// identity behind the horizon is remembered, no delivery is pending whose expiry lies at or before
    /// [`Horizon::expiries`], and [`Stats::messages`] counts only messages that are owed.
    ///
    /// A delivery that ends as expired here was settled at [`Horizon::now`]. Each call goes by the horizon that it
    /// is given, also by an earlier one than before; what was forgotten stays forgotten, also across reopening.
    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged>;

    /// How much is in the store. The counts are exact as of the last commit or purge.
    async fn stats(&self) -> Result<Stats>;

    /// Looks for damage and for contradictions. It changes nothing. An empty list means that none was found.
    async fn check(&self, depth: Depth) -> Result<Vec<Defect>>;

    /// Writes a copy of the store, as of one commit, to `target`, which must not exist yet. The same engine opens
    /// it. Commits go on meanwhile where the engine can; otherwise they wait.
    async fn backup(&self, target: &Path) -> Result<()>;

    /// Finishes what was begun and closes the store, so that another process may open it. Every later call answers
    /// [`Closed`](crate::StoreError::Closed), and closing again what it answered the first time.
    ///
    /// # Errors
    /// `Poisoned` where the store was; another where it is closed, but not in order, as where its last sync failed.
    /// What was confirmed is durable nevertheless, as far as the [guarantee](Self::guarantee) goes.
    async fn close(&self) -> Result<()>;
}
