//! `slipstream bench relay` against a relay (OPERATING: "Command line").

#![cfg(test)]

mod support;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use slipstream::Settings;
use slipstream::clock::SystemClock;
use slipstream::link::TcpConnector;
use slipstream::listen::{AllowAll, Listener as _, TcpListener};
use slipstream::store::StoreError;
use slipstream_conformance::{Call, FaultStore, ModelMedium, ModelStore, When};
use support::{Peer, Process, Relay, assert_has, eventually};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

async fn relay(flags: &[&str]) -> (TempDir, Relay) {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = Relay::start(folder.path(), &[&["--enable-message-logs=false"], flags].concat()).await;
    (folder, relay)
}

fn bench(relay: &Relay, arguments: &[&str]) -> Process {
    let (to, admin) = (relay.url(), format!("http://{}", relay.admin));
    let fixed = ["bench", "relay", "--json", "--to", &to, "--admin", &admin];
    Process::spawn([&fixed, arguments].concat(), &[])
}

/// The report of a bench that ends well.
async fn report(relay: &Relay, arguments: &[&str]) -> Value {
    let mut bench = bench(relay, arguments);
    assert_eq!(bench.end().await.code(), Some(0), "{arguments:?}: {}", bench.stderr());
    serde_json::from_str(&bench.stdout()).expect("one JSON object")
}

