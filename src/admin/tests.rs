use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{ApiAccess, MetricsPage, Pages, Readiness, SharedPage, serve};
use crate::logging::{Level, SwitchChange, Switches};

const JSON: &str = "Content-Type: application/json\r\n";

const LIMIT: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    reasons: Arc<Mutex<Vec<String>>>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(render: impl Fn() -> String + Send + Sync + 'static) -> Running {
    start_for(ApiAccess::Machine, render).await
}

async fn start_for(api: ApiAccess, render: impl Fn() -> String + Send + Sync + 'static) -> Running {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
    let address = listener.local_addr().expect("address");
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let known = Arc::clone(&reasons);
    let readiness = move || Readiness {
        reasons: known.lock().clone(),
        degraded: Vec::new(),
        open_circuits: vec!["azure-1".to_owned()],
        store: "sqlite".to_owned(),
        guarantee: Some("it survives a power cut".to_owned()),
    };
    let switches = Mutex::new(Switches { messages: true, level: Level::Info });
    let logging = move |change: SwitchChange| {
        let mut now = switches.lock();
        now.messages = change.messages.unwrap_or(now.messages);
        now.level = change.level.unwrap_or(now.level);
        Ok(*now)
    };
    let render = Arc::new(render);
    let metrics = SharedPage::new(move || {
        let render = Arc::clone(&render);
        Box::pin(tokio::task::spawn_blocking(move || render().into()))
    });
    let (readiness, logging) = (Arc::new(readiness), Arc::new(logging));
    let pages = Pages { metrics, readiness, logging, relay: None, api };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, None, watch::Sender::new(pages).subscribe(), shutdown.clone()));
    Running { address, reasons, shutdown, task }
}

impl Running {
    /// Sends one request and answers head and body.
    async fn ask(&self, method: &str, path: &str) -> (String, String) {
        self.say(&format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)).await
    }

    /// As [`ask`](Self::ask), for the logging endpoint, with these headers and this body.
    async fn log(&self, method: &str, headers: &str, body: &str) -> (String, String) {
        let length = body.len();
        let head = format!("{method} /api/v1/logging HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n");
        self.say(&(head + body)).await
    }

    async fn put_log(&self, body: &str) -> (String, String) {
        self.log("PUT", &format!("Host: {}\r\n{JSON}", self.address), body).await
    }

    async fn say(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(request.as_bytes()).await.expect("request");
        let mut answer = String::new();
        tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.expect("in time").expect("answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    }
}

#[tokio::test]
async fn the_pages_answer() {
    let running = start(|| "up 1\n".to_owned()).await;
    let (head, body) = running.ask("GET", "/metrics?x=1").await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert_eq!(body, "up 1\n");
    assert!(running.ask("GET", "/healthz").await.0.starts_with("http/1.1 200 "));
    let (head, body) = running.ask("HEAD", "/metrics").await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("content-length: 5"), "{head}");
    assert_eq!(body, "");
}

#[tokio::test]
async fn readiness_is_told_with_its_reasons() {
    let running = start(String::new).await;
    let (head, body) = running.ask("GET", "/readyz").await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("application/json"), "{head}");
    assert_eq!(
        body,
        r#"{"ready":true,"reasons":[],"degraded":[],"openCircuits":["azure-1"],"store":"sqlite","guarantee":"it survives a power cut"}"#
    );
    running.reasons.lock().push("shutting down".to_owned());
    let (head, body) = running.ask("GET", "/readyz").await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert!(
        body.starts_with(r#"{"ready":false,"reasons":["shutting down"],"degraded":[],"openCircuits":["azure-1"],"#),
        "{body}"
    );
    assert!(running.ask("GET", "/healthz").await.0.starts_with("http/1.1 200 "), "alive, though not ready");
}

