//! The model as a shared store, with one flaw.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream_conformance::{Harness, ModelMedium, ModelStore};
use slipstream_store::{
    Batch, DeadLetter, DeadLetterCursor, DeadLetterFilter, Defect, Depth, Guarantee, Horizon, Identity, Member,
    MemberId, MessageStore, News, Operation, Outcome, Owed, Page, PageLimit, PeerId, Pending, Purged, RememberedPeer,
    Result, Roster, Sequence, SharedStore, Show, Stats, StoreError, Timestamp, Trace,
};

/// One way to break one clause of sharing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    // S1
    SharesNothing,
    ShowsLate,
    // S2
    IgnoresTheRoster,
    DoesWhatItRefuses,
    TakesBeingSeenForAChange,
    // S3
    ForgetsClaims,
    KeepsTheFirstClaim,
    RefusesAcknowledgements,
    TellsOwnClaimsAsOthers,
    // S4
    TellsNoNews,
    TellsNobodyInterleaved,
    TellsNoLostClaims,
    // S5
    RetiresNobody,
    RetiresTheLiving,
    KeepsClaimsOfTheDead,
    // S6
    GivesDutiesToAll,
    TakesDutiesAway,
}

pub(crate) struct FlawedHarness {
    flaw: Flaw,
    medium: ModelMedium,
    openings: AtomicU32,
    claimed: Claimed,
}

/// The peers that were claimed, for the flaws that look at them.
type Claimed = Arc<Mutex<BTreeSet<PeerId>>>;

impl FlawedHarness {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, medium: ModelMedium::default(), openings: AtomicU32::new(0), claimed: Claimed::default() }
    }
}

#[async_trait]
impl Harness for FlawedHarness {
    type Store = Flawed;

    async fn open(&self, place: &Path) -> Result<Flawed> {
        let opening = self.openings.fetch_add(1, Ordering::Relaxed);
        let own = if self.flaw == Flaw::SharesNothing { place.join(opening.to_string()) } else { place.to_owned() };
        let inner = ModelStore::open_shared(&self.medium, &own);
        let (medium, claimed) = (self.medium.clone(), Arc::clone(&self.claimed));
        Ok(Flawed {
            inner,
            flaw: self.flaw,
            medium,
            place: own,
            claimed,
            seen: AtomicBool::new(false),
            hidden: Mutex::default(),
        })
    }
}

#[derive(Debug)]
pub(crate) struct Flawed {
    inner: ModelStore,
    flaw: Flaw,
    medium: ModelMedium,
    place: PathBuf,
    claimed: Claimed,
    /// Whether a peer was remembered by this handle.
    seen: AtomicBool,
    /// What was hidden from a page once.
    hidden: Mutex<BTreeSet<Sequence>>,
}

impl Flawed {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn member_of(&self) -> &dyn SharedStore {
        self.inner.shared().unwrap()
    }
}

#[async_trait]
impl MessageStore for Flawed {
    fn guarantee(&self) -> Guarantee {
        self.inner.guarantee()
    }

    fn shared(&self) -> Option<&dyn SharedStore> {
        Some(self)
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        if self.is(Flaw::RefusesAcknowledgements) {
            let acknowledges = |operation: &Operation| match operation {
                Operation::Acknowledge { peer, .. } => self.claimed.lock().contains(peer),
                _ => false,
            };
            if batch.operations.iter().any(acknowledges) {
                return Ok(vec![Outcome::Unchanged; batch.operations.len()]);
            }
        }
        if self.is(Flaw::TakesBeingSeenForAChange) && batch.routed_by.is_some() && self.seen.load(Ordering::Relaxed) {
            return Err(StoreError::Outdated);
        }
        let remembers = |operation: &Operation| matches!(operation, Operation::RememberPeer(_));
        self.seen.fetch_or(batch.operations.iter().any(remembers), Ordering::Relaxed);
        match self.inner.commit(Arc::clone(&batch)).await {
            Err(StoreError::Outdated) if self.is(Flaw::IgnoresTheRoster) => {
                self.inner.commit(Arc::new(batch.operations.clone().into())).await
            }
            Err(StoreError::Outdated) if self.is(Flaw::DoesWhatItRefuses) => {
                self.inner.commit(Arc::new(batch.operations.clone().into())).await?;
                Err(StoreError::Outdated)
            }
            outcomes => outcomes,
        }
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        let mut page = self.inner.pending(peer, after, limit).await?;
        if self.is(Flaw::ShowsLate) {
            let mut hidden = self.hidden.lock();
            page.items.retain(|pending| pending.sequence.get() % 7 != 3 || !hidden.insert(pending.sequence));
        }
        Ok(page)
    }

