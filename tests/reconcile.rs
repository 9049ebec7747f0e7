//! `slipstream reconcile`: what two relays say that they handed to each other is compared, and what differs is named.
//!
//! `SLIPSTREAM_RECONCILE_MESSAGES` says among how many messages something is wrong with four; `.ci/run` has it be a million.

#![cfg(test)]

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use slipstream::backend;
use slipstream::clock::{Clock as _, SystemClock};
use slipstream::config::{EmbeddedEngine, StoreConfig};
use slipstream::store::{
    ClusterGroup, Durability, Fingerprint, Horizon, Identity, MessageId, MessageStore, MessageType, Operation, Outcome,
    Peer as StoredPeer, PeerId, PeerKind, Record, Route, Timestamp,
};
use support::{Peer, Relay, bulk_id, eventually, fill, ran};
use ulid::Ulid;

/// Messages unless the environment says otherwise.
const MESSAGES: u64 = 20_000;

/// How many messages are committed together.
const BATCH: usize = 4096;

/// What is wrong with one message of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Dropped,
    Doubled,
    Altered,
    Unsent,
}

const FAULTS: [(Fault, &str); 4] =
    [(Fault::Dropped, "lost"), (Fault::Doubled, "doubled"), (Fault::Altered, "altered"), (Fault::Unsent, "unsent")];

fn peer_id(name: &str) -> PeerId {
    PeerId::new(name).expect("an id")
}

fn now() -> u64 {
    SystemClock::new().now().as_millis()
}

/// A store that a relay is started over, once it is filled.
struct Filling {
    store: Arc<dyn MessageStore>,
    route: Arc<Route>,
}

impl Filling {
    async fn begin(folder: &Path, relay: &str, peer: &str, route: Route) -> Self {
        let path = folder.join("store");
        let config = StoreConfig::Files { engine: EmbeddedEngine::Sqlite, path, durability: Durability::Relaxed };
        let store = backend::open(&config).await.expect("it opens");
        let peer = StoredPeer {
            id: peer_id(peer),
            kind: PeerKind::Relay,
            group: ClusterGroup::singleton(),
            tags: Arc::from([]),
            durable: true,
            last_seen: Timestamp::from_millis(now()),
            alias: None,
            paused: false,
        };
        let filling = Self { store, route: Arc::new(route) };
        filling
            .commit(vec![Operation::NameRelay { id: peer_id(relay) }, Operation::RememberPeer(Box::new(peer))])
            .await;
        filling
    }

    async fn commit(&self, operations: Vec<Operation>) -> Vec<Outcome> {
        self.store.commit(Arc::new(operations.into())).await.expect("it commits")
    }

    fn record(&self, epoch: Ulid, number: u64, fingerprint: u64) -> Operation {
        Operation::Record(Box::new(Record {
            identity: Identity {
                group: ClusterGroup::singleton(),
                id: MessageId::new(id(epoch, number)).expect("an id"),
            },
            fingerprint: Fingerprint::from_u64(fingerprint),
            message_type: MessageType::new("SK").expect("a type"),
            key: None,
            expires_at: None,
            received_at: Timestamp::from_millis(now()),
            stamp: None,
            epoch: Some(epoch),
            route: Arc::clone(&self.route),
            text: Bytes::from_static(b"{}"),
        }))
    }

    /// Records what `record` makes of the numbers, and what each outcome is for the peer then.
    async fn all(
        &self,
        numbers: std::ops::Range<u64>,
        record: impl Fn(u64) -> Option<Operation>,
        acknowledged_by: Option<&str>,
    ) {
        let operations: Vec<_> = numbers.filter_map(record).collect();
        for batch in operations.chunks(BATCH) {
            let outcomes = self.commit(batch.to_vec()).await;
            let recorded = outcomes.into_iter().map(|outcome| match outcome {
                Outcome::Recorded { sequence } => sequence,
                other => panic!("{other:?}"),
            });
            if let Some(peer) = acknowledged_by {
                let peer = peer_id(peer);
                let at = Timestamp::from_millis(now());
                let acknowledge = |sequence| Operation::Acknowledge { peer: peer.clone(), sequence, at };
                self.commit(recorded.map(acknowledge).collect()).await;
            }
        }
    }

    async fn end(self) {
        self.store.close().await.expect("it closes");
    }
}

fn id(epoch: Ulid, number: u64) -> String {
    format!("m{number}-of-{}", epoch.timestamp_ms())
}

