//! The relay is killed again and again at random moments under load: what it had confirmed arrives, in order for each
//! sender, and nothing arrives twice at a receiver that remembers identities.
//!
//! `SLIPSTREAM_CRASH_KILLS` sets how often, `SLIPSTREAM_CRASH_SEED` repeats a run's choices.

#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use support::{Event, FIN, Link, Message, PONG, Relay, event, upgrade};
use tokio::sync::watch;

const KILLS: u64 = 20;
const SENDERS: usize = 3;
const UNCONFIRMED: usize = 200;

/// The flags of every start: a small window and a short page of logs, the durability that is the default.
const FLAGS: [&str; 3] = ["--window=64", "--enable-message-logs=false", "--durability=full"];

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

/// Starts the relay and kills it, `kills` times: mostly when some more messages were confirmed, sometimes while it
/// starts. Then starts it for good.
async fn kill_again_and_again(world: &World, folder: &std::path::Path, kills: u64, rng: &mut Rng) -> Relay {
    for kill in 1..=kills {
        let mut process = Relay::spawn(folder, &FLAGS);
        if rng.u8(0..4) == 0 {
            tokio::time::sleep(Duration::from_micros(rng.u64(0..60_000))).await;
            process.kill().await;
            println!("kill {kill} of {kills}: while it started");
            continue;
        }
        let mut relay = Relay::ready(process).await;
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
    let relay = Relay::start(folder, &FLAGS).await;
    world.address.send_replace(Some(relay.links));
    relay
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_confirmed_is_lost_when_the_relay_is_killed() {
    let kills = support::number_from_environment("SLIPSTREAM_CRASH_KILLS").unwrap_or(KILLS);
    let seed =
        support::number_from_environment("SLIPSTREAM_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("SLIPSTREAM_CRASH_SEED={seed} SLIPSTREAM_CRASH_KILLS={kills}");
    let mut rng = Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let world = Arc::new(World {
        address: watch::Sender::new(None),
        confirmed: AtomicU64::new(0),
        enough: AtomicBool::new(false),
    });
    let receivers = [("steady", None), ("also-steady", None), ("often-away", Some(500))];
    // From their first links on everything is owed to them.
    let relay = Relay::start(folder.path(), &FLAGS).await;
    for (name, _) in receivers {
        support::Peer::connect(&relay, &format!("id={name}&tags=receiver")).await;
    }
    assert!(relay.stop().await.success());

    let wanted = watch::Sender::new(u64::MAX);
    let receiving = receivers
        .map(|(name, stays)| tokio::spawn(receive(Arc::clone(&world), name, stays, wanted.subscribe(), rng.fork())));
    let sending: Vec<_> =
        (0..SENDERS).map(|number| tokio::spawn(send(Arc::clone(&world), format!("sender{number}")))).collect();
    let relay = kill_again_and_again(&world, folder.path(), kills, &mut rng).await;
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
