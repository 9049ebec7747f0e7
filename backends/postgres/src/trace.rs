//! Where a message stands, peer by peer.

use std::collections::BTreeMap;

use slipstream_store::{
    DeadLetterReason, DeliveryState, Identity, PeerId, Result, Sequence, StoreError, Timestamp, Trace, TracedDelivery,
};
use tokio_postgres::Row;

use crate::errors::unreadable;
use crate::fields::{self, Fields, Way};
use crate::pages::{attempts, reason_of, settled_as, time};
use crate::pool::Pool;
use crate::sequences;

const TRACE: &str = "SELECT * FROM slipstream.trace($1, $2)";

/// The trace of an identity.
pub(crate) async fn read(readers: &Pool, identity: &Identity) -> Result<Option<Trace>> {
    let rows = readers.query(TRACE, &[&identity.group.as_str(), &identity.id.as_str()]).await?;
    let mut origins: BTreeMap<i64, Origin> = BTreeMap::new();
    for row in &rows {
        let number: i64 = row.try_get("origin").map_err(|error| unreadable(&error))?;
        origins.entry(number).or_default().take(row)?;
    }
    // The record comes before the imports that belong to it; if there is none, the newest import says the rest.
    let said = |origin: &Origin| origin.said.clone();
    let record = origins.values().filter_map(said).find(|(_, _, is_record)| *is_record);
    let Some((fields, way, _)) = record.or_else(|| origins.values().rev().find_map(said)) else { return Ok(None) };
    let mut deliveries: BTreeMap<PeerId, TracedDelivery> = BTreeMap::new();
    for delivery in origins.into_values().flat_map(Origin::deliveries) {
        let newest = deliveries.entry(delivery.peer.clone()).or_insert_with(|| delivery.clone());
        if newest.sequence < delivery.sequence {
            *newest = delivery;
        }
    }
    Ok(Some(Trace {
        identity: identity.clone(),
        message_type: fields.message_type,
        key: fields.key,
        received_at: fields.received_at,
        received_from: way.received_from,
        path: way.path,
        deliveries: deliveries.into_values().collect(),
    }))
}

/// What became of one record or import.
#[derive(Debug, Default)]
struct Origin {
    said: Option<(Fields, Way, bool)>,
    peers: BTreeMap<PeerId, Peer>,
}

/// What became of its deliveries to one peer.
#[derive(Debug, Default)]
struct Peer {
    /// The delivery that is pending or a dead letter.
    open: Option<TracedDelivery>,
    /// The newest sequence that the peer had the message under, and how that was settled.
    newest: Option<(Sequence, Option<(Timestamp, DeliveryState)>)>,
}

impl Origin {
    fn take(&mut self, row: &Row) -> Result<()> {
        let get = || -> Result<_, tokio_postgres::Error> {
            let meta: Option<&[u8]> = row.try_get("meta")?;
            let state: Option<i16> = row.try_get("state")?;
            Ok((meta, row.try_get::<_, Option<&[u8]>>("routes")?, state))
        };
        let (meta, routes, state) = get().map_err(|error| unreadable(&error))?;
        if let (Some(meta), Some(routes)) = (meta, routes) {
            let fields = fields::decode(meta)?;
            let missing = || StoreError::Corrupted("a message whose route is not there".to_owned());
            let way = fields::decode_routes(routes)?.into_iter().nth(fields.route).ok_or_else(missing)?;
            let is_record: bool = row.try_get("is_record").map_err(|error| unreadable(&error))?;
            self.said = Some((fields, way, is_record));
        }
        state.map_or(Ok(()), |state| self.happened(state, row))
    }

    /// Notes what happened to a delivery.
    fn happened(&mut self, state: i16, row: &Row) -> Result<()> {
        let get = || -> Result<_, tokio_postgres::Error> {
            let (peer, seq): (&str, i64) = (row.try_get("peer")?, row.try_get("seq")?);
            let (at, number): (Option<i64>, i64) = (row.try_get("at")?, row.try_get("number")?);
            Ok((peer, seq, at.map(time), number, row.try_get::<_, Option<&[u8]>>("reason")?))
        };
        let (name, seq, at, number, reason) = get().map_err(|error| unreadable(&error))?;
        let id = PeerId::new(name).map_err(|error| StoreError::Corrupted(format!("a trace: {error}")))?;
        let sequence = sequences::read(seq)?;
        let peer = self.peers.entry(id.clone()).or_default();
        let state = match state {
            0 | -2 => {
                let reason = reason.map(reason_of).transpose()?;
                peer.open = Some(open(id, sequence, at, attempts(number), reason));
                return Ok(());
            }
            state => settled_as(state),
        };
        peer.note(sequence, state.map(|state| (at.unwrap_or_default(), state)));
        Ok(())
    }

    fn deliveries(self) -> impl Iterator<Item = TracedDelivery> {
        self.peers.into_iter().filter_map(|(id, peer)| {
            peer.open.or_else(|| {
                let (sequence, settled) = peer.newest?;
                let (at, state) = settled?;
                Some(TracedDelivery { state, settled_at: Some(at), ..open(id, sequence, None, 0, None) })
            })
        })
    }
}

impl Peer {
    /// Of a delivery that was settled twice, which takes an adoption or a late acknowledgement of a dead letter, the
    /// latest time counts.
    fn note(&mut self, sequence: Sequence, settled: Option<(Timestamp, DeliveryState)>) {
        let rank = |(at, state): (Timestamp, DeliveryState)| (at, state != DeliveryState::Dead, state as u8);
        let is_later = match self.newest {
            None => true,
            Some((before, how)) => sequence > before || sequence == before && settled.map(rank) > how.map(rank),
        };
        if is_later {
            self.newest = Some((sequence, settled));
        }
    }
}

/// An open delivery: a dead letter if it has a reason.
fn open(
    peer: PeerId,
    sequence: Sequence,
    at: Option<Timestamp>,
    attempts: u32,
    reason: Option<DeadLetterReason>,
) -> TracedDelivery {
    let is_dead = reason.is_some();
    TracedDelivery {
        peer,
        sequence,
        state: if is_dead { DeliveryState::Dead } else { DeliveryState::Pending },
        attempts,
        last_attempt_at: at.filter(|_| !is_dead),
        settled_at: at.filter(|_| is_dead),
        reason,
    }
}
