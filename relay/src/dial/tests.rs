//! The life of a dialled peer, against servers that do what a script says, in time that only moves when all wait.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use sha1::{Digest as _, Sha1};
use slipstream_store::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::link::{Announced, Connector, Offer, Socket, Stream};
use crate::listen::Seat;

const HOUR: Duration = Duration::from_secs(3600);

/// What the server does with a dial.
#[derive(Debug, Clone)]
enum Server {
    Unreachable,
    Mute,
    Answers(String),
    /// Grants the link, which ends by itself after a while.
    Grants(Duration),
}

/// A clock whose time goes on with tokio's, from a minute after the epoch.
#[derive(Debug)]
struct PausedClock {
    started: Instant,
    ids: SystemClock,
}

impl PausedClock {
    const BEGINS: Duration = Duration::from_secs(60);

    fn new() -> Self {
        Self { started: Instant::now(), ids: SystemClock::new() }
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO.plus(Self::BEGINS + self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn ulid(&self) -> Ulid {
        self.ids.ulid()
    }

    fn random(&self) -> u64 {
        self.ids.random()
    }
}

/// Does what the script says, the last thing again and again; notes when it was dialled.
struct Script {
    servers: Mutex<VecDeque<Server>>,
    dialled: Mutex<Vec<Instant>>,
}

#[async_trait]
impl Connector for Script {
    async fn connect(&self, target: &Target) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        assert_eq!((target.host.as_str(), target.port), ("far", 7171));
        self.dialled.lock().push(Instant::now());
        let server = {
            let mut servers = self.servers.lock();
            let server = servers.front().cloned().expect("a script");
            if servers.len() > 1 {
                servers.pop_front();
            }
            server
        };
        if let Server::Unreachable = server {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(serve(far, server));
        Ok((Box::new(near), SocketAddr::from((Ipv4Addr::LOCALHOST, target.port))))
    }
}

async fn serve(stream: DuplexStream, server: Server) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut key = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("sec-websocket-key: ") {
            key = line[line.len() - value.len()..].trim().to_owned();
        }
        if line == "\r\n" {
            break;
        }
    }
    let answer = match &server {
        Server::Answers(answer) => answer.clone(),
        Server::Grants(_) => {
            let digest = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
            let accept = STANDARD.encode(digest);
            format!(
                "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )
        }
        Server::Unreachable | Server::Mute => String::new(),
    };
    stream.write_all(answer.as_bytes()).await?;
    if let Server::Grants(up) = server {
        tokio::time::sleep(up).await;
        return Ok(());
    }
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

fn refusal(status: &str, headers: &str) -> Server {
    Server::Answers(format!("HTTP/1.1 {status}\r\nContent-Length: 12\r\n{headers}\r\nnot you, sir"))
}

/// A link that lasts until the server ends it.
struct UntilItEnds;

impl Seat for UntilItEnds {
    async fn run(self, mut socket: Socket) {
        socket.stream.read_to_end(&mut Vec::new()).await.expect("a duplex does not fail");
    }
}

#[derive(Clone, Default)]
struct Anyone {
    /// A link that the peer began itself.
    link: Arc<Mutex<Option<CancellationToken>>>,
}

#[async_trait]
impl Contact for Anyone {
    type Seat = UntilItEnds;

    fn offer(&self) -> Offer {
        Offer::default()
    }

    async fn may_dial(&self) -> bool {
        true
    }

    fn linked(&self) -> Option<CancellationToken> {
        self.link.lock().clone().filter(|link| !link.is_cancelled())
    }

    async fn meet(&self, _: Announced, _: SocketAddr) -> Result<UntilItEnds, DialError> {
        Ok(UntilItEnds)
    }
}

struct Running {
    script: Arc<Script>,
    contact: Anyone,
    status: watch::Sender<DialStatus>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn start(servers: impl IntoIterator<Item = Server>, contact: Anyone) -> Running {
    let script = Arc::new(Script { servers: Mutex::new(servers.into_iter().collect()), dialled: Mutex::default() });
    let (status, shutdown) = (watch::Sender::default(), CancellationToken::new());
    let dialler = Dialler {
        contact: contact.clone(),
        peer: DialledPeer {
            target: Target::parse("ws://far:7171/").expect("a URL"),
            alias: PeerId::new("far").expect("an id"),
            tags: None,
            group: None,
            coalesce: false,
            token: None,
        },
        limits: DialLimits { attempts: 3, open_pause: HOUR, ..DialLimits::default() },
        connector: Arc::<Script>::clone(&script),
        clock: Arc::new(PausedClock::new()),
        status: status.clone(),
    };
    let task = tokio::spawn(dialler.run(shutdown.clone()));
    Running { script, contact, status, shutdown, task }
}

impl Running {
    /// Waits for that many dials; answers the pauses between them.
    async fn pauses(&self, dials: usize) -> Vec<Duration> {
        while self.script.dialled.lock().len() < dials {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let dialled = self.script.dialled.lock();
        dialled.windows(2).map(|two| two[1] - two[0]).collect()
    }

    async fn status(&self, wanted: impl FnMut(&DialStatus) -> bool) -> DialStatus {
        self.status.subscribe().wait_for(wanted).await.expect("the dialler lives").clone()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_dialled_with_pauses_and_then_only_now_and_then() {
    let running = start([Server::Unreachable], Anyone::default());
    let pauses = running.pauses(5).await;
    assert!(pauses[0] <= Duration::from_secs(5) && pauses[1] <= Duration::from_secs(10), "{pauses:?}");
    assert_eq!(pauses[2..4].iter().map(|pause| pause.as_secs() / 60).collect::<Vec<_>>(), [60, 60]);
    let status = running.status(|status| status.failures == 5).await;
    assert!(status.circuit_open && status.last_error.is_some_and(|error| error.contains("connect")));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_circuit_closes_with_the_first_dial_that_succeeds() {
    let servers = [vec![Server::Unreachable; 4], vec![Server::Grants(HOUR), Server::Unreachable]].concat();
    let running = start(servers, Anyone::default());
    running.status(|status| status.circuit_open).await;
    let status = running.status(|status| !status.circuit_open).await;
    assert_eq!(status, DialStatus::default(), "nothing of the failures is left");
    let pauses = running.pauses(6).await;
    // The link lasted, so that the pause after it is a first one again.
    assert!(pauses[4] >= HOUR && pauses[4] <= HOUR + Duration::from_secs(6), "{pauses:?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_its_retry_after_is_honoured() {
    let running = start(
        [refusal("503 Busy", "Retry-After: 1234\r\n"), refusal("403 No", "Retry-After: 86400\r\n"), Server::Mute],
        Anyone::default(),
    );
    let status = running.status(|status| status.failures == 1).await;
    let error = status.last_error.expect("an error");
    assert!(error.contains("503") && error.contains("not you, sir"), "{error}");
    let pauses = running.pauses(3).await;
    assert_eq!(pauses[0].as_secs(), 1234);
    assert_eq!(pauses[1].as_secs(), 3600, "it is not followed without end");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_date_in_retry_after_is_honoured_by_the_relays_clock() {
    let until = |seconds| {
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + PausedClock::BEGINS + Duration::from_secs(seconds));
        refusal("503 Busy", &format!("Retry-After: {date}\r\n"))
    };
    let running = start([until(1234), until(1_000_000), until(0), Server::Mute], Anyone::default());
    let pauses = running.pauses(4).await;
    assert_eq!(pauses[0].as_secs(), 1234);
    assert_eq!(pauses[1].as_secs(), 3600, "it is not followed without end");
    assert_eq!(pauses[2].as_secs(), 3600, "the date has passed; it is the pause of an open circuit");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_long_refusal_the_beginning_is_told_on_one_line() {
    let page = format!("<html>\r\n  <title>Busy</title>\r\n{}", "x".repeat(2_000));
    let running = start([Server::Answers(format!("HTTP/1.1 503 Busy\r\n\r\n{page}"))], Anyone::default());
    let error = running.status(|status| status.failures == 1).await.last_error.expect("an error");
    assert!(error.contains("<html> <title>Busy</title> xxx") && error.ends_with("x…"), "{error}");
    assert!(error.len() < 1_200, "{} bytes", error.len());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_within_the_timeout_or_a_wrong_one_is_a_failed_dial() {
    let wrong = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for (server, part) in [
        (Server::Mute, "within 10s"),
        (Server::Answers(wrong.to_owned()), "Sec-WebSocket-Accept"),
        (Server::Answers("SSH-2.0-OpenSSH_9.9\r\n".to_owned()), "upgrade request"),
        (refusal("401 Unauthorized", ""), "401"),
    ] {
        let running = start([server.clone()], Anyone::default());
        let error = running.status(|status| status.failures == 1).await.last_error.expect("an error");
        assert!(error.contains(part), "{server:?}: {error}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn links_that_end_at_once_are_no_failed_dials_but_their_pauses_grow() {
    let running = start([Server::Grants(Duration::ZERO)], Anyone::default());
    let pauses = running.pauses(40).await;
    assert!(pauses.iter().all(|pause| !pause.is_zero() && *pause <= Duration::from_secs(60)), "{pauses:?}");
    assert!(pauses.iter().sum::<Duration>() > Duration::from_secs(300), "{pauses:?}");
    assert_eq!(running.status(|_| true).await.failures, 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_a_link_is_not_dialled() {
    let link = CancellationToken::new();
    let contact = Anyone { link: Arc::new(Mutex::new(Some(link.clone()))) };
    let running = start([Server::Grants(HOUR)], contact);
    tokio::time::sleep(HOUR).await;
    assert!(running.script.dialled.lock().is_empty());
    link.cancel();
    running.pauses(1).await;
    // One that links by itself while its dialler waits is left alone, too.
    *running.contact.link.lock() = Some(CancellationToken::new());
    tokio::time::sleep(3 * HOUR).await;
    assert_eq!(running.script.dialled.lock().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_pause_and_a_dial() {
    for server in [Server::Unreachable, Server::Mute] {
        let running = start([server], Anyone::default());
        running.pauses(1).await;
        let stopping = Instant::now();
        running.stop().await;
        assert_eq!(stopping.elapsed(), Duration::ZERO);
    }
}