/// One store is filled as if its relay had handed messages to that of the other, of which one an hour went wrong.
#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_with_one_message_is_found() {
    let messages = support::number_from_environment("SLIPSTREAM_RECONCILE_MESSAGES").unwrap_or(MESSAGES) / 4;
    let [aws_folder, azure_folder] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let path = |names: &[&str]| names.iter().map(|name| peer_id(name)).collect();
    let sent = Route { received_from: peer_id("shop"), path: path(&["shop", "aws"]), recipients: path(&["azure"]) };
    let held = Route { received_from: peer_id("aws"), path: path(&["shop", "aws", "azure"]), recipients: path(&[]) };
    let aws = Filling::begin(aws_folder.path(), "aws", "azure", sent).await;
    let azure = Filling::begin(azure_folder.path(), "azure", "aws", held).await;
    let hours: Vec<Ulid> = (2..6).map(|ago| Ulid::from_parts(now() - ago * 3_600_000, 1)).collect();
    let odd_one = messages / 3;
    for (epoch, (fault, _)) in hours.iter().copied().zip(FAULTS) {
        let is_wrong = |number, what| number == odd_one && fault == what;
        let sent = |number| (!is_wrong(number, Fault::Unsent)).then(|| aws.record(epoch, number, number));
        aws.all(0..messages, sent, Some("azure")).await;
        let held = |number| {
            let altered = u64::from(is_wrong(number, Fault::Altered));
            (!is_wrong(number, Fault::Dropped)).then(|| azure.record(epoch, number, number + altered))
        };
        azure.all(0..messages, held, None).await;
        if fault == Fault::Doubled {
            let horizon = Horizon { identities: Timestamp::MAX, ..Horizon::NOTHING };
            azure.store.purge(horizon, std::num::NonZeroU32::MAX).await.expect("it purges");
            azure.all(odd_one..odd_one + 1, |number| Some(azure.record(epoch, number, number)), None).await;
        }
    }
    aws.end().await;
    azure.end().await;

    let aws = Relay::start(aws_folder.path(), &["--instance-id=aws"]).await;
    let azure = Relay::start(azure_folder.path(), &["--instance-id=azure"]).await;
    let urls = [("aws", &aws), ("azure", &azure)].map(|(id, relay)| format!("{id}=http://{}", relay.admin));
    let environment = [("SLIPSTREAM_ADMIN_URLS", urls.join(","))];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let began = std::time::Instant::now();
    let (code, shown, said) = ran(&["reconcile", "azure", "aws", "--json"], &environment).await;
    println!("{messages} messages an hour, four hours, compared in {:?}", began.elapsed());
    assert_eq!(code, Some(3), "{shown}{said}");
    let rows: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 4, "{shown}");
    // The oldest hour comes first.
    for (row, (epoch, (fault, difference))) in rows.iter().zip(hours.iter().zip(FAULTS).rev()) {
        let sent = messages - u64::from(fault == Fault::Unsent);
        let received = messages + u64::from(fault == Fault::Doubled) - u64::from(fault == Fault::Dropped);
        assert_eq!(
            [&row["from"], &row["to"], &row["verdict"], &row["sent"], &row["acknowledged"], &row["received"]],
            [&json!("aws"), &json!("azure"), &json!("differs"), &json!(sent), &json!(sent), &json!(received)],
            "{fault:?}"
        );
        let first = &row["messages"][0];
        assert_eq!(
            [&row["differing"], &first["messageId"], &first["clusterGroupId"], &first["difference"]],
            [&json!(1), &json!(id(*epoch, odd_one)), &json!("singleton"), &json!(difference)],
            "{fault:?}"
        );
    }
    let (code, shown, said) = ran(&["reconcile", "azure", "aws", "--list"], &environment).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(shown.contains("azure has acknowledged it to aws, and knows nothing of it"), "{shown}");
    aws.assert_small("after all was read");
    azure.assert_small("after all was read");
}

fn dial(peers: &[(&str, &Relay)]) -> String {
    let peers: Vec<Value> = peers.iter().map(|(id, relay)| json!({"url": relay.url(), "id": id})).collect();
    format!("--url-config={}", json!(peers))
}

