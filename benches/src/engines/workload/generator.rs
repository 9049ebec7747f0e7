//! Does to a store what a relay does, without the relay: messages taken in, acknowledged, given up, redriven, and purged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DeadLetterReason, Fingerprint, Horizon, Identity, Key, MessageId, MessageStore, MessageType,
    Operation, Outcome, PageLimit, Peer, PeerId, PeerKind, Record, Route, Sequence, Timestamp,
};
use ulid::Ulid;

use super::backlog::BacklogReader;
use super::shape::Shape;
use crate::engines::error::ComparisonError;
use crate::limits::Limits;

/// How many batches lie between a message and its acknowledgement.
const LAG: usize = 2;

/// How many messages go by between two purges; the relay's janitor looks about once a second.
const MESSAGES_A_PURGE: u64 = 16_384;

/// A store with peers, and the messages that are made for it.
#[derive(Debug)]
pub struct Generator {
    store: Arc<dyn MessageStore>,
    shape: Shape,
    /// What a relay does at a time.
    limits: Limits,
    peers: Vec<PeerId>,
    /// To those that are there.
    live: Arc<Route>,
    /// To the one that is away.
    away: Arc<Route>,
    backlog: BacklogReader,
    text: Bytes,
    made: u64,
    purged_at: u64,
    /// What each batch recorded and nobody has settled, the oldest first.
    owed: VecDeque<Vec<Sequence>>,
}

fn peer(id: &PeerId) -> Operation {
    Operation::RememberPeer(Box::new(Peer {
        id: id.clone(),
        kind: PeerKind::Application,
        group: ClusterGroup::singleton(),
        tags: Arc::from([]),
        durable: true,
        last_seen: Timestamp::from_millis(1),
        alias: None,
        paused: false,
    }))
}

fn recorded(outcomes: &[Outcome]) -> impl Iterator<Item = Sequence> {
    outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Recorded { sequence } | Outcome::Redriven { sequence } => Some(*sequence),
        _ => None,
    })
}

/// Every message is new: one that was not recorded was not measured.
fn all_recorded(sequences: &[Sequence], messages: u64) -> Result<(), ComparisonError> {
    if sequences.len() as u64 == messages {
        return Ok(());
    }
    Err(ComparisonError::Wrong(format!("{} of {messages} new messages were recorded", sequences.len())))
}

impl Generator {
    /// Remembers the peers in `store`, which may have them already.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn start(store: Arc<dyn MessageStore>, shape: Shape) -> Result<Self, ComparisonError> {
        let (sender, relay, away) = (PeerId::new("sender")?, PeerId::new("relay-here")?, PeerId::new("away")?);
        let peers = (0..shape.recipients).map(|number| PeerId::new(format!("peer-{number:03}")));
        let peers = peers.collect::<Result<Vec<_>, _>>()?;
        let remember: Vec<_> = peers.iter().chain([&away]).map(peer).collect();
        store.commit(Arc::new(remember.into())).await?;
        let route = |recipients: Box<[PeerId]>| {
            let path = Box::new([sender.clone(), relay.clone()]);
            Arc::new(Route { received_from: sender.clone(), path, recipients })
        };
        Ok(Self {
            live: route(peers.clone().into_boxed_slice()),
            backlog: BacklogReader::new(Arc::clone(&store), away.clone()),
            away: route(Box::new([away])),
            store,
            peers,
            text: Bytes::from(vec![b'x'; shape.text_bytes]),
            made: shape.first,
            purged_at: shape.first,
            owed: VecDeque::new(),
            limits: Limits::default(),
            shape,
        })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn MessageStore> {
        &self.store
    }

    /// The pages in which a relay lets a peer catch up.
    #[must_use]
    pub fn page(&self) -> PageLimit {
        self.limits.page
    }

    /// What the peer that is away is owed.
    #[must_use]
    pub fn backlog(&self) -> BacklogReader {
        self.backlog.clone()
    }

