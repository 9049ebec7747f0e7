//! Messages that are recorded, as packs.

use std::collections::HashMap;
use std::sync::Arc;

use slipstream_store::{Identity, Record, Result, Route, Stamp};

use super::deliveries::millis;
use super::parameters::Pieces;
use super::planned::{Asked, Plan};
use super::steps::{Step, count};
use crate::bits::Bits;
use crate::fields;
use crate::sequences::PACK;

/// Most bytes of a pack's texts, unless one alone is larger. A page reads up to one pack more than it shows.
const PACK_BYTES: usize = 256 * 1024;

/// Records that are taken together.
#[derive(Debug, Default)]
pub(super) struct Records<'a> {
    taken: Vec<Taken<'a>>,
    layers: usize,
    identities: HashMap<&'a Identity, usize>,
    stamps: HashMap<Stamp, usize>,
}

#[derive(Debug, Clone, Copy)]
struct Taken<'a> {
    at: usize,
    record: &'a Record,
    asks: bool,
    layer: usize,
}

impl<'a> Records<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    pub(super) fn take(&mut self, at: usize, record: &'a Record, asks: bool) {
        let mut layer = self.identities.get(&record.identity).copied().unwrap_or_default();
        if let Some(stamp) = record.stamp {
            layer = layer.max(self.stamps.get(&stamp).copied().unwrap_or_default());
            self.stamps.insert(stamp, layer + 1);
        }
        self.identities.insert(&record.identity, layer + 1);
        self.layers = self.layers.max(layer + 1);
        self.taken.push(Taken { at, record, asks, layer });
    }

    /// A step for each layer, and one that stores the packs. Sequences go by the order of the operations, whatever the
    /// layer.
    pub(super) fn plan(self, plan: &mut Plan<'a>) -> Result<()> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let first_pack = plan.parameters.stored.pack.len();
        let places = store(plan, &self.taken)?;
        for layer in 0..self.layers {
            let first = plan.parameters.recorded.id.len();
            let mut flags = [0, 0];
            for (taken, place) in self.taken.iter().zip(&places).filter(|(taken, _)| taken.layer == layer) {
                flags[0] |= i32::from(taken.record.stamp.is_some());
                flags[1] |= i32::from(taken.asks);
                push(plan, taken, *place)?;
            }
            let step = first..plan.parameters.recorded.id.len();
            plan.parameters.step(Step::Record, step, flags)?;
        }
        let packs = first_pack..plan.parameters.stored.pack.len();
        if packs.is_empty() { Ok(()) } else { plan.parameters.step(Step::Store, packs, [0, 0]) }
    }
}

fn push<'a>(plan: &mut Plan<'a>, taken: &Taken<'a>, place: Option<(i32, i32)>) -> Result<()> {
    let sender = taken.record.route.received_from.as_str();
    let from = if taken.asks { 0 } else { plan.parameters.claims.place(sender)? };
    let recorded = &mut plan.parameters.recorded;
    let record = taken.record;
    plan.asked[taken.at] = Asked::Record { at: recorded.id.len(), place };
    let (pack, index) = place.unwrap_or((-1, -1));
    recorded.pack.push(pack);
    recorded.index.push(index);
    recorded.group.push(record.identity.group.as_str());
    recorded.id.push(record.identity.id.as_str());
    recorded.fingerprint.push(record.fingerprint.as_u64().cast_signed());
    recorded.received.push(millis(record.received_at));
    recorded.epoch.push(record.stamp.map(|stamp| stamp.epoch.to_bytes().to_vec()));
    recorded.block.push(record.stamp.map(|stamp| (stamp.number / PACK).cast_signed()));
    recorded.bit.push(record.stamp.and_then(|stamp| i32::try_from(stamp.number % PACK).ok()));
    recorded.asks.push(taken.asks);
    recorded.from.push(from);
    Ok(())
}