/// Three relays that are all linked, of which one is killed while messages flow.
#[tokio::test(flavor = "multi_thread")]
async fn relays_that_lost_nothing_agree() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let gcp = Relay::start(folders[0].path(), &["--instance-id=gcp", "--tags=gcp"]).await;
    let to_gcp = dial(&[("gcp", &gcp)]);
    let aws = Relay::start(folders[1].path(), &["--instance-id=aws", "--tags=aws", &to_gcp]).await;
    let to_both = dial(&[("gcp", &gcp), ("aws", &aws)]);
    let flags = ["--instance-id=azure", "--tags=azure", to_both.as_str()];
    let azure = Relay::start(folders[2].path(), &flags).await;
    let environment = |azure: &Relay| {
        [("aws", &aws), ("azure", azure), ("gcp", &gcp)]
            .map(|(id, relay)| format!("{id}=http://{}", relay.admin))
            .join(",")
    };

    let (mut shop, mut mill) = (Peer::connect(&aws, "id=shop").await, Peer::connect(&azure, "id=mill").await);
    for (relay, others) in [(&aws, ["azure", "gcp"]), (&azure, ["aws", "gcp"]), (&gcp, ["aws", "azure"])] {
        for other in others {
            relay.metric_becomes(&format!(r#"slipstream_peer_up{{peer="{other}"}}"#), 1.0).await;
        }
    }
    let message = |id: String, tags: &[&str]| json!({"type": "EVENT", "messageId": id, "targetedTags": tags});
    for number in 0..50 {
        // For all, for one of the relays, and one that the application hands to two relays.
        shop.publish(message(format!("all-{number}"), &[])).await;
        shop.publish(message(format!("gcp-{number}"), &["gcp"])).await;
        let both = message(format!("both-{number}"), &[]);
        shop.publish(both.clone()).await;
        mill.publish(both).await;
        mill.publish(message(format!("back-{number}"), &["aws"])).await;
    }
    let mut process = azure.process;
    process.kill().await;
    for number in 50..100 {
        shop.publish(message(format!("all-{number}"), &[])).await;
    }
    let azure = Relay::start(folders[2].path(), &flags).await;
    let urls = environment(&azure);
    let known = [("SLIPSTREAM_ADMIN_URLS", urls.as_str())];
    for pair in [["aws", "azure"], ["azure", "gcp"], ["gcp", "aws"]] {
        eventually("the relays to have handed on everything", async || {
            let (code, shown, said) = ran(&["reconcile", pair[0], pair[1], "--json"], &known).await;
            assert_eq!(code, Some(0), "{pair:?}: {shown}{said}");
            let rows: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            rows.iter().for_each(|row| assert_eq!(row["verdict"], "agrees", "{row}"));
            (!rows.is_empty() && rows.iter().all(|row| row["sent"] == row["acknowledged"])).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_cannot_be_compared_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &["--instance-id=aws"]).await;
    let url = format!("http://{}", relay.admin);
    let (code, _, said) = ran(&["reconcile", &url, &url], &[]).await;
    assert_eq!((code, said.contains("expected two relays, got twice the relay aws")), (Some(2), true), "{said}");
    let (code, _, said) = ran(&["reconcile", &url, "azure"], &[]).await;
    assert_eq!((code, said.contains("azure: expected a URL, or an id that --relay")), (Some(2), true), "{said}");
    let (code, _, said) = ran(&["reconcile", &url, "ftp://azure"], &[]).await;
    assert_eq!(
        (code, said.contains("expected a URL that begins with http://") && !said.contains("--admin")),
        (Some(2), true),
        "{said}"
    );
    let other = tempfile::tempdir().expect("a folder");
    let other = Relay::start(other.path(), &["--instance-id=azure"]).await;
    let (code, shown, said) = ran(&["reconcile", &url, &format!("http://{}", other.admin)], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(shown.contains("have not handed each other a message"), "{shown}");
}

/// What is on its way while the relays are asked is no difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_that_drains_is_no_difference() {
    const BACKLOG: u64 = 5_000;
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let azure = Relay::start(folders[0].path(), &["--instance-id=azure"]).await;
    let to_azure = dial(&[("azure", &azure)]);
    let aws = Relay::start(folders[1].path(), &["--instance-id=aws", "--window=16", &to_azure]).await;
    aws.metric_becomes(r#"slipstream_peer_up{peer="azure"}"#, 1.0).await;
    let admins = [format!("http://{}", aws.admin), format!("http://{}", azure.admin)];
    let (code, _, said) = ran(&["peers", "pause", "azure", "--admin", &admins[0]], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    fill(&aws, BACKLOG, |number| json!({"type": "EVENT", "messageId": bulk_id(number)}).to_string()).await;
    let (code, _, said) = ran(&["peers", "resume", "azure", "--admin", &admins[0]], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let mut seen = Vec::new();
    while seen.last() != Some(&BACKLOG) {
        let (code, shown, said) = ran(&["reconcile", &admins[0], &admins[1], "--json"], &[]).await;
        assert_eq!(code, Some(0), "{shown}{said}");
        // The hour may end meanwhile.
        let hours = shown.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        seen.push(hours.map(|hour| hour["acknowledged"].as_u64().expect("a count")).sum());
    }
    println!("acknowledged when the relays were asked: {seen:?}");
}
