//! A handle as one of several members that share the store: what it has heard, and how it asks.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use slipstream_store::{Member, MemberId, News, Owed, PeerId, Result, StoreError};
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::errors::{Call, damaged_peer, only, unreadable};
use crate::look;
use crate::pool::Pool;
use crate::wake::Wake;

/// Most calls at a time that claim, give back or retire.
const WRITERS: usize = 2;

/// Most peers that are kept as owed something before it may be anyone.
const MOST_PEERS: usize = 1000;

const NEWS: &str = "SELECT * FROM slipstream.news($1, $2)";

/// What a member has heard of.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The first pack that it has not.
    pub(crate) pack: i64,
    /// The version of the roster.
    pub(crate) roster: i64,
    /// When it was looked last.
    pub(crate) looked: Instant,
}

/// Whom others made owed something before commits of this handle.
#[derive(Debug)]
pub(crate) struct Interleaved(Mutex<Owed>);

impl Default for Interleaved {
    fn default() -> Self {
        Self(Mutex::new(Owed::NOBODY))
    }
}

impl Interleaved {
    /// Adds what a commit has told.
    pub(crate) fn add(&self, more: Owed) {
        let mut owed = self.0.lock();
        match (&mut *owed, more) {
            (Owed::Peers(known), Owed::Peers(more)) if known.len() + more.len() <= MOST_PEERS => known.extend(more),
            (Owed::Peers(_), Owed::Peers(more)) if more.is_empty() => {}
            _ => *owed = Owed::Anyone,
        }
    }

    pub(crate) fn take(&self) -> Owed {
        std::mem::replace(&mut self.0.lock(), Owed::NOBODY)
    }
}

/// A handle as a member.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) origin: i64,
    pub(crate) writers: Pool,
    /// Nothing keeps a member from beating that it waits for something else.
    pub(crate) beating: Pool,
    pub(crate) heard: tokio::sync::Mutex<Heard>,
    /// The lost claims that were told; the next beat drops them.
    pub(crate) told: Mutex<HashSet<i64>>,
    pub(crate) interleaved: Arc<Interleaved>,
    pub(crate) wake: Arc<Wake>,
}

impl Membership {
    pub(crate) fn new(
        readers: &Pool,
        origin: i64,
        heard: Heard,
        interleaved: Arc<Interleaved>,
        wake: Arc<Wake>,
    ) -> Self {
        Self {
            origin,
            writers: readers.beside(Call::Write, WRITERS),
            beating: readers.beside(Call::Write, 1),
            heard: tokio::sync::Mutex::new(heard),
            told: Mutex::default(),
            interleaved,
            wake,
        }
    }

    pub(crate) fn close(&self) {
        self.writers.close();
        self.beating.close();
        self.wake.end();
    }

    /// What a function of the schema answers to this member about one thing.
    pub(crate) async fn ask(&self, sql: &'static str, about: &str) -> Result<Vec<Row>> {
        self.writers.query(sql, &[&self.origin, &about]).await
    }

    /// What has happened since it was looked last.
    pub(crate) async fn look(&self, readers: &Pool, heard: &mut Heard) -> Result<News> {
        let rows = readers.query(NEWS, &[&self.origin, &heard.pack]).await?;
        let row = only(&rows)?;
        let get = || -> Result<_, tokio_postgres::Error> {
            let owed: (Option<Vec<String>>, bool) = (row.try_get("peers")?, row.try_get("anyone")?);
            let lost: (Option<Vec<i64>>, Option<Vec<String>>) = (row.try_get("lost_no")?, row.try_get("lost_peer")?);
            Ok((row.try_get("is_member")?, row.try_get("roster")?, row.try_get("next_pack")?, owed, lost))
        };
        let (is_member, roster, pack, (peers, anyone), (numbers, lost)): (bool, _, _, _, _) =
            get().map_err(|error| unreadable(&error))?;
        // A server that has fewer packs than were heard of is one that lost what had been committed, such as a standby that
        // was promoted and had not been waited for. Nothing that this process knows is worth anything there.
        if !is_member || pack < heard.pack {
            return Err(StoreError::Retired);
        }
        let (owed, lost) = (owed(peers, anyone)?, named(lost.unwrap_or_default())?);
        let mut told = self.told.lock();
        let fresh = numbers.unwrap_or_default().into_iter().zip(lost).filter(|(number, _)| told.insert(*number));
        let lost = fresh.map(|(_, peer)| peer).collect();
        let before = std::mem::replace(heard, Heard { pack, roster, looked: Instant::now() }).roster;
        Ok(News { owed, roster: (before != roster).then(|| look::version(roster)), lost })
    }
}

/// The peers that the database names, or anyone.
pub(crate) fn owed(peers: Option<Vec<String>>, anyone: bool) -> Result<Owed> {
    let peers = peers.unwrap_or_default();
    if anyone || peers.len() > MOST_PEERS {
        return Ok(Owed::Anyone);
    }
    named(peers).map(Owed::Peers)
}

/// The peers that the database names.
pub(crate) fn named(peers: Vec<String>) -> Result<Vec<PeerId>> {
    peers.into_iter().map(PeerId::new).collect::<Result<_, _>>().map_err(damaged_peer)
}

pub(crate) fn member(row: &Row) -> Result<Member> {
    let get = || -> Result<_, tokio_postgres::Error> { Ok((row.try_get(0)?, row.try_get(1)?)) };
    let (id, beats): (i64, i64) = get().map_err(|error| unreadable(&error))?;
    Ok(Member { id: MemberId::new(id.unsigned_abs()), beats: beats.unsigned_abs() })
}

/// Yes or no.
pub(crate) fn said(rows: &[Row]) -> Result<bool> {
    only(rows)?.try_get(0).map_err(|error| unreadable(&error))
}
