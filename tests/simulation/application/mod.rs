//! An application server: it links to its relay, says what it has to say until that is confirmed, and answers what it
//! gets, each in its own way.

mod machine;
mod message;
mod temper;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slipstream::client::{Client, ClientError, ClientOptions, ClientSender, Received};
use slipstream::link::{Connector as _, Target};
use slipstream::store::{Identity, PeerId, Tag};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(crate) use self::machine::ApplicationMachine;
pub(crate) use self::message::{Delivered, Incoming, Sent};
pub(crate) use self::temper::{Reaction, Temper};
pub(crate) use self::writer::{Topics, Writer};
use crate::clock::MachineClock;
use crate::disk::Disk;
use crate::invariants::Oracle;
use crate::network::{Life, Network};
use crate::plan::ApplicationPlan;
use crate::world::World;

/// How long an application waits for a confirm before it sends a message again on the same link.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a connection and its handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long an application that wants some messages later keeps a link: what would go back on this one waits for the
/// next. It is longer than all timeouts of a delivery together, so that what is never answered is given up meanwhile.
const LINK_LIFE: Duration = Duration::from_secs(600);

/// An application server.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) plan: ApplicationPlan,
    world: Arc<World>,
    network: Arc<Network>,
    oracle: Arc<Oracle>,
    /// The machines that it may link to, and the one that it linked to last.
    hosts: Vec<PeerId>,
    host: Mutex<PeerId>,
    disk: Arc<Disk>,
    clock: MachineClock,
    links: AtomicU64,
    /// It outlives the application's crashes.
    pub(crate) writer: Mutex<Writer>,
    begun: Notify,
    randomness: Mutex<fastrand::Rng>,
}

/// What an application is given.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) network: &'a Arc<Network>,
    pub(crate) oracle: &'a Arc<Oracle>,
    pub(crate) hosts: &'a [PeerId],
    pub(crate) disk: &'a Arc<Disk>,
    pub(crate) everyone: Vec<PeerId>,
    pub(crate) tags: Vec<Tag>,
}

/// Whether an application outlived a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mortal {
    Alive,
    Dead,
}

/// An answer that is on its way: it goes out then.
#[derive(Debug)]
enum Due {
    Acknowledge(Identity),
    Refuse(Identity, &'static str),
}

impl Application {
    pub(crate) fn new(plan: &ApplicationPlan, surroundings: Surroundings<'_>) -> Arc<Self> {
        let Surroundings { world, network, oracle, hosts, disk, everyone, tags } = surroundings;
        let writer = Writer::new(&plan.id, plan.topics.clone(), everyone, tags, world.randomness());
        Arc::new(Self {
            plan: plan.clone(),
            world: Arc::clone(world),
            network: Arc::clone(network),
            oracle: Arc::clone(oracle),
            host: Mutex::new(hosts[0].clone()),
            hosts: hosts.to_vec(),
            disk: Arc::clone(disk),
            clock: MachineClock::default(),
            links: AtomicU64::new(0),
            writer: Mutex::new(writer),
            begun: Notify::new(),
            randomness: Mutex::new(world.randomness()),
        })
    }

    /// From now on it writes.
    pub(crate) fn begin(&self) {
        self.writer.lock().begin();
        self.begun.notify_one();
    }

    /// One run of the application, until it is dropped.
    pub(crate) async fn run(&self, life: Life) {
        loop {
            match timeout(HANDSHAKE, self.link(&life)).await {
                Ok(Ok(client)) => {
                    let ended = self.use_link(client).await;
                    self.world.note(&self.plan.id, format_args!("link ended: {ended}"));
                }
                Ok(Err(reason)) => self.world.note(&self.plan.id, format_args!("no link: {reason}")),
                Err(_) => self.world.note(&self.plan.id, "no link in time"),
            }
            if !self.plan.durable {
                self.writer.lock().forget();
            }
            let pause = Duration::from_millis(self.randomness.lock().u64(100..2_000));
            sleep(pause).await;
        }
    }

    async fn link(&self, life: &Life) -> Result<Client, String> {
        let connector = self.network.connector(life);
        let host = match &*self.hosts {
            [host] => host,
            hosts => &hosts[self.randomness.lock().usize(0..hosts.len())],
        };
        *self.host.lock() = host.clone();
        let target = Target::parse(&format!("ws://{host}:7171/"))?;
        let (stream, _) = connector.connect(&target).await.map_err(|error| error.to_string())?;
        let options = ClientOptions {
            id: self.plan.durable.then(|| self.plan.id.clone()),
            tags: self.plan.tags.clone(),
            ack_batch: self.plan.takes_batches,
            ..ClientOptions::default()
        };
        Client::over(stream, "relay", "/", &options).await.map_err(|error| error.to_string())
    }

