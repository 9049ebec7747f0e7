//! The journal: one row a commit, of what it recorded, settled, redrove and imported. Traces come from it, and the
//! identities of what was recorded.
//!
//! Rows stand alone: names (of peers, groups and types) are in a dictionary within the row. Deliveries that were
//! redriven are named together with their origin, the sequence that the message was recorded under. What a purge
//! still needs of a row that it removes, it writes again into its own row; the order of rows therefore says nothing,
//! the sequences say everything.

use bincode::de::BorrowDecoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Encode};
use hashbrown::HashMap;
use slipstream_store::{DeliveryState, Result, StoreError};

use crate::rows::runs::Runs;

/// A row. As bytes it is all but what was imported and what was stamped, for which the codec has formats of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JournalRow<'a> {
    /// The latest time in the row.
    pub(crate) latest: u64,
    pub(crate) names: Vec<&'a str>,
    pub(crate) routes: Vec<RouteEntry>,
    pub(crate) recorded: Vec<Recorded<'a>>,
    pub(crate) settled: Vec<Settled>,
    pub(crate) redriven: Vec<Redriven>,
    /// The messages of dead letters that were imported. Their identities are not remembered.
    pub(crate) imported: Vec<Recorded<'a>>,
    /// Which of the recorded messages have a stamp.
    pub(crate) stamped: Vec<Stamped>,
}

/// The format of a row. A program that does not know the latest of a journal cannot read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum JournalFormat {
    /// It tells of what was recorded, settled and redriven.
    Plain,
    /// Also of what was imported.
    Imports,
    /// Also of what was stamped.
    Stamps,
}

impl Encode for JournalRow<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> std::result::Result<(), EncodeError> {
        self.latest.encode(encoder)?;
        self.names.encode(encoder)?;
        self.routes.encode(encoder)?;
        self.recorded.encode(encoder)?;
        self.settled.encode(encoder)?;
        self.redriven.encode(encoder)
    }
}

impl<'de, C> BorrowDecode<'de, C> for JournalRow<'de> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> std::result::Result<Self, DecodeError> {
        Ok(Self {
            latest: BorrowDecode::borrow_decode(decoder)?,
            names: BorrowDecode::borrow_decode(decoder)?,
            routes: BorrowDecode::borrow_decode(decoder)?,
            recorded: BorrowDecode::borrow_decode(decoder)?,
            settled: BorrowDecode::borrow_decode(decoder)?,
            redriven: BorrowDecode::borrow_decode(decoder)?,
            imported: Vec::new(),
            stamped: Vec::new(),
        })
    }
}

/// Where messages came from and which remembered peers they were owed to. All numbers point into the names.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct RouteEntry {
    pub(crate) received_from: u32,
    pub(crate) path: Vec<u32>,
    pub(crate) recipients: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Recorded<'a> {
    pub(crate) sequence: u64,
    pub(crate) group: u32,
    pub(crate) id: &'a str,
    pub(crate) fingerprint: u64,
    pub(crate) message_type: u32,
    pub(crate) key: Option<&'a str>,
    pub(crate) received_at: u64,
    pub(crate) route: u32,
}

/// Messages whose stamps have one epoch: a ULID.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Stamped {
    pub(crate) epoch: [u8; 16],
    pub(crate) runs: Runs,
}

/// Deliveries of one peer that were settled alike. If `origin` is set there is one delivery, and it had been redriven.
#[derive(Debug, Clone, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Settled {
    pub(crate) peer: u32,
    pub(crate) state: u8,
    pub(crate) at: u64,
    pub(crate) origin: Option<u64>,
    pub(crate) runs: Runs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, BorrowDecode)]
pub(crate) struct Redriven {
    pub(crate) peer: u32,
    pub(crate) origin: u64,
    pub(crate) sequence: u64,
}

impl JournalRow<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.recorded.is_empty() && self.settled.is_empty() && self.redriven.is_empty() && self.imported.is_empty()
    }

    /// The oldest format that has all there is to say.
    pub(crate) fn format(&self) -> JournalFormat {
        match (&self.imported[..], &self.stamped[..]) {
            ([], []) => JournalFormat::Plain,
            (_, []) => JournalFormat::Imports,
            _ => JournalFormat::Stamps,
        }
    }

    /// The last sequence that the row records.
    pub(crate) fn last_recorded(&self) -> Option<u64> {
        self.recorded.iter().map(|recorded| recorded.sequence).max()
    }

    /// The last sequence that the row tells the message of.
    pub(crate) fn last_told(&self) -> Option<u64> {
        self.told().map(|message| message.sequence).max()
    }

    /// The messages that were recorded or imported.
    pub(crate) fn told(&self) -> impl Iterator<Item = &Recorded<'_>> {
        self.recorded.iter().chain(&self.imported)
    }

    /// That every sequence that stands in a run was given before this one.
    pub(crate) fn check_runs(&self, next_sequence: u64) -> Result<()> {
        let settled = self.settled.iter().map(|settled| &settled.runs);
        let mut all = settled.chain(self.stamped.iter().map(|stamped| &stamped.runs));
        all.try_for_each(|runs| runs.check_below(next_sequence))
    }

    pub(crate) fn name(&self, index: u32) -> Result<&str> {
        let name = usize::try_from(index).ok().and_then(|index| self.names.get(index));
        name.copied().ok_or_else(|| dangling("name", index))
    }

    pub(crate) fn route(&self, index: u32) -> Result<&RouteEntry> {
        let route = usize::try_from(index).ok().and_then(|index| self.routes.get(index));
        route.ok_or_else(|| dangling("route", index))
    }
}

fn dangling(what: &str, index: u32) -> StoreError {
    StoreError::Corrupted(format!("a journal row points to {what} {index}, which it does not have"))
}

/// The names of a row while it is made.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    list: Vec<&'a str>,
    index: HashMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(&mut self, name: &'a str) -> u32 {
        *self.index.entry(name).or_insert_with(|| {
            self.list.push(name);
            u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX)
        })
    }

    pub(crate) fn into_list(self) -> Vec<&'a str> {
        self.list
    }
}

pub(crate) fn state_code(state: DeliveryState) -> u8 {
    match state {
        DeliveryState::Pending => 0,
        DeliveryState::Acknowledged => 1,
        DeliveryState::Superseded => 2,
        DeliveryState::Expired => 3,
        DeliveryState::Dead => 4,
    }
}

pub(crate) fn state_of(code: u8) -> Result<DeliveryState> {
    match code {
        1 => Ok(DeliveryState::Acknowledged),
        2 => Ok(DeliveryState::Superseded),
        3 => Ok(DeliveryState::Expired),
        4 => Ok(DeliveryState::Dead),
        other => Err(StoreError::Corrupted(format!("a journal row has the delivery state {other}: expected 1 to 4"))),
    }
}
