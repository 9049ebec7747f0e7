//! What an operator's monitoring sees: a real Prometheus scrapes a relay and answers with the true values, its own tool
//! finds nothing wrong with the page, and the alerts and the dashboard of deploy/ ask for metrics that exist.

#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use slipstream::METRICS;
use support::{Files, Peer, Prometheus, Relay, Sealer, codes, eventually, get, request, run, table, within};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const ALERTS: &str = include_str!("../deploy/prometheus/alerts.yml");
const ALERT_CASES: &str = include_str!("../deploy/prometheus/alerts_test.yml");
const DASHBOARD: &str = include_str!("../deploy/grafana/slipstream.json");
const OPERATIONS: &str = include_str!("../docs/operations.md");
const CONFIGURATION: &str = include_str!("../docs/configuration.md");

/// The standard metrics that the alerts and the dashboard use.
const PROCESS: [&str; 6] = [
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "up",
];

fn rules() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml"))
}

/// A relay of which there is everything to see: TLS, a peer that nobody reaches, one that is away, one that never
/// acknowledges, a refused message, and a dead letter.
struct Busy {
    relay: Relay,
    sealer: Sealer,
    _linked: [Peer; 3],
    _folder: TempDir,
    _files: Files,
}

impl Busy {
    async fn start(further: &[&str]) -> Self {
        let (files, folder) = (Files::usual(), tempfile::tempdir().expect("a folder"));
        let certificate = format!("--tls-cert={}", files.text("relay.pem"));
        let key = format!("--tls-key={}", files.text("relay.key"));
        let peers = json!([{"url": "wss://127.0.0.1:1/", "id": "nowhere", "rejectUnauthorized": false,
            "cert": files.text("machine-7.pem"), "key": files.text("machine-7.key")}]);
        let peers = format!("--url-config={peers}");
        let flags = ["--ack-timeout=1s", "--max-message-republish-attempts=1", "--connection-retry-attempts=1"];
        let own = [certificate.as_str(), &key, &peers];
        let relay = Relay::start(folder.path(), &[&flags[..], &own, further].concat()).await;
        let sealer = Sealer::new(&files, None);
        drop(sealer.peer(relay.links, "id=away&tags=x").await);
        let mut far = sealer.peer(relay.links, "id=good&tags=y").await;
        let deaf = sealer.peer(relay.links, "id=deaf&tags=z").await;
        let mut shop = sealer.peer(relay.links, "id=shop").await;
        for number in 0..3 {
            shop.publish(json!({"type": "SK", "key": format!("k{number}"), "value": number, "targetedTags": ["x"]}))
                .await;
            shop.publish(json!({"type": "GW", "key": format!("k{number}"), "targetedTags": ["y"]})).await;
        }
        shop.publish(json!({"type": "CMD", "key": "k", "value": 1, "messageId": "m", "targetedTags": ["z"]})).await;
        shop.publish(json!({"type": "CMD", "key": "k", "value": 1, "messageId": "m", "targetedTags": ["z"]})).await;
        shop.rejected("nonsense").await;
        far.take_ids(3).await;
        relay.metric_becomes("slipstream_dead_letters", 1.0).await;
        relay.metric_becomes(r#"slipstream_circuit_open{peer="nowhere"}"#, 1.0).await;
        Self { relay, sealer, _linked: [far, deaf, shop], _folder: folder, _files: files }
    }
}

#[tokio::test]
async fn prometheus_answers_with_the_true_values() {
    let busy = Busy::start(&[]).await;
    let prometheus = Prometheus::scraping(busy.relay.admin, None).await;
    for (expression, value) in [
        (r#"slipstream_messages_processed_total{type="SK",origin="application"}"#, 3.0),
        (r#"slipstream_messages_processed_total{type="GW",origin="application"}"#, 3.0),
        (r#"slipstream_messages_rejected_total{code="invalid_json"}"#, 1.0),
        (r#"slipstream_messages_duplicate_total{by="identity"}"#, 1.0),
        (r#"slipstream_deliveries_total{outcome="acknowledged"}"#, 3.0),
        (r#"slipstream_deliveries_total{outcome="dead"}"#, 1.0),
        (r#"slipstream_dead_letters_total{reason="unacknowledged"}"#, 1.0),
        ("slipstream_dead_letters", 1.0),
        (r#"slipstream_republishes_total{peer="deaf"}"#, 1.0),
        (r#"slipstream_backlog{peer="away"}"#, 3.0),
        (r#"slipstream_peer_up{peer="away"}"#, 0.0),
        (r#"slipstream_peer_up{peer="good"}"#, 1.0),
        (r#"slipstream_peers{link="up"}"#, 3.0),
        (r#"slipstream_peers{link="down"}"#, 2.0),
        ("slipstream_peers_paused", 0.0),
        (r#"slipstream_circuit_open{peer="nowhere"}"#, 1.0),
        (r#"slipstream_message_latency_seconds_count{stage="delivery"}"#, 3.0),
        ("slipstream_ready", 1.0),
        ("slipstream_store_failing", 0.0),
        ("slipstream_survives_power_cut", 1.0),
        (r#"slipstream_build_info{store="sqlite"}"#, 1.0),
        ("slipstream_tls_unverified_peers", 1.0),
        (r#"slipstream_tls_certificate_expiry_seconds{use="listener"} > bool 86400 * 89"#, 1.0),
        (r#"slipstream_oldest_delivery_age_seconds{peer="away"} > bool 0"#, 1.0),
        ("process_resident_memory_bytes > bool 1000000", 1.0),
        ("process_cpu_seconds_total > bool 0", 1.0),
    ] {
        prometheus.becomes(expression, value).await;
    }
    let pause = request(busy.relay.admin, "POST", "/api/v1/peers/good/pause", "", "").await;
    assert_eq!(pause.status, 200);
    prometheus.becomes("slipstream_peers_paused", 1.0).await;

    // The series of a peer leave with it.
    assert_eq!(request(busy.relay.admin, "DELETE", "/api/v1/peers/away", "", "").await.status, 200);
    prometheus.has_no(r#"{peer="away"}"#).await;
    prometheus.becomes(r#"slipstream_deliveries_total{outcome="forgotten"}"#, 3.0).await;
}

#[tokio::test]
async fn peers_beyond_the_most_are_summed() {
    let busy = Busy::start(&["--metrics-peers=1"]).await;
    let prometheus = Prometheus::scraping(busy.relay.admin, None).await;
    prometheus.becomes(r#"slipstream_backlog{peer="away"}"#, 3.0).await;
    prometheus.becomes("count(slipstream_backlog)", 2.0).await;
    prometheus.becomes(r#"slipstream_backlog{peer="(rest)"}"#, 0.0).await;
    prometheus.becomes(r#"slipstream_oldest_delivery_age_seconds{peer="(rest)"}"#, 0.0).await;
    prometheus.becomes(r#"slipstream_republishes_total{peer="(rest)"}"#, 1.0).await;
    prometheus.becomes("count(slipstream_peer_up)", 1.0).await;
    // Somebody is owed more, and has the series now.
    drop(busy.sealer.peer(busy.relay.links, "id=behind&tags=w").await);
    let mut shop = busy.sealer.peer(busy.relay.links, "id=another").await;
    for number in 0..10 {
        shop.publish(json!({"type": "SK", "key": format!("k{number}"), "value": 1, "targetedTags": ["w"]})).await;
    }
    prometheus.becomes(r#"slipstream_backlog{peer="behind"}"#, 10.0).await;
    prometheus.becomes(r#"slipstream_backlog{peer="(rest)"}"#, 3.0).await;
    prometheus.becomes(r#"slipstream_oldest_delivery_age_seconds{peer="(rest)"} > bool 0"#, 1.0).await;
    prometheus.has_no(r#"{peer="away"}"#).await;
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_page() {
    let busy = Busy::start(&["--metrics-peers=2"]).await;
    let page = get(busy.relay.admin, "/metrics").await.body;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts; tests/run installs it");
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(page.as_bytes()).await.expect("it reads");
    drop(stdin);
    let checked = within("promtool", promtool.wait_with_output()).await.expect("it ends");
    let said = [checked.stdout, checked.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(checked.status.success() && said.is_empty(), "{said}\n{page}");
    // The list of names, which other tests go by, is that of the page.
    let shown: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<_> = METRICS.concat().into_iter().filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "not on the page of a relay of which there is everything to see: {missing:?}");
    let unlisted: Vec<_> = shown.iter().filter(|name| !METRICS.concat().contains(name)).collect();
    assert!(unlisted.iter().all(|name| name.starts_with("process_")), "{unlisted:?}");
}

#[test]
fn the_documentation_lists_every_metric_and_no_other() {
    let rows = table(CONFIGURATION, "| name | labels | meaning |");
    let listed: BTreeSet<_> = rows.iter().flat_map(|row| codes(&row[0])).filter(|name| *name != "process_*").collect();
    assert_eq!(listed, METRICS.concat().into_iter().collect());
}

/// The names of metrics that stand in an expression and are none of a relay.
fn unknown(expression: &str) -> Vec<String> {
    // What is in quotes are values of labels.
    let outside: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = outside.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let names = words.filter(|word| ["slipstream_", "process_"].iter().any(|prefix| word.starts_with(prefix)));
    let known = |name: &str| {
        let of_a_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let all = METRICS.concat();
        all.contains(&name) || of_a_histogram.is_some_and(|name| all.contains(&name)) || PROCESS.contains(&name)
    };
    names.filter(|name| !known(name)).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_alert_is_well_made_and_told_of_and_fires_in_a_case() {
    let folder = rules().parent().expect("a folder");
    run("promtool", ["check", "rules", "alerts.yml"], folder).await;
    run("promtool", ["test", "rules", "alerts_test.yml"], folder).await;

    let busy = Busy::start(&[]).await;
    let prometheus = Prometheus::scraping(busy.relay.admin, Some(rules())).await;
    let evaluated = || async {
        let groups = prometheus.ask("rules?type=alert").await;
        let groups: Vec<Value> = groups["groups"].as_array().expect("groups").clone();
        let rules: Vec<Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    };
    let alerts = eventually("every rule to be evaluated", evaluated).await;
    assert_eq!(alerts.len(), ALERTS.matches("- alert: ").count());
    for alert in &alerts {
        let name = alert["name"].as_str().expect("a name");
        assert_eq!((&alert["health"], alert["lastError"].as_str()), (&json!("ok"), None), "{name}");
        let query = alert["query"].as_str().expect("an expression");
        assert_eq!(unknown(query), Vec::<String>::new(), "{name}");
        assert!(["critical", "warning"].map(Value::from).contains(&alert["labels"]["severity"]), "{name}");
        let annotation =
            |what: &str| alert["annotations"][what].as_str().unwrap_or_else(|| panic!("{name}: no {what}"));
        assert!(!annotation("summary").is_empty() && annotation("description").ends_with('.'), "{name}");
        assert_eq!(annotation("runbook"), format!("docs/operations.md#{}", name.to_lowercase()));
        assert!(OPERATIONS.contains(&format!("\n### {name}\n")), "docs/operations.md has no section {name}");
        let fires = ALERT_CASES.split("- alertname: ").filter(|case| case.starts_with(&format!("{name}\n")));
        assert_eq!(fires.filter(|case| case.contains("exp_labels:")).count(), 1, "alerts_test.yml: {name}");
    }
    // What is told of and does not exist would be looked for in vain.
    let sections = OPERATIONS.lines().filter(|line| line.starts_with("### Slipstream")).count();
    assert_eq!(sections, alerts.len());
    // One that holds for this relay fires.
    prometheus.becomes(r#"count(ALERTS{alertname="SlipstreamCircuitOpen",peer="nowhere"})"#, 1.0).await;
}

/// Each expression of the dashboard, with the title of its panel.
fn queries(dashboard: &Value) -> Vec<(&str, &str)> {
    let panels = dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row");
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().expect("a title");
        panel["targets"].as_array().expect("queries").iter().map(move |target| (title, target))
    });
    let queries = targets.map(|(title, target)| {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        (title, target["expr"].as_str().expect("an expression"))
    });
    queries.collect()
}

#[tokio::test]
async fn every_query_of_the_dashboard_finds_something() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let queries = queries(&dashboard);
    let busy = Busy::start(&[]).await;
    let prometheus = Prometheus::scraping(busy.relay.admin, None).await;
    for (title, query) in &queries {
        assert_eq!(unknown(query), Vec::<String>::new(), "{title}");
        let query = query.replace("$job", "slipstream").replace("$instance", ".*").replace("$__rate_interval", "1m");
        assert!(!query.contains('$'), "{title}: {query}");
        eventually(&format!("{title}: {query}"), || async {
            (!prometheus.query(&query).await.is_empty()).then_some(())
        })
        .await;
    }
    // Nothing is measured that nobody can look at.
    let all = queries.iter().map(|(_, query)| *query).collect::<Vec<_>>().join("\n");
    let unseen: Vec<_> = METRICS.concat().into_iter().filter(|name| !all.contains(name)).collect();
    assert!(unseen.is_empty(), "not on the dashboard: {unseen:?}");
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert!(variables.iter().any(|variable| variable["type"] == "datasource" && variable["name"] == "datasource"));
    for query in variables.iter().filter_map(|variable| variable["definition"].as_str()) {
        assert_eq!(unknown(query), Vec::<String>::new(), "{query}");
    }
}
