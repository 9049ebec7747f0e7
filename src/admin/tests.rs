use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{MetricsPage, Pages, Readiness, serve};

const LIMIT: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    reasons: Arc<Mutex<Vec<String>>>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(render: impl Fn() -> String + Send + Sync + 'static) -> Running {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
    let address = listener.local_addr().expect("address");
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let known = Arc::clone(&reasons);
    let readiness = move || Readiness {
        reasons: known.lock().clone(),
        store: "sqlite".to_owned(),
        guarantee: "it survives a power cut".to_owned(),
    };
    let pages = Pages { render: Arc::new(render), readiness: Arc::new(readiness) };
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, pages, shutdown.clone()));
    Running { address, reasons, shutdown, task }
}

impl Running {
    /// Sends one request and answers head and body.
    async fn ask(&self, method: &str, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let request = format!("{method} {path} HTTP/1.1\r\nHost: relay\r\n\r\n");
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
    assert_eq!(body, r#"{"ready":true,"reasons":[],"store":"sqlite","guarantee":"it survives a power cut"}"#);
    running.reasons.lock().push("shutting down".to_owned());
    let (head, body) = running.ask("GET", "/readyz").await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert!(body.starts_with(r#"{"ready":false,"reasons":["shutting down"],"#), "{body}");
    assert!(running.ask("GET", "/healthz").await.0.starts_with("http/1.1 200 "), "alive, though not ready");
}

#[tokio::test]
async fn errors_have_one_shape() {
    let running = start(String::new).await;
    let (head, body) = running.ask("GET", "/metrics/").await;
    assert!(head.starts_with("http/1.1 404 "), "{head}");
    assert_eq!(body, r#"{"error":{"code":"not_found","message":"there is nothing at /metrics/"}}"#);
    let (head, body) = running.ask("POST", "/readyz").await;
    assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"), "{head}");
    assert!(body.starts_with(r#"{"error":{"code":"method_not_allowed","#), "{body}");
    let running = start(|| panic!("broken")).await;
    let (head, body) = running.ask("GET", "/metrics").await;
    assert!(head.starts_with("http/1.1 500 ") && body.contains(r#""code":"internal""#), "{head} {body}");
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
    let page = MetricsPage::install(&[("slipstream_commit_seconds", &[0.001, 1.0])]).expect("a recorder");
    metrics::histogram!("slipstream_commit_seconds").record(0.5);
    let text = page.render(|| metrics::gauge!("slipstream_backlog", "peer" => "a").set(3.0));
    assert!(text.contains(r#"slipstream_commit_seconds_bucket{le="0.001"} 0"#), "{text}");
    assert!(text.contains(r#"slipstream_commit_seconds_bucket{le="1"} 1"#), "{text}");
    assert!(text.contains("# TYPE process_cpu_seconds_total") && text.contains("process_open_fds "), "{text}");
    assert!(MetricsPage::install(&[]).is_err(), "a process has one recorder");
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    tokio::time::timeout(LIMIT, page.upkeep(shutdown)).await.expect("upkeep ends");
}