#[tokio::test]
async fn errors_have_one_shape() {
    let running = start(String::new).await;
    let (head, body) = running.ask("GET", "/metrics/").await;
    assert!(head.starts_with("http/1.1 404 "), "{head}");
    assert_eq!(body, r#"{"error":{"code":"not_found","message":"there is nothing at /metrics/"}}"#);
    let (head, body) = running.ask("POST", "/readyz").await;
    assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get,head"), "{head}");
    assert!(body.starts_with(r#"{"error":{"code":"method_not_allowed","#), "{body}");
    let running = start(|| panic!("broken")).await;
    let (head, body) = running.ask("GET", "/metrics").await;
    assert!(head.starts_with("http/1.1 500 ") && body.contains(r#""code":"internal""#), "{head} {body}");
}

#[tokio::test]
async fn what_is_logged_is_told_and_changed() {
    let running = start(String::new).await;
    let (head, body) = running.ask("GET", "/api/v1/logging").await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("application/json"), "{head}");
    assert_eq!(body, r#"{"messageLogs":true,"level":"info"}"#);
    for (put, now) in [
        (r#"{"level":"debug"}"#, r#"{"messageLogs":true,"level":"debug"}"#),
        (r#" {"messageLogs":false}"#, r#"{"messageLogs":false,"level":"debug"}"#),
        (r#"{"messageLogs":true,"level":"error"}"#, r#"{"messageLogs":true,"level":"error"}"#),
        ("{}", r#"{"messageLogs":true,"level":"error"}"#),
    ] {
        let (head, body) = running.put_log(put).await;
        assert!(head.starts_with("http/1.1 200 "), "{put}: {head}");
        assert_eq!(body, now, "{put}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_is_expected_changes_nothing_and_is_told() {
    let running = start(String::new).await;
    for (body, told) in [
        (r#"{"level":"loud"}"#, "loud"),
        (r#"{"level":"debug","colour":1}"#, "colour"),
        (r#"{"messageLogs":"yes"}"#, "messageLogs"),
        (r#"{"level":"debug","level":"debug"}"#, "level"),
        (r#"[false,"debug"]"#, "a JSON object"),
        (r#"{"level":"debug""#, "EOF"),
        ("", "a JSON object"),
    ] {
        let (head, answer) = running.put_log(body).await;
        assert!(head.starts_with("http/1.1 400 "), "{body}: {head}");
        assert!(answer.starts_with(r#"{"error":{"code":"invalid_request","message":""#), "{answer}");
        // serde names a type that does not fit, and where it stands.
        assert!(answer.contains(told) || answer.contains("expected a boolean at line 1"), "{body}: {answer}");
    }
    let host = format!("Host: {}\r\n", running.address);
    let large = format!(r#"{{"level":"debug"{}}}"#, " ".repeat(super::request::MAX_BODY_BYTES));
    assert!(running.put_log(&large).await.0.starts_with("http/1.1 413 "));
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"] {
        let (head, body) = running.log("PUT", &(host.clone() + kind), r#"{"level":"debug"}"#).await;
        assert!(head.starts_with("http/1.1 415 ") && body.contains("unsupported_media_type"), "{kind}: {head} {body}");
    }
    let (head, _) = running.log("POST", &(host + JSON), r#"{"level":"debug"}"#).await;
    assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get,head,put"), "{head}");
    assert_eq!(running.ask("GET", "/api/v1/logging").await.1, r#"{"messageLogs":true,"level":"info"}"#);
    let (_, body) = running
        .log("PUT", "Host: LocalHost\r\nContent-Type: Application/JSON; charset=utf-8\r\n", "{\"level\":\"trace\"}")
        .await;
    assert_eq!(body, r#"{"messageLogs":true,"level":"trace"}"#);
}

#[tokio::test]
async fn a_page_of_another_site_may_not_use_the_api() {
    let running = start(String::new).await;
    let here = running.address;
    let forbidden = [
        format!("Host: {here}\r\nSec-Fetch-Site: cross-site\r\n"),
        format!("Host: {here}\r\nSec-Fetch-Site: same-site\r\n"),
        format!("Host: {here}\r\nOrigin: http://evil.example\r\n"),
        format!("Host: {here}\r\nOrigin: http://127.0.0.1:1\r\n"),
        format!("Host: {here}\r\nOrigin: null\r\n"),
        // The name leads here by now, so that the browser takes page and API for one site.
        "Host: evil.example\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n".to_owned(),
        "Host: 127.0.0.1.evil.example\r\n".to_owned(),
    ];
    let permitted = [
        format!("Host: {here}\r\n"),
        format!("Host: {here}\r\nOrigin: http://{here}\r\nSec-Fetch-Site: same-origin\r\n"),
        format!("Host: {here}\r\nSec-Fetch-Site: none\r\n"),
        "Host: [::1]:8080\r\nOrigin: https://[::1]:8080\r\n".to_owned(),
    ];
    for method in ["GET", "PUT"] {
        for headers in &forbidden {
            let (head, body) = running.log(method, &format!("{headers}{JSON}"), "{}").await;
            assert!(head.starts_with("http/1.1 403 ") && body.contains(r#""code":"cross_site""#), "{headers}: {head}");
        }
        for headers in &permitted {
            let (head, _) = running.log(method, &format!("{headers}{JSON}"), "{}").await;
            assert!(head.starts_with("http/1.1 200 ") && !head.contains("access-control"), "{headers}: {head}");
        }
    }
}

#[tokio::test]
async fn where_nobody_may_use_the_api_the_other_pages_stay() {
    let running = start_for(ApiAccess::Nobody, String::new).await;
    for path in ["/api/v1/logging", "/api/v1/nothing", "/api"] {
        let (head, body) = running.ask("GET", path).await;
        assert!(
            head.starts_with("http/1.1 403 ") && body.contains("SLIPSTREAM_ALLOW_INSECURE"),
            "{path}: {head} {body}"
        );
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert!(running.ask("GET", path).await.0.starts_with("http/1.1 200 "), "{path}");
    }
    assert!(running.ask("GET", "/apiary").await.0.starts_with("http/1.1 404 "));
    let running = start_for(ApiAccess::Anyone, String::new).await;
    assert!(running.log("GET", "Host: relay.example\r\n", "").await.0.starts_with("http/1.1 200 "));
    let cross = "Host: relay.example\r\nOrigin: http://evil.example\r\n";
    assert!(running.log("GET", cross, "").await.0.starts_with("http/1.1 403 "));
    assert!(running.ask("GET", "/api/v2/logging").await.0.starts_with("http/1.1 404 "));
}

#[tokio::test]
async fn a_page_that_takes_long_does_not_delay_health() {
    let (go, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let wait = Mutex::new(wait);
    let running = start(move || wait.lock().recv().map(|()| String::new()).unwrap_or_default()).await;
    let slow = running.ask("GET", "/metrics");
    let health = async {
        let answer = running.ask("GET", "/healthz").await;
        drop(go);
        answer
    };
    let (slow, health) = tokio::join!(slow, health);
    assert!(health.0.starts_with("http/1.1 200 ") && slow.0.starts_with("http/1.1 200 "));
}

#[tokio::test]
async fn clients_that_say_nothing_are_dropped_and_make_room() {
    let running = start(String::new).await;
    let mut silent = Vec::new();
    for _ in 0..super::server::MAX_CONNECTIONS {
        silent.push(TcpStream::connect(running.address).await.expect("connect"));
    }
    assert!(running.ask("GET", "/healthz").await.0.starts_with("http/1.1 200 "));
}

#[tokio::test]
async fn shutdown_ends_the_server_and_its_connections() {
    let running = start(String::new).await;
    let mut open = TcpStream::connect(running.address).await.expect("connect");
    running.ask("GET", "/healthz").await;
    running.shutdown.cancel();
    tokio::time::timeout(LIMIT, running.task).await.expect("in time").expect("no panic");
    let mut rest = Vec::new();
    let read = tokio::time::timeout(LIMIT, open.read_to_end(&mut rest)).await.expect("in time");
    assert!(read.map_or(true, |count| count == 0), "{rest:?}");
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn the_metrics_page_has_histograms_with_buckets_and_the_process() {
    let text_of = |page: Result<Bytes, JoinError>| String::from_utf8(page.unwrap().to_vec()).unwrap();
    let page = MetricsPage::install(&[("slipstream_commit_seconds", &[0.001, 1.0])]).expect("a recorder");
    metrics::histogram!("slipstream_commit_seconds").record(0.5);
    let text = text_of(page.clone().render(|| metrics::gauge!("slipstream_backlog", "peer" => "a").set(3.0)).await);
    assert!(text.contains(r#"slipstream_commit_seconds_bucket{le="0.001"} 0"#), "{text}");
    assert!(text.contains(r#"slipstream_commit_seconds_bucket{le="1"} 1"#), "{text}");
    assert!(text.contains("# TYPE process_cpu_seconds_total") && text.contains("process_open_fds "), "{text}");
    assert!(text.contains(r#"slipstream_backlog{peer="a"} 3"#), "{text}");
    let text = text_of(page.clone().render(|| ()).await);
    assert!(!text.contains("slipstream_backlog"), "a peer that is gone is on no later page: {text}");
    assert!(MetricsPage::install(&[]).is_err(), "a process has one recorder");
}