/// The stages of a report, of which nothing is missing.
fn stages(report: &Value, sent: Option<u64>) -> &[Value] {
    let faults = report["faults"].as_object().expect("an object");
    for (name, count) in faults.iter().filter(|(name, _)| !matches!(name.as_str(), "sent" | "refusals" | "stalled")) {
        assert_eq!(count, 0, "{name}: {report}");
    }
    assert_eq!(faults["stalled"], false, "{report}");
    if let Some(sent) = sent {
        assert_eq!(faults["sent"], sent, "{report}");
    }
    report["stages"].as_array().expect("an array")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn assert_counted(count: &Value, wanted: u64) {
    assert_eq!(count["count"], wanted, "{count}");
    let rate = number(&count["count"]) / number(&count["seconds"]);
    assert!((number(&count["perSecond"]) / rate - 1.0).abs() < 1e-6, "{count}");
}

fn assert_ordered(percentiles: &Value) {
    let values = ["p50", "p90", "p99", "p99.9", "max"].map(|name| number(&percentiles[name]));
    assert!(values[0] > 0.0 && values.is_sorted(), "{percentiles}");
}

fn assert_used(usage: &Value) {
    assert!(number(&usage["cpuSeconds"]) >= 0.0 && number(&usage["peakResidentBytes"]) > 1e6, "{usage}");
}

#[tokio::test]
async fn live_counts_every_message_of_every_publisher_at_every_subscriber() {
    let (_folder, relay) = relay(&[]).await;
    let load = ["--messages", "1001", "--publishers", "3", "--subscribers", "2", "--window", "7", "--warmup", "0s"];
    let report = report(&relay, &load).await;
    let [live] = stages(&report, Some(1001)) else { panic!("{report}") };
    assert_eq!((&report["mode"], &live["name"]), (&"live".into(), &"live".into()));
    assert_counted(&live["confirmed"], 1001);
    assert_counted(&live["delivered"], 2002);
    assert_ordered(&live["confirmLatencyMs"]);
    assert_ordered(&live["deliveryLatencyMs"]);
    assert_used(&live["relay"]);
    assert_used(&live["generator"]);
    assert_eq!(relay.metric(r#"slipstream_deliveries_total{outcome="acknowledged"}"#).await, 2002.0);
    assert_eq!(relay.metric(r#"slipstream_messages_processed_total{type="SK",origin="application"}"#).await, 1001.0);
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 0.0).await;
    let page = support::get(relay.admin, "/metrics").await.body;
    assert_eq!(relay.connection_errors().await, [""; 0], "its links end in order");
    assert!(!page.contains("bench-"), "nothing of it is remembered: {page}");
}

#[tokio::test]
async fn paced_keeps_its_rate_and_warms_up_apart() {
    let (_folder, relay) = relay(&[]).await;
    let load = ["--mode", "paced", "--rate", "500", "--duration", "1s", "--warmup", "100ms", "--publishers", "2"];
    let report = report(&relay, &load).await;
    let [paced] = stages(&report, Some(550)) else { panic!("{report}") };
    assert_counted(&paced["confirmed"], 500);
    assert_counted(&paced["delivered"], 500);
    // The last message is due 998 ms after the beginning, however fast the machine is.
    assert!(number(&paced["confirmed"]["seconds"]) >= 0.998, "{paced}");
    for percentiles in ["confirmLatencyMs", "deliveryLatencyMs", "sendDelayMs"] {
        assert_ordered(&paced[percentiles]);
    }
}

#[tokio::test]
async fn offline_stores_while_the_subscribers_are_away_and_then_drains() {
    let (_folder, relay) = relay(&[]).await;
    let load = ["--mode", "offline", "--messages", "3000", "--subscribers", "2", "--keys", "5"];
    let report = report(&relay, &load).await;
    let [store, drain] = stages(&report, Some(3000)) else { panic!("{report}") };
    assert_counted(&store["confirmed"], 3000);
    assert_eq!((&store["delivered"], &drain["confirmed"]), (&Value::Null, &Value::Null));
    assert_counted(&drain["delivered"], 6000);
    assert_eq!(drain["deliveryLatencyMs"], Value::Null, "being away is no latency");
    let run = report["run"].as_str().expect("a string");
    for subscriber in 0..2 {
        relay.metric_becomes(&format!(r#"slipstream_backlog{{peer="bench-{run}-{subscriber}"}}"#), 0.0).await;
    }
}

#[tokio::test]
async fn fan_out_reaches_fifty_and_an_ack_for_each_message_will_do() {
    let (_folder, relay) = relay(&[]).await;
    let report = report(&relay, &["--mode", "fan-out", "--messages", "40", "--warmup", "0s", "--ack-batch", "1"]).await;
    let [fan_out] = stages(&report, Some(40)) else { panic!("{report}") };
    assert_eq!((&report["subscribers"], &report["ackBatch"]), (&50.into(), &1.into()));
    assert_counted(&fan_out["confirmed"], 40);
    assert_counted(&fan_out["delivered"], 2000);
}

#[tokio::test]
async fn others_get_nothing_of_a_load_and_what_they_send_is_acknowledged() {
    let (_folder, relay) = relay(&[]).await;
    let mut other = Peer::connect(&relay, "id=other&tags=aws").await;
    let load = ["--mode", "paced", "--rate", "1", "--messages", "4000", "--publishers", "2", "--warmup", "0s"];
    let mut bench = bench(&relay, &load);
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 4.0).await;
    other.publish(r#"{"type":"SK","key":"k","value":1,"messageId":"theirs"}"#).await;
    eventually("an ACK of each link for the other's message", || async {
        let processed = relay.metric(r#"slipstream_messages_processed_total{type="SK",origin="application"}"#).await;
        let acknowledged = relay.metric(r#"slipstream_deliveries_total{outcome="acknowledged"}"#).await;
        // Each of its own went to one subscriber; the other's to two publishers and the subscriber.
        (processed > 1.0 && acknowledged == processed - 1.0 + 3.0).then_some(())
    })
    .await;
    bench.kill().await;
    other.silent().await;
}

#[tokio::test]
async fn refused_messages_end_it_with_status_1_and_their_reason() {
    let model = ModelStore::open(&ModelMedium::default(), Path::new("model")).expect("the store opens");
    let (store, faults) = FaultStore::new(model);
    let relay = slipstream::Relay::open(Arc::new(store), Settings::default(), Arc::new(SystemClock::new()))
        .await
        .expect("it opens");
    let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("it listens");
    let to = format!("ws://{}/", listener.local_addr().expect("it listens"));
    let shutdown = CancellationToken::new();
    let running =
        tokio::spawn(relay.run(Some(Box::new(listener)), Arc::new(AllowAll), Arc::new(TcpConnector), shutdown.clone()));
    // The first two commits are of the subscriber and the publisher; the third has messages.
    faults.fail_after(2, Call::Commit, StoreError::Full("no room".to_owned()), When::Before);
    let arguments = ["bench", "relay", "--json", "--to", &to, "--messages", "100", "--window", "10", "--warmup", "0s"];
    let mut bench = Process::spawn(arguments, &[]);
    assert_eq!(bench.end().await.code(), Some(1), "{}", bench.stderr());
    assert_has(&bench.stderr(), ["messages were refused", "storage_unavailable"]);
    let report: Value = serde_json::from_str(&bench.stdout()).expect("one JSON object");
    let faults = &report["faults"];
    let refused = faults["refused"].as_u64().expect("a number");
    assert!((1..=10).contains(&refused), "{report}");
    assert_eq!((&faults["sent"], &faults["unconfirmed"], &faults["missing"]), (&100.into(), &0.into(), &0.into()));
    assert_counted(&report["stages"][0]["delivered"], 100 - refused);
    shutdown.cancel();
    running.await.expect("it ends").expect("in order");
}

#[tokio::test]
async fn a_table_is_for_people() {
    let (_folder, relay) = relay(&[]).await;
    let (to, pid) = (relay.url(), relay.process.id().to_string());
    let mut table =
        Process::spawn(["bench", "relay", "--to", &to, "--messages=2000", "--warmup=0s", "--pid", &pid], &[]);
    assert_eq!(table.end().await.code(), Some(0), "{}", table.stderr());
    assert_has(
        &table.stdout(),
        ["live on ws://", "1 publisher, 1 subscriber", "2,000", "p99.9", "relay     CPU", "generator CPU", "in order"],
    );
}

#[tokio::test]
async fn without_the_relays_page_it_measures_the_rest_and_says_so() {
    let (_folder, relay) = relay(&[]).await;
    let (_other_folder, other) = self::relay(&[]).await;
    for (admin, told) in
        [("http://127.0.0.1:1".to_owned(), "127.0.0.1:1"), (format!("http://{}", other.admin), "another relay")]
    {
        let arguments =
            ["bench", "relay", "--json", "--to", &relay.url(), "--admin", &admin, "--messages=50", "--warmup=0s"];
        let mut bench = Process::spawn(arguments, &[]);
        assert_eq!(bench.end().await.code(), Some(0), "{}", bench.stderr());
        let report: Value = serde_json::from_str(&bench.stdout()).expect("one JSON object");
        assert_eq!(stages(&report, Some(50))[0]["relay"], Value::Null);
        assert_has(report["relayUsageUnavailable"].as_str().expect("a reason"), [told]);
    }
}

#[tokio::test]
async fn a_relay_that_is_not_there_refuses_or_goes_ends_it_with_status_1() {
    let mut nobody = Process::spawn(["bench", "relay", "--to", "ws://127.0.0.1:1/"], &[]);
    assert_eq!(nobody.end().await.code(), Some(1));
    assert_has(&nobody.stderr(), ["ws://127.0.0.1:1/", "subscriber 0", "refused"]);

    let (_small_folder, small) = relay(&["--max-message-bytes", "1KiB", "--max-connections", "2"]).await;
    for (arguments, told) in [
        (&["--payload", "1000"][..], "at most 1024 bytes"),
        (&["--subscribers", "2"], "503"),
        (&["--to", "ws://127.0.0.1:1/elsewhere"], "cannot be used multiple times"),
    ] {
        let mut refused = bench(&small, arguments);
        assert!(!refused.end().await.success());
        assert_has(&refused.stderr(), [told]);
    }

    let (_folder, relay) = relay(&[]).await;
    let mut lost = bench(&relay, &["--duration", "1h"]);
    relay.metric_becomes(r#"slipstream_active_connections{kind="application"}"#, 2.0).await;
    let Relay { mut process, .. } = relay;
    process.kill().await;
    assert_eq!(lost.end().await.code(), Some(1));
    assert_has(&lost.stderr(), ["the link of ", " ended: "]);
}

#[tokio::test]
async fn what_does_not_fit_together_ends_it_with_status_2() {
    for (arguments, told) in [
        (&["--rate", "5"][..], "--mode paced"),
        (&["--payload", "1"], "payload: got 1"),
        (&["--mode", "offline", "--warmup", "1s"], "warm-up"),
        (&["--publishers", "2000"], "at most 1024"),
    ] {
        let mut misused = Process::spawn([&["bench", "relay"], arguments].concat(), &[]);
        assert_eq!(misused.end().await.code(), Some(2), "{arguments:?}");
        assert_has(&misused.stderr(), [told]);
    }
}