/// Makes packs of those that are not only asked for; returns the pack and the index of each.
fn store<'a>(plan: &mut Plan<'a>, taken: &[Taken<'a>]) -> Result<Vec<Option<(i32, i32)>>> {
    let mut places = Vec::with_capacity(taken.len());
    let mut pack = Pack::default();
    for taken in taken {
        if taken.asks {
            places.push(None);
            continue;
        }
        if !pack.takes(taken.record) {
            std::mem::take(&mut pack).finish(plan)?;
        }
        places.push(Some((plan.parameters.packs, count(pack.count())?)));
        pack.add(taken.record)?;
    }
    pack.finish(plan)?;
    Ok(places)
}

/// A pack that is being filled.
#[derive(Debug, Default)]
struct Pack<'a> {
    meta: Vec<u8>,
    meta_ends: Vec<i32>,
    texts: Vec<&'a [u8]>,
    text_ends: Vec<i32>,
    bytes: usize,
    expires: Vec<Option<i64>>,
    received: i64,
    routes: Vec<&'a Arc<Route>>,
    owed: HashMap<&'a str, Bits>,
    /// In the order in which they came first, so that equal batches are equal statements.
    recipients: Vec<&'a str>,
}

impl<'a> Pack<'a> {
    fn count(&self) -> usize {
        self.texts.len()
    }

    fn takes(&self, record: &Record) -> bool {
        self.count() == 0 || (self.count() as u64) < PACK && self.bytes + record.text.len() <= PACK_BYTES
    }

    fn add(&mut self, record: &'a Record) -> Result<()> {
        let index = self.count();
        let route = match self.routes.last() {
            Some(last) if Arc::ptr_eq(last, &record.route) => self.routes.len() - 1,
            _ => self.routes.iter().position(|known| **known == record.route).unwrap_or_else(|| {
                self.routes.push(&record.route);
                self.routes.len() - 1
            }),
        };
        fields::encode(record, u32::try_from(route).unwrap_or(u32::MAX), &mut self.meta)?;
        self.meta_ends.push(count(self.meta.len())?);
        self.bytes += record.text.len();
        self.texts.push(&record.text);
        self.text_ends.push(count(self.bytes)?);
        self.expires.push(record.expires_at.map(millis));
        self.received = self.received.max(millis(record.received_at));
        for recipient in &record.route.recipients {
            let bits = self.owed.entry(recipient.as_str()).or_insert_with(|| {
                self.recipients.push(recipient.as_str());
                Bits::default()
            });
            bits.set(index);
        }
        Ok(())
    }

    fn finish(mut self, plan: &mut Plan<'a>) -> Result<()> {
        let count_of_messages = self.count();
        if count_of_messages == 0 {
            return Ok(());
        }
        let parameters = &mut plan.parameters;
        let number = parameters.packs;
        parameters.packs += 1;
        for recipient in self.recipients {
            let mut bits = Bits::zeros(count_of_messages);
            for index in self.owed.remove(recipient).unwrap_or_default().ones() {
                bits.set(index);
            }
            parameters.owed.pack.push(number);
            parameters.owed.peer.push(recipient);
            parameters.owed.bits.push(bits);
        }
        let stored = &mut parameters.stored;
        let mut all = Bits::zeros(count_of_messages);
        (0..count_of_messages).for_each(|index| all.set(index));
        stored.pack.push(number);
        stored.count.push(count(count_of_messages)?);
        stored.received.push(self.received);
        stored.expires_min.push(self.expires.iter().flatten().min().copied());
        stored.recorded.push(all);
        stored.meta.push(self.meta);
        stored.routes.push(fields::encode_routes(&self.routes.iter().map(|route| &***route).collect::<Vec<_>>())?);
        stored.texts.push(Pieces(self.texts));
        stored.from.push(count(stored.meta_end.len())?);
        stored.meta_end.append(&mut self.meta_ends);
        stored.text_end.append(&mut self.text_ends);
        stored.expires.append(&mut self.expires);
        Ok(())
    }
}
