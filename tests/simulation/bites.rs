//! Relays that are broken on purpose: each is caught, by the invariant that is there for it, within a few seeds.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipstream::store::{
    Batch, DeadLetter, DeadLetterCount, DeadLetterCursor, DeadLetterFilter, Defect, Depth, DuplicateBy, Guarantee,
    Horizon, Identity, MessageStore, Operation, Outcome, Page, PageLimit, PeerId, Pending, Purged, Result, Roster,
    Sequence, Show, Stats, Timestamp, Trace,
};

use crate::plan::{Breakage, Fault, Plan};
use crate::run::{run, run_with};
use crate::tampering::{Tamper, Tampering};
use crate::world::Violation;

/// Within how many seeds a broken relay must be caught.
const SEEDS: u64 = 8;

fn bites(plan: &Plan, breakage: Breakage, invariants: &[&str]) {
    let plan = Plan { breakage, ..plan.clone() };
    let caught = (1..=SEEDS).find_map(|seed| run(&plan, seed, false).violation);
    let caught = caught.unwrap_or_else(|| panic!("not caught within {SEEDS} seeds; expected {invariants:?}"));
    assert!(invariants.contains(&caught.invariant), "{caught:?}");
}

fn storing(flaw: fn(Arc<dyn MessageStore>) -> Arc<dyn MessageStore>) -> Breakage {
    Breakage { store: flaw, ..Breakage::default() }
}

#[test]
fn a_disk_that_lies_about_syncing_is_caught() {
    let plan = Plan::mesh(1, &[]).with_faults(&[Fault::RelayCrash]);
    bites(&plan, Breakage { syncs_every: 50, ..Breakage::default() }, &["what is confirmed is kept"]);
}

#[test]
fn a_store_that_claims_duplicates_is_caught() {
    let plan = Plan::mesh(1, &[]);
    bites(&plan, storing(|inner| Flawed::over(inner, Flaw::ClaimsDuplicates)), &["what is confirmed is kept"]);
}

#[test]
fn a_store_that_turns_a_page_around_is_caught() {
    let plan = Plan::mesh(1, &[]).with_faults(&[Fault::ApplicationCrash]);
    bites(&plan, storing(|inner| Flawed::over(inner, Flaw::TurnsPages)), &["deliveries come in order"]);
}

#[test]
fn a_store_that_drops_acknowledgements_is_caught() {
    let plan = Plan::mesh(1, &[]);
    bites(&plan, storing(|inner| Flawed::over(inner, Flaw::DropsAcknowledgements)), &["everything settles"]);
}

#[test]
fn a_store_that_owes_nobody_is_caught() {
    let plan = Plan::mesh(1, &[]);
    bites(
        &plan,
        storing(|inner| Flawed::over(inner, Flaw::ForgetsRecipients)),
        &["what is confirmed is owed or settled"],
    );
}

#[test]
fn a_stream_that_loses_a_frame_is_caught() {
    let listener = |inner| Tampering::with(inner, Tamper::LosesFrames);
    bites(&Plan::mesh(1, &[]), Breakage { listener, ..Breakage::default() }, &["deliveries come in order"]);
}

#[test]
fn a_stream_that_swaps_frames_is_caught() {
    let listener = |inner| Tampering::with(inner, Tamper::SwapsFrames);
    bites(&Plan::mesh(1, &[]), Breakage { listener, ..Breakage::default() }, &["deliveries come in order"]);
}

/// Two relays that do not reach each other for a minute have what the other has by a third; identities are remembered
/// for less, so that it is stamps alone that tell repeats when the two meet again.
fn after_a_detour(store: fn(Arc<dyn MessageStore>) -> Arc<dyn MessageStore>) -> Option<Violation> {
    let mut plan = Plan::mesh(3, &[(0, 1), (1, 2), (2, 0)]);
    plan.settings.dedup_window = Duration::from_secs(10);
    plan.breakage.store = store;
    let outcome = run_with(&plan, 1, false, async |simulation| {
        let [one, other] = [0, 1].map(|index| simulation.relays[index].id.clone());
        simulation.network.cut(&one, &other);
        simulation.network.cut(&other, &one);
        tokio::time::sleep(Duration::from_secs(60)).await;
        simulation.network.mend(&one, &other);
        simulation.network.mend(&other, &one);
    });
    assert!(outcome.counts.sent > 100, "{:?}", outcome.counts);
    outcome.violation
}

#[test]
fn a_store_that_forgets_stamps_is_caught() {
    assert_eq!(after_a_detour(|store| store), None);
    let caught = after_a_detour(|inner| Flawed::over(inner, Flaw::ForgetsStamps));
    assert_eq!(caught.as_ref().map(|caught| caught.invariant), Some("nothing is recorded twice"), "{caught:?}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// Some messages are not stored, and said to be there already.
    ClaimsDuplicates,
    /// A page of what is owed comes newest first.
    TurnsPages,
    /// Some acknowledgements are not written, and said to be.
    DropsAcknowledgements,
    /// Some messages are stored without those who must get them.
    ForgetsRecipients,
    /// No stamp counts as seen.
    ForgetsStamps,
}

/// A store that is wrong about one in ten messages, or about every page.
#[derive(Debug)]
struct Flawed {
    inner: Arc<dyn MessageStore>,
    flaw: Flaw,
}

impl Flawed {
    fn over(inner: Arc<dyn MessageStore>, flaw: Flaw) -> Arc<dyn MessageStore> {
        Arc::new(Self { inner, flaw })
    }

    /// Whether the operation is one that goes wrong; the answer that is then given for it.
    fn lie(&self, operation: &Operation) -> Option<Outcome> {
        match (self.flaw, operation) {
            (Flaw::ClaimsDuplicates, Operation::Record(record)) if record.identity.id.as_str().ends_with('7') => {
                Some(Outcome::Duplicate { by: DuplicateBy::Identity })
            }
            (Flaw::DropsAcknowledgements, Operation::Acknowledge { sequence, .. }) if sequence.get() % 10 == 7 => {
                Some(Outcome::Applied)
            }
            _ => None,
        }
    }
}

#[async_trait]
impl MessageStore for Flawed {
    fn guarantee(&self) -> Guarantee {
        self.inner.guarantee()
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Vec<Outcome>> {
        let mut kept = Batch::clone(&batch);
        kept.operations.retain(|operation| self.lie(operation).is_none());
        for operation in &mut kept.operations {
            let Operation::Record(record) = operation else { continue };
            if self.flaw == Flaw::ForgetsStamps {
                record.stamp = None;
            }
            if self.flaw == Flaw::ForgetsRecipients && record.identity.id.as_str().ends_with('7') {
                Arc::make_mut(&mut record.route).recipients = Box::default();
            }
        }
        let mut outcomes = self.inner.commit(Arc::new(kept)).await?.into_iter();
        Ok(batch.operations.iter().filter_map(|operation| self.lie(operation).or_else(|| outcomes.next())).collect())
    }

    async fn pending(&self, peer: &PeerId, after: Option<Sequence>, limit: PageLimit) -> Result<Page<Pending>> {
        let mut page = self.inner.pending(peer, after, limit).await?;
        if self.flaw == Flaw::TurnsPages {
            page.items.reverse();
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

    async fn dead_letter_counts(&self) -> Result<Vec<DeadLetterCount>> {
        self.inner.dead_letter_counts().await
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
