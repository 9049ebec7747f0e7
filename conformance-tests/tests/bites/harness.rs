//! Opens the model with one flaw, and has the flaws that lie in the opening.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use slipstream_conformance::{Harness, ModelMedium, ModelStore};
use slipstream_store::{Horizon, MessageStore, Operation, Result, StoreError, Timestamp};

use crate::broken::{Broken, Instead};
use crate::flaw::Flaw;

/// What the file of an undamaged store holds.
const WHOLE: &[u8] = b"a store with a flaw";

pub(crate) struct BrokenHarness {
    flaw: Flaw,
    medium: ModelMedium,
    openings: AtomicU32,
    /// Stores that are open, for the flaws that never let go.
    kept: Mutex<Vec<Arc<ModelStore>>>,
    /// What is opened in the place of a path.
    instead: Instead,
}

impl BrokenHarness {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            medium: ModelMedium::default(),
            openings: AtomicU32::new(0),
            kept: Mutex::default(),
            instead: Instead::default(),
        }
    }

    /// The file stands for all data: it is looked at before anything else is.
    fn look_for_damage(&self, place: &Path) -> Result<()> {
        match fs::read(place) {
            Ok(bytes) if bytes == WHOLE || self.flaw == Flaw::OpensDamaged => Ok(()),
            Ok(_) => {
                if self.flaw == Flaw::WritesOverDamage {
                    fs::write(place, WHOLE).unwrap();
                }
                Err(StoreError::Corrupted(format!("{}: the file was changed", place.display())))
            }
            Err(_) => {
                fs::write(place, WHOLE).unwrap();
                Ok(())
            }
        }
    }

    fn open_model(&self, place: &Path, opening: u32) -> Result<Arc<ModelStore>> {
        let mut kept = self.kept.lock();
        let shares = self.flaw == Flaw::OpensTwice && !kept.is_empty();
        if shares {
            return Ok(Arc::clone(&kept[0]));
        }
        let instead = self.instead.lock().get(place).cloned();
        let mut place = instead.unwrap_or_else(|| place.to_owned());
        if self.flaw == Flaw::ForgetsAtReopening {
            place = place.join(opening.to_string());
        }
        let store = Arc::new(ModelStore::open(&self.medium, &place)?);
        if matches!(self.flaw, Flaw::OpensTwice | Flaw::NeverFreesItsPlace) {
            kept.push(Arc::clone(&store));
        }
        Ok(store)
    }
}

#[async_trait]
impl Harness for BrokenHarness {
    type Store = Broken;

    async fn open(&self, place: &Path) -> Result<Broken> {
        self.look_for_damage(place)?;
        let opening = self.openings.fetch_add(1, Ordering::Relaxed);
        let mut inner = self.open_model(place, opening)?;
        if self.flaw == Flaw::ForgetsIdentitiesAtReopening {
            inner.purge(Horizon { identities: Timestamp::MAX, ..Horizon::NOTHING }, NonZeroU32::MAX).await?;
        }
        let stats = inner.stats().await?;
        if self.flaw == Flaw::ReusesSequences && stats.pending + stats.dead_letters == 0 {
            let fresh = Arc::new(ModelStore::open(&self.medium, &place.join(opening.to_string()))?);
            let peers =
                inner.roster().await?.peers.into_iter().map(|known| Operation::RememberPeer(Box::new(known.peer)));
            fresh.commit(Arc::new(peers.collect::<Vec<_>>().into())).await?;
            inner = fresh;
        }
        Ok(Broken::new(inner, self.flaw, opening, place.to_owned(), Arc::clone(&self.instead)))
    }
}
