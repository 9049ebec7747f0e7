//! Stamps without their messages, which may be long forgotten.
//!
//! A message whose identity is remembered leaves nothing but its stamp. So a few messages are recorded, the *marks*; each
//! stamp comes with one of them once more; and in the end the marks are forgotten, as are messages whose traces took too much
//! room: then the store says itself since when its traces are whole.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DuplicateBy, Fingerprint, HeldHeader, Horizon, Identity, MessageId, MessageStore, MessageType,
    Operation, Outcome, PeerId, Record, Result, Route, Stamp, StoreError, Timestamp,
};

use crate::cursor::Stamps;

/// How many marks there are, and so the most stamps of a batch.
const MARKS: usize = 1024;

/// Most things that one purge removes.
const BUDGET: NonZeroU32 = NonZeroU32::MIN.saturating_add(99_999);

/// The name of what a transfer needs for itself.
pub(crate) const OWN: &str = "slipstream-migrate";

/// What is said of a message of which only the identity is known.
pub(crate) fn forgotten() -> Result<HeldHeader> {
    Ok(HeldHeader {
        message_type: MessageType::new("FORGOTTEN").map_err(own)?,
        key: None,
        received_from: PeerId::new(OWN).map_err(own)?,
        path: Vec::new(),
        epoch: None,
    })
}

/// A name of a transfer's own that is none.
#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub(crate) fn own(error: slipstream_store::InvalidId) -> StoreError {
    StoreError::Unsupported(format!("a name for migrating: {error}"))
}

/// What the target did otherwise than it was to.
pub(crate) fn unexpected(operation: &Operation, outcome: Outcome) -> StoreError {
    StoreError::Corrupted(format!("the new store gives {outcome:?} for {operation:?}"))
}

/// Has the target, in which there are no messages, remember all stamps of a source, and say that what was received before
/// this time may be missing.
pub(crate) async fn transfer(mut stamps: Stamps<'_>, target: &dyn MessageStore, whole_since: Timestamp) -> Result<()> {
    let mut marks = Marks { target, received_at: before(whole_since), operations: Vec::new(), are_there: false };
    while let Some(held) = stamps.next().await? {
        for number in held.numbers {
            marks.see(Stamp { epoch: held.epoch, number }, held.latest).await?;
        }
    }
    marks.flush().await?;
    if whole_since > Timestamp::ZERO {
        marks.record().await?;
    }
    if !marks.are_there {
        return Ok(());
    }
    let nothing = Horizon { max_identities: 0, ..Horizon::NOTHING };
    purge(
        target,
        match whole_since {
            Timestamp::ZERO => Horizon { traces: Timestamp::MAX, ..nothing },
            _ => Horizon { max_trace_bytes: 0, ..nothing },
        },
    )
    .await
}

/// Purges until nothing is left behind the horizon.
pub(crate) async fn purge(target: &dyn MessageStore, horizon: Horizon) -> Result<()> {
    while target.purge(horizon, BUDGET).await?.more {}
    Ok(())
}

fn before(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_sub(1))
}

struct Marks<'t> {
    target: &'t dyn MessageStore,
    received_at: Timestamp,
    operations: Vec<Operation>,
    are_there: bool,
}

impl Marks<'_> {
    /// Records the marks, unless they are there.
    async fn record(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.are_there, true) {
            let marks = (0..MARKS).map(|number| mark(number, None, self.received_at)).collect::<Result<Vec<_>>>()?;
            self.target.commit(Arc::new(marks.into())).await?;
        }
        Ok(())
    }

    async fn see(&mut self, stamp: Stamp, at: Timestamp) -> Result<()> {
        self.operations.push(mark(self.operations.len(), Some(stamp), at)?);
        if self.operations.len() == MARKS { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<()> {
        if self.operations.is_empty() {
            return Ok(());
        }
        self.record().await?;
        let batch = Arc::new(std::mem::take(&mut self.operations).into());
        let outcomes = self.target.commit(Arc::clone(&batch)).await?;
        let known = Outcome::Duplicate { by: DuplicateBy::Identity };
        let wrong = batch.operations.iter().zip(outcomes).find(|(_, outcome)| *outcome != known);
        wrong.map_or(Ok(()), |(operation, outcome)| Err(unexpected(operation, outcome)))
    }
}

/// Records a mark, or has its stamp be seen.
fn mark(number: usize, stamp: Option<Stamp>, received_at: Timestamp) -> Result<Operation> {
    let HeldHeader { message_type, key, received_from, epoch, .. } = forgotten()?;
    Ok(Operation::Record(Box::new(Record {
        identity: Identity {
            group: ClusterGroup::new(OWN).map_err(own)?,
            id: MessageId::new(number.to_string()).map_err(own)?,
        },
        fingerprint: Fingerprint::from_u64(0),
        message_type,
        key,
        expires_at: None,
        received_at,
        stamp,
        epoch,
        route: Arc::new(Route { received_from, path: Box::new([]), recipients: Box::new([]) }),
        text: Bytes::new(),
    })))
}
