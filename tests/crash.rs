//! The relay is killed again and again, on each engine, at random moments under load and while it recovers: what it had
//! confirmed arrives, in order for each sender, and nothing arrives twice at a receiver that remembers identities.
//!
//! `SLIPSTREAM_CRASH_KILLS` sets how often, `SLIPSTREAM_CRASH_SEED` repeats a run's choices.

#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use support::{Event, FIN, Link, Message, PONG, Process, Relay, event, upgrade};
use tokio::sync::watch;

const KILLS: u64 = 20;
const SENDERS: usize = 3;
const UNCONFIRMED: usize = 200;

/// Kills in a row while the relay starts, over a store that it has much to read from.
const KILLS_AT_START: u64 = 12;

/// How much that is, for a peer that is away.
const MUCH: u32 = 30_000;

/// What the senders, the receivers and the one who kills know of each other.
struct World {
    /// Where the relay takes links; nothing while it is down.
    address: watch::Sender<Option<SocketAddr>>,
    confirmed: AtomicU64,
    /// Set when no new message is to be made.
    enough: AtomicBool,
}

impl World {
    /// A link with the relay, as soon as it has one for this peer.
    async fn link(&self, target: &str) -> Link {
        let mut address = self.address.subscribe();
        loop {
            let relay = address.wait_for(Option::is_some).await.map(|known| known.expect("waited for"));
            let relay = relay.expect("the world stands");
            if let Ok(link) = upgrade(relay, target, &[("Slipstream-Accept", "ack-batch")]).await {
                return link;
            }
            // It was just killed, or takes nobody yet.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A sender: numbers its messages, and sends again on a new link what was not confirmed on the last, in order. Answers
/// how many it made; all of them are confirmed then.
async fn send(world: Arc<World>, name: String) -> u64 {
    let mut unconfirmed: BTreeSet<u64> = BTreeSet::new();
    let mut made = 0;
    loop {
        let mut link = world.link(&format!("/?id={name}")).await;
        for number in &unconfirmed {
            link.writer.text(&numbered(&name, *number));
        }
        loop {
            while unconfirmed.len() < UNCONFIRMED && !world.enough.load(Ordering::Relaxed) {
                unconfirmed.insert(made);
                link.writer.text(&numbered(&name, made));
                made += 1;
            }
            if unconfirmed.is_empty() {
                return made;
            }
            if link.writer.flush().await.is_err() {
                break;
            }
            match event(&mut link.reader).await {
                Event::Answer(answer) => confirm(&world, &answer, &mut unconfirmed),
                Event::Ping(payload) => link.writer.frame(FIN | PONG, &payload),
                Event::Closed(..) => break,
                other => panic!("{other:?} at {name}"),
            }
        }
    }
}

fn numbered(name: &str, number: u64) -> String {
    json!({"type": "SK", "key": format!("{name}:{number}"), "value": number, "messageId": format!("{name}-{number}"),
           "targetedTags": ["receiver"]})
    .to_string()
}

fn confirm(world: &World, answer: &Value, unconfirmed: &mut BTreeSet<u64>) {
    assert_eq!(answer["type"], "ACK", "{answer}");
    let single = std::slice::from_ref(&answer["messageId"]);
    for id in answer["messageIds"].as_array().map_or(single, Vec::as_slice) {
        let id = id.as_str().expect("an id");
        let number = id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("an id of this test");
        if unconfirmed.remove(&number) {
            world.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a receiver got.
#[derive(Default)]
struct Got {
    /// The identities that it remembers.
    seen: HashSet<(String, String)>,
    /// The numbers of each sender in the order in which they came first.
    first: BTreeMap<String, Vec<u64>>,
    /// How many came that it had seen.
    again: u64,
}

impl Got {
    fn take(&mut self, message: &Message) {
        if !self.seen.insert((message.string("clusterGroupId").to_owned(), message.id().to_owned())) {
            self.again += 1;
            return;
        }
        let number = message.json["value"].as_u64().expect("a number");
        self.first.entry(message.string("originInstanceId").to_owned()).or_default().push(number);
    }

    fn count(&self) -> u64 {
        self.seen.len() as u64
    }
}

/// A receiver: acknowledges what comes. It leaves after `stays` messages at most, where it is one that is often away.
/// It ends when it has `wanted` messages, which is told it when the senders are done.
async fn receive(
    world: Arc<World>,
    name: &str,
    stays: Option<u64>,
    mut wanted: watch::Receiver<u64>,
    mut rng: Rng,
) -> Got {
    let mut got = Got::default();
    loop {
        let mut link = world.link(&format!("/?id={name}&tags=receiver")).await;
        let leaves_at = stays.map_or(u64::MAX, |most| got.count() + got.again + rng.u64(1..=most));
        let mut on_this_link = HashSet::new();
        while got.count() + got.again < leaves_at {
            let event = tokio::select! {
                event = event(&mut link.reader) => event,
                known = wanted.wait_for(|wanted| *wanted <= got.count()) => {
                    known.expect("the test goes on");
                    return got;
                }
            };
            match event {
                Event::Message(message) => {
                    assert!(on_this_link.insert(message.id().to_owned()), "twice on one link: {}", message.text);
                    got.take(&message);
                    let ack = json!({"type": "ACK", "messageId": message.id(), "clusterGroupId": "singleton"});
                    link.writer.text(&ack.to_string());
                }
                Event::Ping(payload) => link.writer.frame(FIN | PONG, &payload),
                Event::Closed(..) => break,
                other => panic!("{other:?} at {name}"),
            }
            if link.writer.flush().await.is_err() {
                break;
            }
        }
        drop(link);
        if stays.is_some() {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..200))).await;
        }
    }
}

/// Starts of the relay over one store, each with a durability by chance: a kill costs nothing with either.
struct Starts<'a> {
    engine: &'a str,
    folder: &'a Path,
    window: &'a str,
    rng: Rng,
    /// How long the last start took that was not cut short.
    took: Duration,
}

impl Starts<'_> {
    fn spawn(&mut self) -> Process {
        let durability = if self.rng.bool() { "--durability=full" } else { "--durability=relaxed" };
        let store = format!("--store={}", self.engine);
        Relay::spawn(self.folder, &[self.window, "--enable-message-logs=false", durability, &store])
    }

    async fn start(&mut self) -> Relay {
        let began = Instant::now();
        let relay = Relay::ready(self.spawn()).await;
        self.took = began.elapsed();
        relay
    }

    /// Starts it and kills it before it is ready, or a moment after.
    async fn kill_at_start(&mut self) {
        let mut process = self.spawn();
        let most = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_micros(self.rng.u64(0..=most))).await;
        process.kill().await;
    }
}

