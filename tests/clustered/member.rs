//! One of the processes that together are the relay, and what befalls it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::database::NAME;
use super::ways::Ways;
use crate::support::{Peer, Process, Relay, Signal, eventually, own_loopback, upgrade, within};

/// The id that all processes share.
pub(crate) const RELAY: &str = "relay";

/// The ports of a process, at an address of its own.
const LINKS_PORT: u16 = 7171;
const ADMIN_PORT: u16 = 8080;

/// The settings of all processes. Deliveries are never sent again on the same link while a test lasts, and what is
/// remembered of them goes soon.
const SETTINGS: [(&str, &str); 9] = [
    ("SLIPSTREAM_STORE", "postgres"),
    ("SLIPSTREAM_INSTANCE_ID", RELAY),
    ("SLIPSTREAM_ACK_TIMEOUT", "10m"),
    ("SLIPSTREAM_DEDUP_WINDOW", "10m"),
    ("SLIPSTREAM_TRACE_RETENTION", "10m"),
    ("SLIPSTREAM_RETRY_IN_N_SECONDS", "100ms"),
    ("SLIPSTREAM_SHUTDOWN_TIMEOUT", "5s"),
    ("SLIPSTREAM_MIN_FREE_DISK", "0"),
    ("ENABLE_MESSAGE_LOGS", "false"),
];

/// A process of the relay.
#[derive(Debug)]
pub(crate) struct Member {
    /// Where it takes links and answers HTTP, whenever it runs.
    pub(crate) links: SocketAddr,
    pub(crate) admin: SocketAddr,
    environment: Vec<(String, String)>,
    relay: Option<Relay>,
    /// How often it ended while it began, because there was no database.
    pub(crate) failed_starts: u64,
}

impl Member {
    /// One that does not run yet, and reaches the database by these ways.
    pub(crate) fn new(ways: &Ways, further: &[(&str, &str)]) -> Self {
        let own = own_loopback();
        let (links, admin) = (SocketAddr::new(own, LINKS_PORT), SocketAddr::new(own, ADMIN_PORT));
        let hosts = ways.0.each_ref().map(|way| way.address.to_string()).join(",");
        let own_settings = [
            ("SLIPSTREAM_STORE_URL", format!("postgres://postgres@{hosts}/{NAME}")),
            ("SLIPSTREAM_LISTEN", links.to_string()),
            ("METRICS_HOST", own.to_string()),
            ("METRICS_PORT", ADMIN_PORT.to_string()),
        ];
        let fixed = SETTINGS.iter().chain(further).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = fixed.chain(own_settings.map(|(name, value)| (name.to_owned(), value))).collect();
        Self { links, admin, environment, relay: None, failed_starts: 0 }
    }

    /// The process, which runs.
    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("it runs")
    }

    /// Begins the process, and waits until it takes links. One that ends before is begun again, as a service manager
    /// does.
    pub(crate) async fn start(&mut self) {
        assert!(self.relay.is_none(), "it runs");
        let environment: Vec<_> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut process = Process::spawn(["serve"], &environment);
        let said = RefCell::new(String::new());
        let starting = async {
            while TcpStream::connect(self.links).await.is_err() {
                said.replace(process.stderr());
                if process.ended().is_some() {
                    self.failed_starts += 1;
                    println!("a process ended while it began; it said:\n{}", process.stderr());
                    process = Process::spawn(["serve"], &environment);
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(crate::support::LIMIT, starting).await.is_err() {
            panic!("a process does not begin to take links; it says:\n{}", said.borrow());
        }
        self.relay = Some(Relay { process, links: self.links, admin: self.admin });
    }

    /// A link with the process, as soon as it takes links: it may just begin again.
    pub(crate) async fn link(&self, query: &str) -> Peer {
        eventually("a link", || async { upgrade(self.links, &format!("/?{query}"), &[]).await.ok().map(Peer::on) })
            .await
    }

    /// Kills the process.
    pub(crate) async fn kill(&mut self) {
        self.expect_alive();
        let mut relay = self.relay.take().expect("it runs");
        relay.process.kill().await;
    }

    /// Asks the process to end, and waits until it has. Returns whether it says that all is well: if the database is out of
    /// reach just then, or the process was shut out, it does not.
    pub(crate) async fn stop(&mut self) -> bool {
        self.expect_alive();
        let mut relay = self.relay.take().expect("it runs");
        relay.process.signal(Signal::TERM);
        let status = within("a process to end in order", relay.process.end()).await;
        let said = relay.process.stderr();
        assert!(status.code().is_some() && !said.contains("panicked at"), "it ended with {status}:\n{said}");
        status.success()
    }

    /// Has the process stand still, or go on.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.expect_alive();
        self.relay().process.signal(signal);
    }

    fn expect_alive(&mut self) {
        if let Some(failure) = self.failure() {
            panic!("{failure}");
        }
    }

    /// What the process said, if it ended though nobody told it to.
    pub(crate) fn failure(&mut self) -> Option<String> {
        let process = &mut self.relay.as_mut()?.process;
        let status = process.ended()?;
        Some(format!("a process ended with {status}:\n{}", process.stderr()))
    }

    /// The last of what the process said.
    pub(crate) fn said(&self) -> String {
        self.relay.as_ref().map_or_else(|| "(it does not run)".to_owned(), |relay| relay.process.stderr())
    }
}
