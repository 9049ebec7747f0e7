//! A whole store of rows.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_embedded::{EmbeddedStore, Files, Label, OfflineStore as _, Opened, Place, measure};
use slipstream_store::{
    Batch, ClusterGroup, DeadLetterFilter, Defect, Depth, Durability, Fingerprint, Guarantee, Horizon, Identity,
    MessageId, MessageStore, MessageType, Operation, PageLimit, PeerId, Record, Result, Route, Show, StoreError,
    Timestamp,
};
use tempfile::TempDir;

use crate::link::alone;
use crate::medium::{Medium, Rows};
use crate::told::assert_short;

/// Longest text that says what is wrong with a store.
const MOST_TOLD: usize = 512;

/// Most defects that are listed.
const MOST_DEFECTS: usize = 100;

/// Opens a store that has these rows, looks it over and counts it. If nothing is wrong with it, it is used.
///
/// - It is opened, or refused as damaged or of a later format, in a short line.
/// - A check finds damage if it is refused, and lists a bounded number of defects.
/// - All of it can be counted, unless a message cannot be read.
/// - A store in which nothing is wrong can be read, purged and written, and nothing is wrong with it afterwards.
pub fn ledger(input: &[u8]) {
    let rows = Rows::read(input);
    STORE.with(|store| {
        // A store of version 1 that is damaged may be refused before it is version 2.
        let Some(tables) = short(store.opened(rows.clone())) else { return };
        let opened = short(tables.stats());
        let defects = short(tables.check(Depth::Full));
        let is_whole = defects.as_deref() == Some(&[]);
        assert!(opened.is_some() || !is_whole, "a store is refused in which nothing is wrong");
        let defects = defects.unwrap_or_default();
        assert!(defects.len() <= MOST_DEFECTS, "{} defects", defects.len());
        defects.iter().for_each(|Defect(told)| assert_short(told, MOST_TOLD));
        let amount = short(measure(&tables));
        if let (Some(amount), Some(stats)) = (amount, &opened) {
            assert!(amount.rows >= stats.peers, "{amount:?} {stats:?}");
        }
        drop(tables);
        if is_whole {
            let used = store.opened(rows).map(|tables| alone(opened_and_used(tables)));
            assert_eq!(used, Ok(Ok(Vec::new())), "nothing was wrong");
        }
    });
}

/// What is there, or `None` if it is damaged.
fn short<T>(read: Result<T>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(StoreError::Corrupted(told) | StoreError::Unsupported(told)) => {
            assert_short(&told, MOST_TOLD);
            None
        }
        Err(other) => {
            assert_eq!(Err(other), Ok(()), "no such error is to be had from rows");
            None
        }
    }
}

/// Uses a store in every way, closes it, and tells what was wrong with it then.
async fn opened_and_used(tables: Opened<Medium>) -> Result<Vec<Defect>> {
    let store = EmbeddedStore::open(tables)?;
    let defects = used(&store).await;
    store.close().await?;
    defects
}

async fn used(store: &impl MessageStore) -> Result<Vec<Defect>> {
    let most = PageLimit { items: NonZeroU32::MAX, bytes: NonZeroUsize::MAX };
    let roster = store.roster().await?;
    let mut operations = vec![record(roster.peers.iter().map(|peer| peer.peer.id.clone()).collect())];
    for peer in roster.peers.iter().map(|peer| &peer.peer.id) {
        for pending in store.pending(peer, None, most).await?.items {
            store.deliveries(&pending.identity).await?;
            let (peer, sequence) = (peer.clone(), pending.sequence);
            operations.push(Operation::Acknowledge { peer, sequence, at: Timestamp::ZERO });
        }
        store.exchanged(peer, Show::each(|_| ControlFlow::Continue(()))).await?;
    }
    for letter in store.dead_letters(&DeadLetterFilter::default(), None, most).await?.items {
        store.deliveries(&letter.identity).await?;
    }
    let now = Timestamp::from_millis(1 << 40);
    let horizon = Horizon { now, expiries: now, identities: now, stamps: now, traces: now, ..Horizon::NOTHING };
    store.purge(horizon, NonZeroU32::MAX).await?;
    store.commit(Arc::new(Batch::from(operations))).await?;
    store.check(Depth::Full).await
}

#[expect(clippy::expect_used, reason = "these are names")]
fn record(recipients: Box<[PeerId]>) -> Operation {
    let sender = PeerId::new("sender").expect("an id");
    Operation::Record(Box::new(Record {
        identity: Identity { group: ClusterGroup::singleton(), id: MessageId::new("new").expect("an id") },
        fingerprint: Fingerprint::from_u64(1),
        message_type: MessageType::new("SK").expect("a type"),
        key: None,
        expires_at: None,
        received_at: Timestamp::from_millis(5),
        stamp: None,
        epoch: Some(ulid::Ulid::from_parts(1, 1)),
        route: Arc::new(Route { received_from: sender.clone(), path: Box::new([sender]), recipients }),
        text: Bytes::from_static(b"{}"),
    }))
}

thread_local! {
    static STORE: Store = Store::new();
}

/// Where a store is said to be, whose rows are in memory.
struct Store {
    place: Place,
    _folder: TempDir,
}

impl Store {
    #[expect(clippy::expect_used, reason = "without a folder nothing can be tried")]
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let place = Place::folder(folder.path(), Files { data: "rows", within: &[], log: None, beside: &[] });
        Self { place, _folder: folder }
    }

    #[expect(clippy::expect_used, reason = "nobody else has this folder")]
    fn opened(&self, rows: Rows) -> Result<Opened<Medium>> {
        let lock = self.place.lock().expect("the lock");
        let marker = self.place.admit(&lock, Label::Missing).expect("a marker");
        let guarantee = Guarantee::new("rows", Durability::Relaxed);
        Opened::new(Medium::new(rows), guarantee, lock, marker)
    }
}
