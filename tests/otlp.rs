//! Spans and metrics as a collector of OpenTelemetry takes them: one that does as it is told, whose messages are those of
//! PyPI's `opentelemetry-proto`, and a real one, PyPI's `rotel`.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::{Peer, Process, Relay, assert_has, eventually, python_workshop_of, run, written};
use tokio::process::Command;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Prints where the program of PyPI's `rotel` is.
const AGENT: &str = "import pathlib, rotel; print(pathlib.Path(rotel.__file__).with_name('rotel-agent'))";

/// The line about a collector that takes nothing.
const AWAY: &str = "the collector did not take what was exported";

/// A collector, and what it took.
struct Collector {
    process: Process,
    port: u16,
    answer: PathBuf,
}

impl Collector {
    /// Starts one on this port; 0 is any free one. It says what it took in lines of JSON.
    async fn start(folder: &tempfile::TempDir, port: u16) -> Self {
        let workshop = workshop().await;
        let answer = folder.path().join("answer");
        let mut command = Command::new(workshop.join(".venv/bin/python"));
        command.arg(workshop.join("collector.py")).arg(&answer).arg(port.to_string());
        let mut process = Process::of(command);
        let port = |line: &str| serde_json::from_str::<Value>(line).ok()?["port"].as_u64();
        let port = process.printed("its port", port).await;
        Self { process, port: port.try_into().expect("a port"), answer }
    }

    fn flag(&self) -> String {
        format!("--otlp-endpoint=http://127.0.0.1:{}", self.port)
    }

    /// From now on it answers with this status, after so many seconds.
    fn answers(&self, status: u16, seconds: u32) {
        let draft = self.answer.with_extension("draft");
        std::fs::write(&draft, format!("[{status}, {seconds}]")).expect("it is written");
        std::fs::rename(draft, &self.answer).expect("it takes its place");
    }

    /// The requests that it took of a path.
    fn took(&self, path: &str) -> Vec<Value> {
        let lines: Vec<_> = self.process.stdout().lines().map(str::to_owned).collect();
        let requests = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        requests.filter(|request| request["path"] == path).collect()
    }

    /// The spans that it took, each with the id of its relay.
    fn spans(&self) -> Vec<(String, Value)> {
        let mut spans = Vec::new();
        for request in self.took("/v1/traces") {
            for of_relay in each(&request["message"]["resource_spans"]) {
                let relay = attribute(&of_relay["resource"], "service.instance.id");
                let scopes = each(&of_relay["scope_spans"]).flat_map(|scope| each(&scope["spans"]));
                spans.extend(scopes.map(|span| (relay.clone(), span.clone())));
            }
        }
        spans
    }

    async fn spans_become(&self, count: usize) -> Vec<(String, Value)> {
        let enough = || async { Some(self.spans()).filter(|spans| spans.len() >= count) };
        eventually(&format!("{count} spans"), enough).await
    }

