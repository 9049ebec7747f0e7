//! One run: many attackers on one surface, good peers meanwhile, and a look at the relay.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::dice::Dice;
use super::limits::{self, IDENTITIES, REMAINS};
use super::surfaces::Surface;
use crate::support::{Pair, Peer, Relay, eventually, fill_as, get, number_from_environment, within};

/// How many attack at a time, and how many connections each keeps open behind it.
const ATTACKERS: u64 = 48;
const KEPT: usize = 12;

/// How long each run takes, in seconds, unless it is said.
const SECONDS: u64 = 3;

/// How often the relay is looked at, and how often a good peer comes anew.
const LOOK: Duration = Duration::from_millis(50);
const VISIT: Duration = Duration::from_millis(100);

/// Attacks a relay through one surface. Meanwhile a pair of peers exchanges messages, another is let in again and again,
/// and somebody asks for a page. `link` links a good peer that says so of itself, if it is let in.
pub(crate) async fn withstand<S: Surface>(
    name: &str,
    mut relay: Relay,
    surface: S,
    link: impl AsyncFn(&str) -> Option<Peer>,
) {
    let seconds = number_from_environment("SLIPSTREAM_ATTACK_SECONDS").unwrap_or(SECONDS);
    let seed = number_from_environment("SLIPSTREAM_ATTACK_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{name}: the same again with SLIPSTREAM_ATTACK_SEED={seed} SLIPSTREAM_ATTACK_SECONDS={seconds}");
    let mut pair = warm_up(&link).await;
    let before = Look::at(&relay);
    let most = before.resident + limits::memory(S::CONNECTIONS);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (surface, mut dice, mut attackers) = (Arc::new(surface), Dice::new(seed), JoinSet::new());
    for _ in 0..ATTACKERS {
        attackers.spawn(attack(Arc::clone(&surface), dice.fork(), end));
    }
    let link_anew = async || link("id=visitor").await;
    let ask = async || (get(relay.admin, "/healthz").await.status == 200).then_some(());
    let (open, let_in, answered) = tokio::join!(watch(&relay, most, end), served(link_anew, end), served(ask, end));
    let actions: u64 = attackers.join_all().await.iter().sum();
    pair.goes_on().await;
    let exchanged = pair.exchanged();
    println!("{name}: {actions} actions");
    println!("{name}: {} messages were exchanged, the slowest in {:?}", exchanged.messages, exchanged.slowest);
    println!("{name}: {} times a peer was let in, the slowest in {:?}", let_in.times, let_in.slowest);
    println!("{name}: {} times a page was answered, the slowest in {:?}", answered.times, answered.slowest);
    assert!(let_in.times > 0 && answered.times > 0, "{name}: nobody else was served");
    drop(pair);
    let after = calm(name, &relay, &before).await;
    let peak = relay.process.peak_bytes();
    let kib = |bytes| bytes >> 10;
    println!(
        "{name}: {} KiB resident before, {} at most where {} may be, {} after",
        kib(before.resident),
        kib(peak),
        kib(most),
        kib(after.resident)
    );
    println!("{name}: {} files open before, {open} at most, {} after", before.open, after.open);
    assert!(peak <= most, "{name}: more memory was resident than the limits allow");
    assert!(open <= before.open + limits::files(S::CONNECTIONS), "{name}: more files were open than the limits allow");
    stops(name, &mut relay).await;
}

/// Links the pair, and has the relay take what it takes once: identities up to their limit, and the pages of its store.
async fn warm_up(link: &impl AsyncFn(&str) -> Option<Peer>) -> Pair {
    let good = async |query: &str| link(query).await.unwrap_or_else(|| panic!("{query} is not let in"));
    let value = "v".repeat(1_000);
    let to_nobody = |number: u64| {
        let id = format!("warm-{number}");
        json!({"type": "EVENT", "messageId": id, "targetedTags": ["nobody"], "value": value}).to_string()
    };
    fill_as(good("id=filler").await, IDENTITIES, to_nobody).await;
    let receiver = good("id=pair-receiver&tags=pair").await;
    let mut pair = Pair::of(good("id=pair-sender").await, receiver);
    pair.goes_on().await;
    pair
}

/// What a relay takes at a moment.
struct Look {
    resident: u64,
    open: usize,
}

impl Look {
    fn at(relay: &Relay) -> Self {
        Self { resident: relay.process.resident_bytes(), open: relay.process.open_files() }
    }
}

/// One attacker, who does one thing after the other. Returns how many.
async fn attack<S: Surface>(surface: Arc<S>, mut dice: Dice, end: Instant) -> u64 {
    let (mut kept, mut actions) = (VecDeque::new(), 0);
    while Instant::now() < end {
        let (mut throws, keep, most) = (dice.fork(), dice.once_in(2), dice.below(KEPT + 1));
        let Ok(line) = timeout_at(end, surface.act(&mut throws)).await else { break };
        actions += 1;
        kept.extend(line.filter(|_| keep));
        kept.drain(..kept.len().saturating_sub(most));
    }
    actions
}

/// Looks at the relay until the end. Returns how many files it had open at most.
async fn watch(relay: &Relay, most: u64, end: Instant) -> usize {
    let mut open = 0;
    while Instant::now() < end {
        let now = Look::at(relay);
        open = open.max(now.open);
        assert!(now.resident <= most, "{} KiB are resident, and {} may be", now.resident >> 10, most >> 10);
        sleep(LOOK).await;
    }
    open
}

/// How somebody was served.
struct Served {
    times: u64,
    slowest: Duration,
}

/// Has somebody ask again and again until the end. What it got it keeps until it gets the next.
async fn served<T>(ask: impl AsyncFn() -> Option<T>, end: Instant) -> Served {
    let (mut served, mut _got) = (Served { times: 0, slowest: Duration::ZERO }, None);
    while Instant::now() < end {
        let began = Instant::now();
        let asking = async {
            loop {
                match ask().await {
                    Some(got) => return got,
                    None => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        _got = Some(within("somebody to be served", asking).await);
        served.times += 1;
        served.slowest = served.slowest.max(began.elapsed());
        sleep_until(began + VISIT).await;
    }
    served
}

/// Waits until the relay has given back what the attacker took.
async fn calm(name: &str, relay: &Relay, before: &Look) -> Look {
    for kind in ["application", "relay"] {
        relay.metric_becomes(&format!(r#"slipstream_active_connections{{kind="{kind}"}}"#), 0.0).await;
    }
    eventually(&format!("{name}: memory and files to be given back"), || async {
        let now = Look::at(relay);
        (now.resident <= before.resident + REMAINS && now.open <= before.open).then_some(now)
    })
    .await
}

/// Asserts that nothing in the relay has panicked, and that it stops in order.
async fn stops(name: &str, relay: &mut Relay) {
    for reason in ["panic", "internal"] {
        let errors = relay.metric(&format!(r#"slipstream_connection_errors_total{{reason="{reason}"}}"#)).await;
        assert_eq!(errors, 0.0, "{name}: {}", relay.process.stderr());
    }
    relay.process.signal(crate::support::Signal::TERM);
    let ended = relay.process.end().await;
    assert!(ended.success() && !relay.process.stderr().contains("panicked"), "{name}: {}", relay.process.stderr());
}
