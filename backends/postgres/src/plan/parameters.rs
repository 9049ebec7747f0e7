//! The parameters of the statement, in its order. The schema says what they mean.

use std::collections::HashMap;

use serde_json::Value;
use tokio_postgres::types::ToSql;

use super::steps::{Step, count};
use crate::bits::Bits;
use slipstream_store::Result;

/// What the statement is told beside the operations.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The number of the process.
    pub(crate) origin: i64,
    /// The roster by which messages were routed.
    pub(crate) routed_by: Option<i64>,
    /// The first pack that was not given when this process recorded last.
    pub(crate) last_pack: i64,
}

/// All parameters but those of the caller.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'a> {
    pub(super) claims: Claims<'a>,
    pub(super) packs: i32,
    pub(super) reordered: bool,
    pub(super) steps: Vec<i32>,
    pub(super) settled: Settled<'a>,
    pub(super) dead: Dead<'a>,
    pub(super) attempts: Attempts<'a>,
    pub(super) recorded: Recorded<'a>,
    pub(super) stored: Stored<'a>,
    pub(super) owed: Owed<'a>,
    pub(super) rare: Vec<Value>,
    pub(super) blobs: Vec<Vec<u8>>,
    /// What `rare` is as one value, and whether the head is locked.
    sealed: (Value, bool),
}

/// The peers whose claims are looked at.
#[derive(Debug, Default)]
pub(super) struct Claims<'a> {
    peers: Vec<&'a str>,
    places: HashMap<&'a str, i32>,
    /// Whether any of them are changed.
    pub(super) alters: bool,
}

impl<'a> Claims<'a> {
    /// The place of a peer among them, counted from 1.
    pub(super) fn place(&mut self, peer: &'a str) -> Result<i32> {
        // Neighbours are mostly about the same.
        match self.peers.last() {
            Some(last) if *last == peer => return count(self.peers.len()),
            _ => {}
        }
        if let Some(place) = self.places.get(peer) {
            return Ok(*place);
        }
        self.peers.push(peer);
        let place = count(self.peers.len())?;
        self.places.insert(peer, place);
        Ok(place)
    }
}

#[derive(Debug, Default)]
pub(super) struct Settled<'a> {
    pub(super) peer: Vec<&'a str>,
    pub(super) pack: Vec<i64>,
    pub(super) state: Vec<i16>,
    pub(super) at: Vec<i64>,
    pub(super) bits: Vec<Bits>,
}

#[derive(Debug, Default)]
pub(super) struct Dead<'a> {
    pub(super) peer: Vec<&'a str>,
    pub(super) seq: Vec<i64>,
    pub(super) reason: Vec<Vec<u8>>,
    pub(super) class: Vec<&'a str>,
    pub(super) attempts: Vec<i64>,
    pub(super) at: Vec<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Attempts<'a> {
    pub(super) peer: Vec<&'a str>,
    pub(super) seq: Vec<i64>,
    pub(super) number: Vec<i64>,
    pub(super) at: Vec<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Recorded<'a> {
    pub(super) pack: Vec<i32>,
    pub(super) index: Vec<i32>,
    pub(super) group: Vec<&'a str>,
    pub(super) id: Vec<&'a str>,
    pub(super) fingerprint: Vec<i64>,
    pub(super) received: Vec<i64>,
    pub(super) epoch: Vec<Option<Vec<u8>>>,
    pub(super) block: Vec<Option<i64>>,
    pub(super) bit: Vec<Option<i32>>,
    pub(super) asks: Vec<bool>,
    /// The place of its sender among the claims, 0 if that does not matter.
    pub(super) from: Vec<i32>,
}

#[derive(Debug, Default)]
pub(super) struct Stored<'a> {
    pub(super) pack: Vec<i32>,
    pub(super) count: Vec<i32>,
    pub(super) received: Vec<i64>,
    pub(super) expires_min: Vec<Option<i64>>,
    pub(super) recorded: Vec<Bits>,
    pub(super) meta: Vec<Vec<u8>>,
    pub(super) routes: Vec<Vec<u8>>,
    pub(super) texts: Vec<Pieces<'a>>,
    pub(super) from: Vec<i32>,
    pub(super) meta_end: Vec<i32>,
    pub(super) text_end: Vec<i32>,
    pub(super) expires: Vec<Option<i64>>,
}

#[derive(Debug, Default)]
pub(super) struct Owed<'a> {
    pub(super) pack: Vec<i32>,
    pub(super) peer: Vec<&'a str>,
    pub(super) bits: Vec<Bits>,
}

/// Bytes that stand in several places. They are put together only where they are sent.
#[derive(Debug, Default)]
pub(super) struct Pieces<'a>(pub(super) Vec<&'a [u8]>);

impl ToSql for Pieces<'_> {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.iter().for_each(|piece| out.extend_from_slice(piece));
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(ty: &tokio_postgres::types::Type) -> bool {
        *ty == tokio_postgres::types::Type::BYTEA
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> Parameters<'a> {
    /// Adds a step over these places of the arrays of its kind, counted from 0, the last not included.
    pub(super) fn step(&mut self, kind: Step, places: std::ops::Range<usize>, more: [i32; 2]) -> Result<()> {
        let (from, to) = (count(places.start + 1)?, count(places.end)?);
        self.steps.extend([kind as i32, from, to, more[0], more[1]]);
        Ok(())
    }

    /// Whom messages are for, each maybe more than once.
    pub(super) fn recipients(&self) -> impl Iterator<Item = &'a str> {
        self.owed.peer.iter().copied()
    }

    /// Adds a step for a rare operation, with its new pack, -1 if it makes none, and the first of its blobs.
    pub(super) fn rare_step(&mut self, operation: Value, pack: i32, blob: i32) -> Result<usize> {
        let at = self.rare.len();
        self.steps.extend([Step::Rare as i32, count(at)?, pack, blob, 0]);
        self.rare.push(operation);
        Ok(at)
    }

    /// All of them, behind those of the caller.
    pub(crate) fn values<'s>(&'s mut self, caller: &'s Caller) -> [&'s (dyn ToSql + Sync); 52] {
        self.sealed.1 = self.packs > 0 || !self.rare.is_empty() || !self.recorded.id.is_empty();
        self.sealed.0 = Value::Array(std::mem::take(&mut self.rare));
        let this: &'s Parameters<'a> = self;
        let (s, d, a, r, p, o) = (&this.settled, &this.dead, &this.attempts, &this.recorded, &this.stored, &this.owed);
        [
            &caller.origin,
            &caller.routed_by,
            &caller.last_pack,
            &this.claims.peers,
            &this.claims.alters,
            &this.sealed.1,
            &this.packs,
            &this.reordered,
            &this.steps,
            &s.peer,
            &s.pack,
            &s.state,
            &s.at,
            &s.bits,
            &d.peer,
            &d.seq,
            &d.reason,
            &d.class,
            &d.attempts,
            &d.at,
            &a.peer,
            &a.seq,
            &a.number,
            &a.at,
            &r.pack,
            &r.index,
            &r.group,
            &r.id,
            &r.fingerprint,
            &r.received,
            &r.epoch,
            &r.block,
            &r.bit,
            &r.asks,
            &r.from,
            &p.pack,
            &p.count,
            &p.received,
            &p.expires_min,
            &p.recorded,
            &p.meta,
            &p.routes,
            &p.texts,
            &p.from,
            &p.meta_end,
            &p.text_end,
            &p.expires,
            &o.pack,
            &o.peer,
            &o.bits,
            &this.sealed.0,
            &this.blobs,
        ]
    }
}
