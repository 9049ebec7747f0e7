//! What the statement answers, as the outcomes of the operations.

use std::collections::HashSet;

use slipstream_store::{DuplicateBy, Outcome, Owed, PeerId, Result, StoreError};
use tokio_postgres::Row;

use super::planned::{Asked, Plan};
use crate::bits::Bits;
use crate::errors::unreadable;
use crate::hints::{Hint, Made};
use crate::{membership, sequences};

/// What the statement answered.
#[derive(Debug)]
pub(crate) struct Done {
    base: Option<i64>,
    codes: Vec<i16>,
    hits: Vec<Bits>,
    late: HashSet<(usize, i64)>,
    noted: HashSet<i32>,
    rare: Vec<bool>,
    /// How many bytes of texts went.
    pub(crate) freed: u64,
    /// The next pack, if messages were recorded, and whom others made owed something since this process did so before.
    pub(crate) recorded: Option<(i64, Owed)>,
}

impl TryFrom<&Row> for Done {
    type Error = StoreError;

    fn try_from(row: &Row) -> Result<Self> {
        let get_late = || -> Result<_, tokio_postgres::Error> {
            let groups: Vec<i32> = row.try_get::<_, Option<_>>("late_group")?.unwrap_or_default();
            let sequences: Vec<i64> = row.try_get::<_, Option<_>>("late_seq")?.unwrap_or_default();
            Ok(groups.into_iter().filter_map(|group| usize::try_from(group).ok()).zip(sequences).collect())
        };
        let get = || -> Result<_, tokio_postgres::Error> {
            Ok(Self {
                base: row.try_get("base")?,
                codes: row.try_get("codes")?,
                hits: row.try_get("hits")?,
                late: get_late()?,
                noted: row.try_get::<_, Vec<i32>>("noted")?.into_iter().collect(),
                rare: row.try_get("rare_done")?,
                freed: row.try_get::<_, i64>("freed")?.unsigned_abs(),
                recorded: None,
            })
        };
        let next = || -> Result<_, tokio_postgres::Error> {
            Ok((row.try_get("next_pack")?, row.try_get("others_owe")?, row.try_get("others_owe_anyone")?))
        };
        let mut done = get().map_err(|error| unreadable(&error))?;
        if done.codes.contains(&0) {
            let (pack, peers, anyone): (_, _, Option<bool>) = next().map_err(|error| unreadable(&error))?;
            done.recorded = Some((pack, membership::owed(peers, anyone.unwrap_or_default())?));
        }
        Ok(done)
    }
}

impl Plan<'_> {
    /// The outcomes, in the order of the operations.
    ///
    /// # Errors
    /// `Corrupted` if the answer is not one to this plan.
    pub(crate) fn outcomes(&self, done: &Done) -> Result<Vec<Outcome>> {
        self.asked.iter().map(|asked| outcome(*asked, done)).collect()
    }

    /// What others are to be told.
    pub(crate) fn hint(&self, done: &Done) -> Option<Hint> {
        if done.rare.contains(&true) {
            return Some(Hint::Look);
        }
        let (from, next) = (done.base?, done.recorded.as_ref()?.0);
        let peers: Result<_, _> = self.parameters.recipients().map(PeerId::new).collect();
        Some(peers.map_or(Hint::Look, |peers| Hint::Made(Made { from, next, peers })))
    }
}

fn outcome(asked: Asked, done: &Done) -> Result<Outcome> {
    let missing = || StoreError::Corrupted("the database answered another batch".to_owned());
    let changed = |changed: bool| if changed { Outcome::Applied } else { Outcome::Unchanged };
    let new = |pack: i32, index: i32| {
        let base = done.base.ok_or_else(missing)?;
        sequences::sequence(base + i64::from(pack), usize::try_from(index).map_err(|_| missing())?)
    };
    Ok(match asked {
        Asked::Nothing => Outcome::Unchanged,
        Asked::Record { at, place } => match (done.codes.get(at), place) {
            (Some(0), Some((pack, index))) => Outcome::Recorded { sequence: new(pack, index)? },
            (Some(1), _) => Outcome::Duplicate { by: DuplicateBy::Identity },
            (Some(2), _) => Outcome::Duplicate { by: DuplicateBy::Stamp },
            (Some(3), _) => Outcome::Conflict,
            (Some(4 | 5), _) => Outcome::Unchanged,
            _ => return Err(missing()),
        },
        Asked::Settle { group, index, late } => {
            let is_late = |sequence| done.late.contains(&(group + 1, sequences::number(sequence)));
            match done.hits.get(group).ok_or_else(missing)?.is_set(index) {
                false if late.is_some_and(is_late) => Outcome::AcknowledgedLate,
                hit => changed(hit),
            }
        }
        Asked::Attempt { at } => changed(i32::try_from(at + 1).is_ok_and(|place| done.noted.contains(&place))),
        Asked::Rare { at } => changed(*done.rare.get(at).ok_or_else(missing)?),
        Asked::Redrive { at, pack } if *done.rare.get(at).ok_or_else(missing)? => {
            Outcome::Redriven { sequence: new(pack, 0)? }
        }
        Asked::Import { at, pack } if *done.rare.get(at).ok_or_else(missing)? => {
            Outcome::Imported { sequence: new(pack, 0)? }
        }
        Asked::Redrive { .. } | Asked::Import { .. } => Outcome::Unchanged,
    })
}
