//! The machine's clock is set while a relay runs, and while it does not: what is kept for a while is kept for as long as
//! the relay saw time pass.
#![cfg(test)]
#![cfg(target_os = "linux")]

mod support;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use support::{Peer, Process, Relay, eventually};
use tempfile::TempDir;

const DAY: i64 = 24 * 60 * 60;
const YEAR: i64 = 365 * DAY;

/// A machine whose clock can be set.
struct Machine {
    folder: TempDir,
    clock: PathBuf,
    shim: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, shim) = (folder.path().join("clock"), folder.path().join("wall_clock.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/wall_clock.c");
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(source).arg("-ldl");
        assert!(compiler.status().expect("there is a C compiler").success());
        let machine = Self { folder, clock, shim };
        machine.is_wrong_by(0);
        machine
    }

    /// Sets the clock.
    fn is_wrong_by(&self, seconds: i64) {
        let new = self.clock.with_extension("new");
        std::fs::write(&new, seconds.to_string()).expect("it is written");
        std::fs::rename(new, &self.clock).expect("it is renamed");
    }

    async fn start(&self) -> Relay {
        let path = |path: &PathBuf| path.to_str().expect("a path of UTF-8").to_owned();
        let store = path(&self.folder.path().join("store"));
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--storage-path", &store];
        let environment = [("LD_PRELOAD", path(&self.shim)), ("WALL_CLOCK", path(&self.clock))];
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Relay::ready(Process::spawn(arguments, &environment)).await
    }

    /// Sets the clock of a machine whose relay runs, and waits until the relay has said so, for the so-manieth time.
    async fn step(&self, relay: &Relay, seconds: i64, way: &str, times: usize) {
        self.is_wrong_by(seconds);
        let said = format!("the machine's clock was set {way}");
        eventually(&said, || async { (relay.process.stderr().matches(&said).count() == times).then_some(()) }).await;
    }
}

fn in_an_hour() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "an application asks its own machine")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from((now + Duration::from_secs(3600)).as_millis()).expect("it fits")
}

/// Has something kept: for an absent peer, one message that expires and one that does not, and the identity of both.
async fn keep(relay: &Relay) {
    drop(Peer::connect(relay, "id=away").await);
    let mut sender = Peer::connect(relay, "id=sender").await;
    sender.publish(json!({"type": "EVENT", "messageId": "m1", "value": 1})).await;
    sender.publish(json!({"type": "EVENT", "messageId": "m2", "expiresAt": in_an_hour()})).await;
}

/// Asserts that the identities are remembered: another message under one of them is refused.
async fn assert_remembered(relay: &Relay) {
    let mut sender = Peer::connect(relay, "id=sender").await;
    let refused = sender.rejected(json!({"type": "EVENT", "messageId": "m1", "value": 2})).await;
    assert_eq!(refused["code"], "identity_conflict");
}

/// Asserts that what was kept for the absent peer comes.
async fn assert_kept(relay: &Relay) {
    let mut away = Peer::connect(relay, "id=away").await;
    assert_eq!(away.take_ids(2).await, ["m1", "m2"]);
}

#[tokio::test]
async fn a_step_of_the_clock_forgets_nothing_and_is_said() {
    for (there, back, by) in [("forward", "back", 8 * DAY), ("forward", "back", 20 * YEAR), ("back", "forward", -YEAR)]
    {
        let machine = Machine::new();
        let relay = machine.start().await;
        keep(&relay).await;
        machine.step(&relay, by, there, 1).await;
        // With the second step the janitor has looked at everybody between the two.
        machine.step(&relay, by * 2, there, 2).await;
        assert_remembered(&relay).await;
        machine.step(&relay, 0, back, 1).await;
        assert_remembered(&relay).await;
        assert_kept(&relay).await;
        assert!(relay.stop().await.success());
    }
}

#[tokio::test]
async fn a_relay_that_starts_with_a_wrong_clock_forgets_nothing() {
    let machine = Machine::new();
    let relay = machine.start().await;
    keep(&relay).await;
    assert!(relay.stop().await.success());
    for wrong_by in [20 * YEAR, -YEAR, 0] {
        machine.is_wrong_by(wrong_by);
        let relay = machine.start().await;
        // Three steps, so that the janitor has looked at everybody.
        for time in 1..=3 {
            let times = i64::try_from(time).expect("it is small");
            machine.step(&relay, wrong_by + times * 3600, "forward", time).await;
        }
        assert_remembered(&relay).await;
        assert!(relay.stop().await.success());
    }
    let relay = machine.start().await;
    let mut away = Peer::connect(&relay, "id=away").await;
    assert_eq!(away.take().await.id(), "m1");
}
