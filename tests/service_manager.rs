//! What a relay tells the service manager that started it: when it is ready, how it is, that it lives, that it stops. The
//! service manager here is a datagram socket, as sd_notify(3) says; `tests/packaging/run` has systemd itself.

#![cfg(test)]
#![cfg(feature = "sqlite")]

mod support;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use support::{Holder, Peer, Process, Relay, Signal, assert_has, get, own_loopback, within, written};
use tokio::net::UnixDatagram;
use tokio::time::Instant;

/// What started the relay, as far as the relay sees it.
struct Manager {
    socket: UnixDatagram,
    /// Where the relay is to take links.
    links: SocketAddr,
}

impl Manager {
    /// Starts a relay over the store in `folder`, which is to tell that it lives within `watchdog` microseconds, if any.
    fn start(folder: &Path, watchdog: Option<&str>, flags: &[&str]) -> (Self, Process) {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let mut environment = vec![("NOTIFY_SOCKET", path.to_str().expect("UTF-8")), ("RUST_BACKTRACE", "0")];
        environment.extend(watchdog.map(|limit| ("WATCHDOG_USEC", limit)));
        environment.push(("SLIPSTREAM_SHUTDOWN_TIMEOUT", "3s"));
        let store = folder.join("store.db");
        let links = SocketAddr::new(own_loopback(), 7171);
        let listen = format!("--listen={links}");
        let fixed = ["serve", &listen, "--metrics-port=0", "--storage-path", store.to_str().expect("UTF-8")];
        let process = Process::spawn(fixed.iter().chain(flags), &environment);
        (Self { socket, links }, process)
    }

    /// The next thing that it is told.
    async fn told(&self) -> String {
        let mut datagram = [0; 4096];
        let length = within("what the relay tells", self.socket.recv(&mut datagram)).await.expect("a datagram");
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    }

    /// The next that has `line` among its lines, and what was told before.
    async fn told_line(&self, line: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let told = self.told().await;
            if told.lines().any(|each| each == line) {
                return (told, before);
            }
            before.push(told);
        }
    }

    /// The next that has a status with `part`.
    async fn told_status(&self, part: &str) -> String {
        loop {
            let told = self.told().await;
            if let Some(status) =
                told.lines().find_map(|line| line.strip_prefix("STATUS=").filter(|it| it.contains(part)))
            {
                return status.to_owned();
            }
        }
    }
}

#[tokio::test]
async fn a_relay_is_ready_once_it_takes_links_and_says_that_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let (manager, process) = Manager::start(folder.path(), None, &[]);
    let (_, before) = manager.told_line("READY=1").await;
    assert!(TcpStream::connect(manager.links).is_ok());
    let mut relay = Relay::ready(process).await;
    assert!(before.iter().all(|told| told.contains("STATUS=opening the store")), "{before:?}");
    assert_has(&manager.told_status("ready").await, ["linked: 0, away: 0; deliveries owed: 0"]);
    relay.process.signal(Signal::TERM);
    let (stopping, before) = manager.told_line("STOPPING=1").await;
    assert!(before.iter().all(|told| !told.contains("WATCHDOG")), "nobody asked for it: {before:?}");
    // The timeout of the shutdown, and time to close the store.
    assert_has(&stopping, ["STATUS=stopping", "EXTEND_TIMEOUT_USEC=23000000"]);
    assert!(relay.process.end().await.success());
}

#[tokio::test]
async fn the_watchdog_is_told_at_half_its_time_also_while_the_store_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (manager, process) = Manager::start(folder.path(), Some("1000000"), &[]);
    let relay = Relay::ready(process).await;
    let begin = {
        manager.told_line("WATCHDOG=1").await;
        Instant::now()
    };
    for _ in 0..6 {
        manager.told_line("WATCHDOG=1").await;
    }
    // No oftener than asked, however slow the machine: the first may have waited for us.
    assert!(begin.elapsed() >= Duration::from_millis(2000), "{:?}", begin.elapsed());

    let mut sender = Peer::connect(&relay, "id=sender").await;
    let holder = Holder::of(&folder.path().join("store.db"));
    sender.send(json!({"type": "EVENT", "messageId": "m1"}).to_string()).await;
    assert_has(&manager.told_status("not ready").await, ["a commit has been running", "peers linked: 1"]);
    manager.told_line("WATCHDOG=1").await;
    drop(holder);
    assert!(!relay.process.stderr().contains("does not answer"), "{}", relay.process.stderr());
}

#[tokio::test]
async fn a_reload_ends_and_one_before_the_start_starts_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = written(folder.path(), "slipstream.toml", "enable_message_logs = true\n");
    // Whoever opens the store waits until somebody writes.
    let store = folder.path().join("store.db");
    mknodat(CWD, &store, FileType::Fifo, Mode::from(0o600), 0).expect("a pipe");
    let (manager, mut process) = Manager::start(folder.path(), None, &["--config", &settings]);
    assert_has(&manager.told().await, ["STATUS=opening the store, for 0 s", "EXTEND_TIMEOUT_USEC=60000000"]);
    process.signal(Signal::HUP);
    let again = manager.told().await;
    assert_has(&again, ["STATUS=opening the store, for", "EXTEND_TIMEOUT_USEC=60000000"]);
    process.signal(Signal::TERM);
    let stopping = manager.told().await;
    assert!(stopping.starts_with("STOPPING=1") && !stopping.contains("EXTEND"), "{stopping}");
    process.kill().await;

    std::fs::remove_file(&store).expect("it goes");
    std::fs::remove_file(folder.path().join("notify")).expect("it goes");
    let (manager, process) = Manager::start(folder.path(), None, &["--config", &settings]);
    manager.told_line("READY=1").await;
    process.signal(Signal::HUP);
    let (reloading, _) = manager.told_line("RELOADING=1").await;
    let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
    assert!(since.is_some(), "{reloading}");
    assert!(manager.told_line("READY=1").await.1.iter().all(|told| !told.contains("STOPPING")));
}

#[tokio::test]
async fn a_service_manager_that_is_gone_stops_no_relay() {
    let folder = tempfile::tempdir().expect("a folder");
    let (manager, process) = Manager::start(folder.path(), Some("200000"), &[]);
    let relay = Relay::ready(process).await;
    manager.told_line("WATCHDOG=1").await;
    drop(manager);
    std::fs::remove_file(folder.path().join("notify")).expect("it goes");
    relay.says("NOTIFY_SOCKET").await;
    assert_eq!(get(relay.admin, "/readyz").await.status, 200);
    assert!(relay.stop().await.success());
}