/// Starts the relay and kills it, `kills` times: mostly when some more messages were confirmed, sometimes while it
/// starts. Then starts it for good.
async fn kill_again_and_again(world: &World, starts: &mut Starts<'_>, kills: u64) -> Relay {
    for kill in 1..=kills {
        if starts.rng.u8(0..4) == 0 {
            starts.kill_at_start().await;
            println!("kill {kill} of {kills}: while it started");
            continue;
        }
        let mut relay = starts.start().await;
        let rng = &mut starts.rng;
        world.address.send_replace(Some(relay.links));
        let confirmed = world.confirmed.load(Ordering::Relaxed) + rng.u64(1..3000);
        support::eventually("more messages to be confirmed", || async {
            (world.confirmed.load(Ordering::Relaxed) >= confirmed).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_micros(rng.u64(0..20_000))).await;
        world.address.send_replace(None);
        relay.process.kill().await;
        println!("kill {kill} of {kills}: after {confirmed} confirmed messages");
    }
    let relay = starts.start().await;
    world.address.send_replace(Some(relay.links));
    relay
}

async fn nothing_that_was_confirmed_is_lost_when_the_relay_is_killed(engine: &str) {
    let kills = support::number_from_environment("SLIPSTREAM_CRASH_KILLS").unwrap_or(KILLS);
    let seed =
        support::number_from_environment("SLIPSTREAM_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("SLIPSTREAM_CRASH_SEED={seed} SLIPSTREAM_CRASH_KILLS={kills}");
    let mut rng = Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut starts =
        Starts { engine, folder: folder.path(), window: "--window=64", rng: rng.fork(), took: Duration::ZERO };
    let world = Arc::new(World {
        address: watch::Sender::new(None),
        confirmed: AtomicU64::new(0),
        enough: AtomicBool::new(false),
    });
    let receivers = [("steady", None), ("also-steady", None), ("often-away", Some(500))];
    // From their first links on everything is owed to them.
    let relay = starts.start().await;
    for (name, _) in receivers {
        support::Peer::connect(&relay, &format!("id={name}&tags=receiver")).await;
    }
    assert!(relay.stop().await.success());

    let wanted = watch::Sender::new(u64::MAX);
    let receiving = receivers
        .map(|(name, stays)| tokio::spawn(receive(Arc::clone(&world), name, stays, wanted.subscribe(), rng.fork())));
    let sending: Vec<_> =
        (0..SENDERS).map(|number| tokio::spawn(send(Arc::clone(&world), format!("sender{number}")))).collect();
    let relay = kill_again_and_again(&world, &mut starts, kills).await;
    world.enough.store(true, Ordering::Relaxed);
    let mut made = HashMap::new();
    for (number, sending) in sending.into_iter().enumerate() {
        let count = support::within("the senders", sending).await.expect("a sender does not fail");
        made.insert(format!("sender{number}"), count);
    }
    let total: u64 = made.values().sum();
    wanted.send_replace(total);
    for ((name, _), receiving) in receivers.into_iter().zip(receiving) {
        let got =
            support::within(&format!("{name} to get {total} messages"), receiving).await.expect("it does not fail");
        for (sender, count) in &made {
            let numbers = got.first.get(sender).map_or(&[][..], Vec::as_slice);
            let expected: Vec<u64> = (0..*count).collect();
            assert!(
                numbers == expected,
                "{name} got {} messages of {sender}, of {count}, or not in order",
                numbers.len()
            );
        }
        println!("{name}: {} messages, {} of them came again and were known", got.count(), got.again);
    }
    relay.metric_becomes(r#"slipstream_backlog{peer="often-away"}"#, 0.0).await;
}

/// A message to the peer that is away.
fn owed(number: u64) -> String {
    json!({"type": "EVENT", "messageId": support::bulk_id(number), "value": "v".repeat(150), "targetedTags": ["away"]})
        .to_string()
}

/// Where the relay was killed under load, and then again and again while it recovers, all that it confirmed is there.
async fn nothing_is_lost_when_a_recovery_is_killed(engine: &str) {
    let seed =
        support::number_from_environment("SLIPSTREAM_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    let kills = support::number_from_environment("SLIPSTREAM_CRASH_KILLS").unwrap_or(KILLS_AT_START);
    println!("SLIPSTREAM_CRASH_SEED={seed} SLIPSTREAM_CRASH_KILLS={kills}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut starts = Starts {
        engine,
        folder: folder.path(),
        window: "--window=1024",
        rng: Rng::with_seed(seed),
        took: Duration::ZERO,
    };
    let mut relay = starts.start().await;
    drop(support::Peer::connect(&relay, "id=away&tags=away").await);
    support::fill(&relay, u64::from(MUCH), owed).await;
    relay.process.kill().await;
    // How long a recovery takes, so that the kills fall into the others.
    relay = starts.start().await;
    relay.process.kill().await;
    for _ in 0..kills {
        starts.kill_at_start().await;
    }
    relay = starts.start().await;
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, f64::from(MUCH)).await;
    support::drain(support::Peer::connect(&relay, "id=away&tags=away").await, u64::from(MUCH)).await;
    relay.metric_becomes(r#"slipstream_backlog{peer="away"}"#, 0.0).await;
}

/// The tests of each engine that is compiled in.
macro_rules! on_each_engine {
    ($($engine:ident $feature:literal),* $(,)?) => {$(
        #[cfg(feature = $feature)]
        mod $engine {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn nothing_that_was_confirmed_is_lost_when_the_relay_is_killed() {
                super::nothing_that_was_confirmed_is_lost_when_the_relay_is_killed($feature).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn nothing_is_lost_when_a_recovery_is_killed() {
                super::nothing_is_lost_when_a_recovery_is_killed($feature).await;
            }
        }
    )*};
}

on_each_engine! {
    sqlite "sqlite",
    redb "redb",
    lmdb "lmdb",
    sled "sled",
}