    /// Settles what is owed to peers that are there, and sends to the first `recipients` of them from now on.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn fan_out(&mut self, recipients: usize) -> Result<(), ComparisonError> {
        self.settle().await?;
        let recipients = self.peers.iter().take(recipients).cloned().collect();
        self.live = Arc::new(Route { recipients, ..(*self.live).clone() });
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + self.made / 100)
    }

    fn records(&mut self, messages: u64, route: &Arc<Route>) -> Result<Vec<Operation>, ComparisonError> {
        let message_type = MessageType::new("SK")?;
        let records = (0..messages).map(|_| {
            self.made += 1;
            let received_at = self.now();
            let id = MessageId::from(Ulid::from_parts(received_at.as_millis(), u128::from(self.made)));
            Ok(Operation::Record(Box::new(Record {
                identity: Identity { group: ClusterGroup::singleton(), id },
                fingerprint: Fingerprint::from_u64(self.made),
                message_type: message_type.clone(),
                key: Some(Key::new(format!("order:{}", self.made))?),
                expires_at: None,
                received_at,
                stamp: None,
                epoch: Some(Ulid::nil()),
                route: Arc::clone(route),
                text: self.text.clone(),
            })))
        });
        records.collect()
    }

    /// The acknowledgements of what the oldest batch recorded, message by message, as the peers of a relay send them.
    fn acknowledgements(&mut self) -> Vec<Operation> {
        let (at, recipients) = (self.now(), &self.live.recipients);
        let owed = self.owed.pop_front().unwrap_or_default().into_iter();
        let each = owed.flat_map(|sequence| {
            recipients.iter().map(move |peer| Operation::Acknowledge { peer: peer.clone(), sequence, at })
        });
        each.collect()
    }

    /// Commits, and answers what was recorded and how long that took.
    async fn commit(&self, operations: Vec<Operation>) -> Result<(Vec<Sequence>, Duration), ComparisonError> {
        let batch = Arc::new(operations.into());
        let start = Instant::now();
        let outcomes = self.store.commit(batch).await?;
        let took = start.elapsed();
        Ok((recorded(&outcomes).collect(), took))
    }

    /// Takes in a batch for the peers that are there; it stays owed until it is settled. Answers how long that took.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn record(&mut self, messages: u64) -> Result<Duration, ComparisonError> {
        let route = Arc::clone(&self.live);
        let operations = self.records(messages, &route)?;
        self.owe(operations, messages).await
    }

    /// Settles an earlier batch and takes one in, in one commit, as the relay does. Answers how long that took.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn turn_over(&mut self, messages: u64) -> Result<Duration, ComparisonError> {
        let mut operations = if self.owed.len() < LAG { Vec::new() } else { self.acknowledgements() };
        let route = Arc::clone(&self.live);
        operations.extend(self.records(messages, &route)?);
        self.owe(operations, messages).await
    }

    /// Commits a batch with so many records, and owes them from now on.
    async fn owe(&mut self, operations: Vec<Operation>, messages: u64) -> Result<Duration, ComparisonError> {
        let (sequences, took) = self.commit(operations).await?;
        all_recorded(&sequences, messages)?;
        self.owed.push_back(sequences);
        Ok(took)
    }

    /// Brings it to where each batch settles an earlier one of the same size.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn prime(&mut self, messages: u64) -> Result<(), ComparisonError> {
        self.settle().await?;
        for _ in 0..LAG {
            self.turn_over(messages).await?;
        }
        Ok(())
    }

    /// Acknowledges all that is owed to peers that are there, a batch at a time. Answers how long that took.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn settle(&mut self) -> Result<Duration, ComparisonError> {
        let mut took = Duration::ZERO;
        while !self.owed.is_empty() {
            let operations = self.acknowledgements();
            took += self.commit(operations).await?.1;
        }
        Ok(took)
    }

    /// Gives up what the oldest batch recorded, for each of its peers, and answers the dead letters.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn give_up(&mut self) -> Result<Vec<(PeerId, Sequence)>, ComparisonError> {
        let (at, owed) = (self.now(), self.owed.pop_front().unwrap_or_default());
        let recipients = &self.live.recipients;
        let dead = owed.into_iter().flat_map(|sequence| recipients.iter().map(move |peer| (peer.clone(), sequence)));
        let dead: Vec<_> = dead.collect();
        let operations = dead.iter().map(|(peer, sequence)| Operation::DeadLetter {
            peer: peer.clone(),
            sequence: *sequence,
            reason: DeadLetterReason::Unacknowledged,
            attempts: 4,
            at,
        });
        self.commit(operations.collect()).await?;
        Ok(dead)
    }

    /// Redrives dead letters, in one commit, and answers how long that took. Then, apart, they are acknowledged.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn redrive(&mut self, dead: &[(PeerId, Sequence)]) -> Result<Duration, ComparisonError> {
        let redrive = dead.iter().map(|(peer, sequence)| (peer.clone(), *sequence));
        let redrive = redrive.map(|(peer, sequence)| Operation::Redrive { peer, sequence }).collect();
        let (sequences, took) = self.commit(redrive).await?;
        let at = self.now();
        let settled = dead.iter().zip(sequences);
        let settled = settled.map(|((peer, _), sequence)| Operation::Acknowledge { peer: peer.clone(), sequence, at });
        self.commit(settled.collect()).await?;
        Ok(took)
    }

    /// Purges where the relay would have by now. Answers how long that took.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn purge_when_due(&mut self) -> Result<Duration, ComparisonError> {
        if self.made - self.purged_at < MESSAGES_A_PURGE {
            return Ok(Duration::ZERO);
        }
        self.purge(self.shape.identities, self.shape.trace_bytes).await
    }

    /// Forgets all but so many identities and so many bytes of traces. Answers how long that took.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn purge(&mut self, identities: u64, trace_bytes: u64) -> Result<Duration, ComparisonError> {
        self.purged_at = self.made;
        let horizon =
            Horizon { now: self.now(), max_identities: identities, max_trace_bytes: trace_bytes, ..Horizon::NOTHING };
        let start = Instant::now();
        while self.store.purge(horizon, self.limits.purge_budget).await?.more {}
        Ok(start.elapsed())
    }

    /// Takes messages in for the peer that is away, in batches as large as the relay's. `committed` is told after each
    /// how many there are of this call. Answers how long the commits took.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn fill(
        &mut self,
        messages: u64,
        committed: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Duration, ComparisonError> {
        let route = Arc::clone(&self.away);
        let largest = self.limits.batch;
        let (mut took, mut done) = (Duration::ZERO, 0);
        while done < messages {
            let batch = largest.min(messages - done);
            let operations = self.records(batch, &route)?;
            let (sequences, commit) = self.commit(operations).await?;
            all_recorded(&sequences, batch)?;
            took += commit;
            done += batch;
            committed(done);
        }
        Ok(took)
    }
}
