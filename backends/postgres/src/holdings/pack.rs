//! A pack, and what makes its messages the messages that they are.

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, Fingerprint, HeldMessage, HeldOrigin, Identity, MessageId, Result, StoreError, Timestamp,
};
use tokio_postgres::Row;

use crate::bits::Bits;
use crate::pages::range;
use crate::sequences;

/// What makes a message the message it is.
pub(super) struct Named {
    pub(super) fingerprint: Option<i64>,
    received: i64,
    id: String,
    group: String,
}

impl Named {
    /// The row of a message, and its sequence.
    pub(super) fn read(row: &Row) -> Result<(i64, Self), tokio_postgres::Error> {
        let (fingerprint, received) = (row.try_get(1)?, row.try_get(2)?);
        Ok((row.try_get(0)?, Self { fingerprint, received, id: row.try_get(3)?, group: row.try_get(4)? }))
    }

    /// The message of which nothing else is remembered.
    pub(super) fn alone(&self, number: i64) -> Result<HeldMessage> {
        let damaged = |error: slipstream_store::InvalidId| StoreError::Corrupted(format!("an identity: {error}"));
        let fingerprint = Fingerprint::from_u64(self.fingerprint.unwrap_or_default().cast_unsigned());
        Ok(HeldMessage {
            sequence: sequences::read(number)?,
            identity: Identity {
                group: ClusterGroup::new(&self.group).map_err(damaged)?,
                id: MessageId::new(&self.id).map_err(damaged)?,
            },
            origin: HeldOrigin::Recorded { fingerprint, remembered: true },
            received_at: Timestamp::from_millis(self.received.unsigned_abs()),
            header: None,
            deliveries: Vec::new(),
            expires_at: None,
            text: Bytes::new(),
        })
    }
}

/// A pack as it was read.
pub(super) struct Pack<'a> {
    pub(super) no: i64,
    pub(super) recorded: Bits,
    /// Where the fields of each message end, and they; and the ways that they came.
    pub(super) meta: Option<(Vec<i32>, &'a [u8], &'a [u8])>,
    text_ends: Vec<i32>,
    texts: Option<&'a [u8]>,
}

impl<'a> Pack<'a> {
    pub(super) fn read(row: &'a Row) -> Result<Self, tokio_postgres::Error> {
        let meta = match row.try_get::<_, Option<&'a [u8]>>(3)? {
            Some(meta) => Some((row.try_get(2)?, meta, row.try_get(4)?)),
            None => None,
        };
        Ok(Self {
            no: row.try_get(0)?,
            recorded: row.try_get(1)?,
            meta,
            text_ends: row.try_get::<_, Option<Vec<i32>>>(5)?.unwrap_or_default(),
            texts: row.try_get(6)?,
        })
    }

    /// The text of a message, if it is kept.
    pub(super) fn text(&self, index: usize) -> Option<Bytes> {
        self.texts?.get(range(&self.text_ends, index)?).map(Bytes::copy_from_slice)
    }
}
