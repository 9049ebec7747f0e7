//! Whether two stores hold the same.

use std::collections::BTreeSet;

use slipstream_store::{
    HeldDelivery, HeldMessage, HeldOnce, HeldOrigin, HeldState, Holdings, Identity, Result, Sequence, StoreError,
};

use crate::Done;
use crate::cursor::{Messages, Stamps};
use crate::marks::forgotten;
use crate::operations::expiry;

/// What was found to be in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compared {
    /// Remembered peers.
    pub peers: u64,
    /// Stamps.
    pub stamps: u64,
    /// Messages of which anything is remembered.
    pub messages: u64,
    /// Remembered identities.
    pub identities: u64,
    /// Pending deliveries.
    pub pending: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

/// Compares all that two stores hold, where the target was made of what the source holds.
///
/// # Errors
/// `Corrupted` with the first thing that differs; those of reading.
pub async fn compare(source: &mut dyn Holdings, target: &mut dyn Holdings, done: &mut Done<'_>) -> Result<Compared> {
    let mut compared = Compared::default();
    compare_once(&source.once().await?, &target.once().await?, &mut compared)?;
    let (mut expected, mut found) = (Stamps::of(source), Stamps::of(target));
    loop {
        let (expected, found) = (expected.next().await?, found.next().await?);
        if expected != found {
            return Err(differ(&format!("in stamps: expected {expected:?}, got {found:?}")));
        }
        let Some(both) = found else { break };
        compared.stamps += both.numbers.len() as u64;
    }
    let (mut expected, mut found) = (Messages::of(source), Messages::of(target));
    let mut order = Order::default();
    loop {
        match (expected.next().await?, found.next().await?) {
            (Some(expected), Some(found)) => {
                order.next(&expected, &found)?;
                compared.add(&expected);
                compare_messages(expected, found, &mut order)?;
                done(1);
            }
            (None, None) => break,
            (expected, found) => {
                let identity = |message: Option<HeldMessage>| message.map(|message| message.identity.to_string());
                let (expected, found) = (identity(expected), identity(found));
                return Err(differ(&format!("in messages: expected {expected:?}, got {found:?}")));
            }
        }
    }
    order.end()?;
    Ok(compared)
}

impl Compared {
    fn add(&mut self, message: &HeldMessage) {
        self.messages += 1;
        self.identities += u64::from(matches!(message.origin, HeldOrigin::Recorded { remembered: true, .. }));
        for delivery in &message.deliveries {
            match delivery.state {
                HeldState::Pending { .. } => self.pending += 1,
                HeldState::Dead { .. } => self.dead_letters += 1,
                HeldState::Settled { .. } => {}
            }
        }
    }
}

fn differ(what: &str) -> StoreError {
    StoreError::Corrupted(format!("the two stores differ {what}"))
}

fn compare_once(expected: &HeldOnce, found: &HeldOnce, compared: &mut Compared) -> Result<()> {
    if expected.relay != found.relay {
        return Err(differ(&format!("in the id of the relay: {:?} and {:?}", expected.relay, found.relay)));
    }
    if let Some((one, other)) = expected.peers.iter().zip(&found.peers).find(|(one, other)| one != other) {
        return Err(differ(&format!("in a peer: {one:?} and {other:?}")));
    }
    if expected.peers.len() != found.peers.len() {
        return Err(differ(&format!("in peers: {} and {}", expected.peers.len(), found.peers.len())));
    }
    // The target may know of less that is whole.
    if expected.whole_since > found.whole_since {
        let (one, other) = (expected.whole_since, found.whole_since);
        return Err(differ(&format!("in since when traces are whole: {one:?} and {other:?}")));
    }
    compared.peers = expected.peers.len() as u64;
    Ok(())
}

fn compare_messages(expected: HeldMessage, found: HeldMessage, order: &mut Order) -> Result<()> {
    let identity = expected.identity.clone();
    let known = |message: &HeldMessage| match message.origin {
        HeldOrigin::Recorded { fingerprint, remembered } => {
            let matters = remembered || message.header.as_ref().is_some_and(|header| header.epoch.is_some());
            Some((remembered, matters.then_some(fingerprint)))
        }
        HeldOrigin::Imported => None,
    };
    let expiry = |message: &HeldMessage| message.expires_at.map(expiry).filter(|_| message.is_open());
    let header = expected.header.clone().map_or_else(forgotten, Ok)?;
    let is_same = expected.identity == found.identity
        && known(&expected) == known(&found)
        && expected.received_at == found.received_at
        && found.header.as_ref().is_none_or(|found| *found == header)
        && (found.header.is_some() || expected.header.is_none())
        && expiry(&expected) == expiry(&found)
        && expected.text == found.text
        && expected.deliveries.len() == found.deliveries.len();
    if !is_same {
        return Err(differ(&format!("in message {identity}, or what came after it: {}", shown(&expected, &found))));
    }
    let (first, other) = (expected.sequence, found.sequence);
    let is_import = expected.origin == HeldOrigin::Imported;
    for (one, two) in expected.deliveries.into_iter().zip(found.deliveries) {
        let is_redriven = |delivery: &HeldDelivery, first: Sequence| {
            delivery.sequence != first && matches!(delivery.state, HeldState::Pending { .. })
        };
        let is_same = one.peer == two.peer
            && one.state == two.state
            && one.acknowledged == two.acknowledged
            && is_redriven(&one, first) == is_redriven(&two, other);
        if !is_same {
            return Err(differ(&format!("in a delivery of {identity}: {one:?} and {two:?}")));
        }
        if one.sequence != first || two.sequence != other || is_import {
            order.later.insert((one.sequence, two.sequence));
        }
    }
    Ok(())
}

/// Both messages, but for their texts.
fn shown(expected: &HeldMessage, found: &HeldMessage) -> String {
    let short = |message: &HeldMessage| HeldMessage {
        text: message.text.slice(..message.text.len().min(64)),
        ..message.clone()
    };
    format!("{:?} and {:?}", short(expected), short(found))
}

/// Whether sequences of both are in one order: those of what was recorded, and the newest of each delivery. The one that an
/// import came with is not seen any more once it has a later one.
#[derive(Debug, Default)]
struct Order {
    last: Option<Sequence>,
    /// Those of deliveries, in both, that may come later than their message.
    later: BTreeSet<(Sequence, Sequence)>,
}

impl Order {
    /// A message is next in both.
    fn next(&mut self, one: &HeldMessage, other: &HeldMessage) -> Result<()> {
        while let Some(&(place, in_other)) = self.later.first()
            && place < one.sequence
        {
            self.later.pop_first();
            self.put(in_other, &one.identity)?;
        }
        match one.origin {
            HeldOrigin::Recorded { .. } => self.put(other.sequence, &one.identity),
            HeldOrigin::Imported => Ok(()),
        }
    }

    fn put(&mut self, sequence: Sequence, at: &Identity) -> Result<()> {
        if self.last.replace(sequence) >= Some(sequence) {
            return Err(differ(&format!("in the order before {at}")));
        }
        Ok(())
    }

    /// There is no more in either.
    fn end(mut self) -> Result<()> {
        let later = std::mem::take(&mut self.later);
        let ascend = later.iter().all(|(_, sequence)| self.last.replace(*sequence) < Some(*sequence));
        if ascend { Ok(()) } else { Err(differ("in the order of what was redriven last")) }
    }
}