    async fn deliveries(&self, identity: &Identity) -> Result<Option<Trace>> {
        self.inner.deliveries(identity).await
    }

    async fn exchanged(&self, peer: &PeerId, show: Show) -> Result<Timestamp> {
        self.inner.exchanged(peer, show).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterCursor>,
        limit: PageLimit,
    ) -> Result<Page<DeadLetter>> {
        self.inner.dead_letters(filter, after, limit).await
    }

    async fn roster(&self) -> Result<Roster> {
        self.inner.roster().await
    }

    async fn purge(&self, horizon: Horizon, budget: NonZeroU32) -> Result<Purged> {
        self.inner.purge(horizon, budget).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.inner.stats().await
    }

    async fn check(&self, depth: Depth) -> Result<Vec<Defect>> {
        self.inner.check(depth).await
    }

    async fn backup(&self, target: &Path) -> Result<()> {
        self.inner.backup(target).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl SharedStore for Flawed {
    fn member(&self) -> MemberId {
        self.member_of().member()
    }

    async fn claim(&self, peer: &PeerId) -> Result<Option<RememberedPeer>> {
        let is_first = self.claimed.lock().insert(peer.clone());
        if self.is(Flaw::KeepsTheFirstClaim) && !is_first {
            let roster = self.inner.roster().await?;
            return Ok(roster.peers.into_iter().find(|remembered| remembered.peer.id == *peer));
        }
        let claimed = self.member_of().claim(peer).await?;
        if self.is(Flaw::ForgetsClaims) {
            self.member_of().release(peer).await?;
        }
        Ok(claimed)
    }

    async fn release(&self, peer: &PeerId) -> Result<()> {
        self.member_of().release(peer).await
    }

    async fn claimed_by_others(&self) -> Result<Vec<PeerId>> {
        let mut claimed = self.member_of().claimed_by_others().await?;
        if self.is(Flaw::TellsOwnClaimsAsOthers) {
            claimed.extend(self.claimed.lock().iter().cloned());
        }
        Ok(claimed)
    }

    async fn take_duty(&self, duty: &str) -> Result<bool> {
        Ok(self.member_of().take_duty(duty).await? || self.is(Flaw::GivesDutiesToAll))
    }

    async fn leave_duty(&self, duty: &str) -> Result<()> {
        let given_back = if self.is(Flaw::TakesDutiesAway) { "another duty" } else { duty };
        self.member_of().leave_duty(given_back).await
    }

    async fn news(&self, most: Duration) -> Result<News> {
        if self.is(Flaw::TellsNoNews) {
            return Ok(News::NONE);
        }
        let news = self.member_of().news(most).await?;
        Ok(if self.is(Flaw::TellsNoLostClaims) { News { lost: Vec::new(), ..news } } else { news })
    }

    fn interleaved(&self) -> Owed {
        let interleaved = self.member_of().interleaved();
        if self.is(Flaw::TellsNobodyInterleaved) { Owed::NOBODY } else { interleaved }
    }

    async fn beat(&self) -> Result<Vec<Member>> {
        self.member_of().beat().await
    }

    async fn retire(&self, member: Member) -> Result<bool> {
        match self.flaw {
            Flaw::RetiresNobody => Ok(true),
            Flaw::RetiresTheLiving => {
                for beats in 0..=member.beats + 10 {
                    if self.member_of().retire(Member { beats, ..member }).await? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Flaw::KeepsClaimsOfTheDead => {
                let retired = self.member_of().retire(member).await?;
                // What the dead one had goes to another that never decides.
                let ghost = ModelStore::open_shared(&self.medium, &self.place);
                let claimed: Vec<_> = self.claimed.lock().iter().cloned().collect();
                for peer in claimed {
                    ghost.shared().unwrap().claim(&peer).await?;
                }
                std::mem::forget(ghost);
                Ok(retired)
            }
            _ => self.member_of().retire(member).await,
        }
    }
}