    /// Waits until the last metrics that it took have this one with such a point, and returns both.
    async fn metric(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> (Value, Value) {
        let look = || async {
            let last = self.took("/v1/metrics").pop()?;
            let metrics = &last["message"]["resource_metrics"][0]["scope_metrics"][0]["metrics"];
            let metric = each(metrics).find(|metric| metric["name"] == name)?;
            let points = ["sum", "gauge", "histogram"].into_iter().flat_map(|kind| each(&metric[kind]["data_points"]));
            Some((metric.clone(), points.into_iter().find(|point| wanted(point))?.clone()))
        };
        eventually(&format!("the metric {name}"), look).await
    }
}

/// The folder of both collectors.
async fn workshop() -> PathBuf {
    python_workshop_of("tests/otlp", "otlp", &["tests/otlp/collector.py"]).await
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// An attribute as a text; integers are texts in protobuf's JSON.
fn attribute(of: &Value, name: &str) -> String {
    let found = each(&of["attributes"]).find(|attribute| attribute["key"] == name);
    let value = found.map(|attribute| &attribute["value"]);
    let text = value.and_then(|value| value["string_value"].as_str().or(value["int_value"].as_str()));
    text.unwrap_or_default().to_owned()
}

/// An id, which protobuf's JSON has in base64, in hexadecimal digits.
fn id(span: &Value, field: &str) -> String {
    let bytes = STANDARD.decode(span[field].as_str().expect("an id")).expect("base64");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn traced(id: &str, traceparent: &str) -> Value {
    json!({"type": "SK", "key": "k", "value": "hush-hush", "messageId": id, "traceparent": traceparent})
}

fn sampled() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// A gauge, a counter and a histogram as they are of the two relays together.
async fn assert_metrics(collector: &Collector) {
    let labelled = |name: &'static str, value: &'static str| move |point: &Value| attribute(point, name) == value;
    let (metric, point) = collector.metric("slipstream_backlog", labelled("peer", "far")).await;
    assert_eq!((&point["as_double"], metric.get("gauge").is_some()), (&json!(0.0), true));
    let processed = |point: &Value| attribute(point, "type") == "SK" && point["as_double"] == 4.0;
    let (metric, _) = collector.metric("slipstream_messages_processed_total", processed).await;
    assert_eq!((&metric["sum"]["is_monotonic"], &metric["sum"]["aggregation_temporality"]), (&json!(true), &json!(2)));
    let (metric, point) = collector.metric("slipstream_message_latency_seconds", labelled("stage", "commit")).await;
    let buckets = each(&point["bucket_counts"]).filter_map(|count| count.as_str()?.parse::<u64>().ok());
    assert_eq!(
        (metric["unit"].as_str(), point["count"].as_str()),
        (Some("s"), Some(buckets.sum::<u64>()).map(|sum| sum.to_string()).as_deref())
    );
    assert_eq!(each(&point["bucket_counts"]).count(), each(&point["explicit_bounds"]).count() + 1);
}

#[tokio::test]
async fn spans_of_sampled_messages_and_the_metrics_of_every_relay_reach_the_collector() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start(&folder, 0).await;
    let settings = "otlp_headers = \"x-api-key=a%2Cb,authorization=Bearer%20hush-hush\"\n";
    let settings = format!("--config={}", written(folder.path(), "s.toml", settings));
    let both = [collector.flag(), settings, "--otlp-metrics-interval=100ms".to_owned()];
    let both: Vec<_> = both.iter().map(String::as_str).collect();
    let far = Relay::start(&folder.path().join("far"), &[&["--instance-id=far"], &both[..]].concat()).await;
    let peers = format!("--url-config={}", json!([{"url": far.url(), "id": "far"}]));
    let near = [&["--instance-id=near", peers.as_str()], &both[..]].concat();
    let near = Relay::start(&folder.path().join("near"), &near).await;
    near.metric_becomes(r#"slipstream_active_connections{kind="relay"}"#, 1.0).await;

    let mut sender = Peer::connect(&near, "id=sender").await;
    let mut receiver = Peer::connect(&far, "id=receiver").await;
    sender.publish(json!({"type": "EVENT", "messageId": "untraced"})).await;
    sender.publish(traced("unsampled", &format!("00-{TRACE}-{PARENT}-00"))).await;
    sender.publish(traced("invalid", &format!("00-{TRACE}-{PARENT}-0"))).await;
    sender.publish(traced("sampled", &sampled())).await;
    assert_eq!(receiver.take_ids(4).await, ["untraced", "unsampled", "invalid", "sampled"]);
    let spans = collector.spans_become(4).await;

    let outline: BTreeSet<_> = spans
        .iter()
        .map(|(relay, span)| {
            assert_eq!((id(span, "trace_id"), id(span, "parent_span_id")), (TRACE.to_owned(), PARENT.to_owned()));
            let names = ["messaging.message.id", "messaging.system", "slipstream.cluster_group"];
            assert_eq!(names.map(|name| attribute(span, name)), ["sampled", "slipstream", "singleton"]);
            let time = |field: &str| span[field].as_str().and_then(|text| text.parse::<u64>().ok()).expect("a time");
            assert!(time("start_time_unix_nano") <= time("end_time_unix_nano"), "{span}");
            let names = ["slipstream.from", "messaging.destination.name", "slipstream.recipients"];
            let [from, to, recipients] = names.map(|name| attribute(span, name));
            let name = span["name"].as_str().expect("a name");
            format!("{relay}: {name} kind={} from={from} to={to} recipients={recipients}", span["kind"])
        })
        .collect();
    let expected = [
        "far: slipstream.accept kind=5 from=near to= recipients=1",
        "far: slipstream.deliver kind=4 from= to=receiver recipients=",
        "near: slipstream.accept kind=5 from=sender to= recipients=1",
        "near: slipstream.deliver kind=4 from= to=far recipients=",
    ];
    assert_eq!(outline, expected.map(str::to_owned).into());
    assert_eq!(spans.iter().map(|(_, span)| id(span, "span_id")).collect::<BTreeSet<_>>().len(), 4);

    // What is sent again is a duplicate, and what the collector refuses is counted.
    sender.publish(traced("sampled", &sampled())).await;
    sender.publish(traced("to-refuse", &sampled())).await;
    assert_eq!(receiver.take_ids(1).await, ["to-refuse"]);
    let spans = collector.spans_become(9).await;
    let outcomes =
        |wanted: &str| spans.iter().filter(|(_, span)| attribute(span, "slipstream.outcome") == wanted).count();
    assert_eq!((outcomes("duplicate"), outcomes("recorded")), (1, 4));
    near.metric_becomes(r#"slipstream_otlp_spans_total{outcome="refused"}"#, 2.0).await;
    near.metric_becomes(r#"slipstream_otlp_spans_total{outcome="exported"}"#, 3.0).await;

    assert_metrics(&collector).await;
    let request = collector.took("/v1/metrics").pop().expect("metrics");
    assert_eq!(
        (&request["headers"]["x-api-key"], &request["headers"]["authorization"]),
        (&json!("a,b"), &json!("Bearer hush-hush"))
    );

    for relay in [near, far] {
        assert!(!relay.process.stderr().contains("hush-hush"), "neither a value nor a header is printed");
        assert!(relay.stop().await.success());
    }
    let told = collector.process.stdout().replace("Bearer hush-hush", "");
    assert!(!told.contains("hush-hush"), "no value is exported");
}

#[tokio::test]
async fn a_collector_that_is_away_is_one_warning_and_gets_what_waited_once_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let begun = Instant::now();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = nobody.local_addr().expect("its address").port();
    drop(nobody);
    let flags = [format!("--otlp-endpoint=http://127.0.0.1:{port}"), "--otlp-metrics-interval=50ms".to_owned()];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let relay = Relay::start(folder.path(), &flags).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(traced("early", &sampled())).await;
    relay.metric_becomes_at_least(r#"slipstream_otlp_requests_total{path="/v1/traces",outcome="failed"}"#, 1.0).await;
    relay.metric_becomes_at_least(r#"slipstream_otlp_requests_total{path="/v1/metrics",outcome="failed"}"#, 5.0).await;
    let warnings = relay.process.stderr().lines().filter(|line| line.contains(AWAY)).count() as u64;
    assert!((1..=1 + begun.elapsed().as_secs() / 60).contains(&warnings), "{warnings}\n{}", relay.process.stderr());

    let collector = Collector::start(&folder, port).await;
    collector.answers(503, 0);
    sender.publish(traced("late", &sampled())).await;
    let failed = r#"slipstream_otlp_requests_total{path="/v1/traces",outcome="failed"}"#;
    relay.metric_becomes_at_least(failed, relay.metric(failed).await + 1.0).await;
    collector.answers(200, 0);
    let spans = collector.spans_become(2).await;
    let ids: Vec<_> = spans.iter().map(|(_, span)| attribute(span, "messaging.message.id")).collect();
    assert_eq!(ids, ["early", "late"]);
    relay.says("the collector is there again").await;
    // Spans that wait to be collected are sent at the end.
    sender.publish(traced("last", &sampled())).await;
    assert!(relay.stop().await.success());
    assert_eq!(attribute(&collector.spans_become(3).await[2].1, "messaging.message.id"), "last");
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_up_nothing_and_loses_spans_that_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start(&folder, 0).await;
    collector.answers(200, 3600);
    let flags = [collector.flag(), "--enable-message-logs=false".to_owned()];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let relay = Relay::start(folder.path(), &flags).await;
    // More than one batch and the queue.
    let messages = 6_000;
    support::fill(&relay, messages, |number| traced(&support::bulk_id(number), &sampled()).to_string()).await;
    relay.metric_becomes_at_least(r#"slipstream_otlp_spans_total{outcome="dropped"}"#, 1.0).await;
    assert_eq!(relay.metric(r#"slipstream_otlp_spans_total{outcome="exported"}"#).await, 0.0);
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_real_collector_takes_both_and_shows_what_was_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let [http, grpc] = [free(), free()].map(|port| port.local_addr().expect("its address").to_string());
    let agent = run(workshop().await.join(".venv/bin/python"), ["-c", AGENT], folder.path()).await;
    let mut command = Command::new(agent.trim());
    command.args(["start", "--exporter=blackhole", "--debug-log=traces", "--debug-log=metrics"]);
    command.args(["--debug-log-verbosity=detailed", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc]);
    command.env_clear();
    let collector = Process::of(command);
    let flags = [format!("--otlp-endpoint=http://{http}"), "--otlp-metrics-interval=100ms".to_owned()];
    let relay = Relay::start(folder.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut sender = Peer::connect(&relay, "id=sender").await;
    sender.publish(traced("m", &sampled())).await;
    let shown = || async {
        let text = collector.stdout();
        ["ResourceSpans #0", "ResourceMetrics #0"].iter().all(|part| text.contains(part)).then_some(text)
    };
    let shown = eventually("spans and metrics", shown).await;
    assert_has(
        &shown,
        [
            &format!("Trace ID       : {TRACE}\n    Parent ID      : {PARENT}\n"),
            "Name           : slipstream.accept\n    Kind           : SPAN_KIND_CONSUMER\n",
            "-> messaging.message.id: Str(m)\n",
            "-> service.name: Str(slipstream)\n",
            "-> Name: slipstream_message_latency_seconds\n",
        ],
    );
    // A machine that is busy may be late with an answer, but none is a refusal.
    assert!(!relay.process.stderr().contains("it answered"), "{}", relay.process.stderr());
    assert!(relay.stop().await.success());
}