    async fn use_link(&self, client: Client) -> String {
        let link = self.links.fetch_add(1, Ordering::Relaxed) + 1;
        self.world.note(&self.plan.id, format_args!("link {link}"));
        self.oracle.linked(&self.plan.id, link);
        self.writer.lock().all_again();
        let (mut sender, mut receiver) = client.split();
        let mut answers: BTreeMap<(Instant, u64), Due> = BTreeMap::new();
        let mut reads_at = Instant::now();
        let mut number = 0;
        let ends_at = Instant::now() + LINK_LIFE;
        loop {
            let answers_at = answers.keys().next().map(|(at, _)| *at);
            let sends_at = self.writer.lock().due();
            let reads = reads_at <= Instant::now();
            let wakes_at = answers_at.into_iter().chain(sends_at).chain((!reads).then_some(reads_at)).min();
            tokio::select! {
                biased;
                () = sleep_until(wakes_at.unwrap_or_else(Instant::now)), if wakes_at.is_some() => {
                    if let Err(error) = self.send(&mut sender, &mut answers).await {
                        return error.to_string();
                    }
                }
                () = self.begun.notified() => {}
                () = sleep_until(ends_at), if self.plan.temper.postpones > 0 => return "it begins anew".to_owned(),
                received = receiver.next(), if reads => match received {
                    Some(Ok(Received::Text(text))) => {
                        number += 1;
                        if self.take(&text, number, &mut answers) == Mortal::Dead {
                            return "it died of a message".to_owned();
                        }
                        reads_at = Instant::now() + self.plan.temper.reads_after;
                    }
                    Some(Ok(Received::Closed { code, reason })) => return format!("closed with {code:?} {reason}"),
                    Some(Err(error)) => return error.to_string(),
                    None => return "closed".to_owned(),
                },
            }
        }
    }

    /// Sends what is due.
    async fn send(
        &self,
        sender: &mut ClientSender,
        answers: &mut BTreeMap<(Instant, u64), Due>,
    ) -> Result<(), ClientError> {
        let now = Instant::now();
        while let Some(entry) = answers.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Due::Acknowledge(identity) => {
                    self.oracle.acknowledging(&self.plan.id, &identity);
                    sender.acknowledge(std::slice::from_ref(&identity.id), Some(&identity.group)).await?;
                }
                Due::Refuse(identity, code) => {
                    self.oracle.refusing(&self.plan.id, &identity, code == "not_wanted");
                    let nack = format!(
                        r#"{{"type":"NACK","messageId":"{}","clusterGroupId":"{}","code":"{code}","reason":"simulated"}}"#,
                        identity.id, identity.group
                    );
                    sender.send(&nack).await?;
                }
            }
        }
        loop {
            let next = self.writer.lock().next(self.clock.now(&self.world), PATIENCE);
            let Some(message) = next else { return Ok(()) };
            self.oracle.sending(&message);
            self.world.note(&self.plan.id, format_args!("sends {}", message.identity));
            sender.send(&message.text()).await?;
        }
    }

    fn take(&self, text: &[u8], number: u64, answers: &mut BTreeMap<(Instant, u64), Due>) -> Mortal {
        let id = &self.plan.id;
        match Incoming::read(text) {
            Err(reason) => {
                let text = String::from_utf8_lossy(text);
                self.world.violated("texts are right", format!("{id} gets {text}: {reason}"));
            }
            Ok(Incoming::Confirmed(identities)) => {
                for identity in identities {
                    self.world.note(id, format_args!("confirmed {identity}"));
                    self.oracle.confirmed(id, &identity, &self.disk);
                    self.writer.lock().confirmed(&identity);
                }
            }
            Ok(Incoming::Refused { id: refused, code }) => {
                self.world.note(id, format_args!("refused {refused:?}: {code}"));
                let pause = Duration::from_millis(self.randomness.lock().u64(500..5_000));
                let identity = refused.and_then(|refused| self.writer.lock().refused(&refused, pause));
                if let Some(identity) = identity {
                    self.oracle.refused(id, &identity, &code);
                }
            }
            Ok(Incoming::Message(message)) => return self.answer(&message, number, answers),
        }
        Mortal::Alive
    }

    fn answer(&self, message: &Delivered, number: u64, answers: &mut BTreeMap<(Instant, u64), Due>) -> Mortal {
        let (id, identity) = (&self.plan.id, &message.identity);
        let host = self.host.lock().clone();
        let receipt = self.oracle.delivered(id, message, |within| self.network.was_in_trouble(id, &host, within));
        let answer = self.plan.temper.answer(self.plan.seed, identity, receipt.times, self.world.elapsed());
        self.world.note(id, format_args!("gets {identity}, time {}: {answer:?}", receipt.times));
        let (after, due) = match answer {
            Reaction::Die => {
                self.oracle.dies(id, identity);
                return Mortal::Dead;
            }
            Reaction::None => {
                self.oracle.handling(id, identity);
                self.oracle.withholding(id, identity);
                return Mortal::Alive;
            }
            Reaction::Acknowledge { after, late } => {
                self.oracle.handling(id, identity);
                if late {
                    self.oracle.withholding(id, identity);
                }
                (after, Due::Acknowledge(identity.clone()))
            }
            Reaction::Postpone(after) => (after, Due::Refuse(identity.clone(), "storage_unavailable")),
            Reaction::Reject(after) => (after, Due::Refuse(identity.clone(), "not_wanted")),
        };
        answers.insert((Instant::now() + after, number), due);
        Mortal::Alive
    }
}
