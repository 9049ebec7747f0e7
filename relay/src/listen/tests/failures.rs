//! Credentials that fail, again and again, from one address.

use tokio::net::TcpSocket;

use super::counting::Counting;
use super::*;

/// Knows the token `good`, and counts what it is asked.
#[derive(Debug, Default, Clone)]
struct Token(Arc<std::sync::atomic::AtomicU32>);

#[async_trait]
impl Authorizer for Token {
    async fn authorize(&self, hello: &Hello, _: &ConnectInfo) -> Result<Principal, Refusal> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match hello.token.as_ref().map(Secret::expose) {
            Some("good") => Ok(Principal::named("shop")),
            Some("narrow") => Err(Refusal::forbidden("this token may not")),
            Some(_) => Err(Refusal::unauthorized("the bearer token is wrong")),
            None => Err(Refusal::unauthorized("a bearer token is required")),
        }
    }
}

/// Limits under which a credential that has to wait does not end to do so while a test runs.
fn endless(free: u32, max_waiting: usize) -> ListenLimits {
    let endless = Duration::from_secs(1_000);
    let failures = FailureLimits {
        free,
        max_waiting,
        first_wait: endless,
        longest_wait: endless,
        forgiven_after: endless,
        ..FailureLimits::default()
    };
    ListenLimits { handshake_timeout: endless * 4, failures, ..ListenLimits::default() }
}

fn guarded(free: u32, max_waiting: usize) -> (Running, Token) {
    let token = Token::default();
    (start_with(endless(free, max_waiting), EchoRelay::default(), token.clone()), token)
}

impl Running {
    /// Asks for a link from 127.0.0.`host` with these header lines.
    async fn ask_from(&self, host: u8, target: &str, lines: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).expect("it is this machine's");
        let mut stream = socket.connect(self.address).await.expect("connected");
        stream.write_all(upgrade(target, lines).as_bytes()).await.expect("written");
        stream
    }

    /// The status that a credential gets.
    async fn status(&self, host: u8, target: &str, token: &str) -> u16 {
        let lines = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        status(self.ask_from(host, target, &lines).await).await
    }
}

async fn status(mut stream: TcpStream) -> u16 {
    let mut head = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut head)).await.expect("in time").expect("an answer");
    std::str::from_utf8(&head[9..]).expect("text").parse().expect("a status")
}

#[tokio::test]
async fn after_a_few_failures_a_credential_from_that_address_waits_and_no_other() {
    let counting = Counting::default();
    let _guard = counting.here();
    let (running, token) = guarded(3, 2);
    let asked = || token.0.load(std::sync::atomic::Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(running.status(1, "/?id=a", "guess").await, 401);
    }
    assert_eq!((asked(), counting.of("wrong_credential")), (3, 3));
    // A good one waits, too: otherwise a guess that does not wait would be a wrong one.
    let mut waiting = Vec::new();
    for guess in ["guess", "good"].repeat(6) {
        waiting.push(running.ask_from(1, "/?id=a", &format!("Authorization: Bearer {guess}\r\n")).await);
    }
    until("all but two are told to come later", || counting.of("credentials_slowed") == 10).await;
    assert_eq!(running.status(2, "/?id=a", "guess").await, 401, "another address does not wait");
    assert_eq!(running.status(2, "/?id=a", "good").await, 101);
    assert_eq!(running.status(1, "/?id=a", "").await, 401, "without a credential there is nothing to guess with");
    assert_eq!((counting.of("wrong_credential"), counting.of("no_credential")), (4, 1));
    assert_eq!(asked(), 6, "nobody was asked about what waits");
    drop(waiting);
}

#[tokio::test]
async fn a_peer_whose_credential_was_good_is_not_held_up_by_the_failures_of_others_at_its_address() {
    let (running, _) = guarded(3, 2);
    assert_eq!(running.status(1, "/?id=shop", "good").await, 101);
    for id in ["x", "y", "z"] {
        assert_eq!(running.status(1, &format!("/?id={id}"), "guess").await, 401);
    }
    let stranger = running.ask_from(1, "/?id=stranger", "Authorization: Bearer good\r\n").await;
    assert_eq!(running.status(1, "/?id=shop", "good").await, 101);
    let mut nothing = [0; 1];
    assert!(stranger.try_read(&mut nothing).is_err(), "a stranger waits");
}

#[tokio::test]
async fn who_has_a_good_credential_gets_in_after_a_wait_where_others_fail() {
    let failures =
        FailureLimits { free: 1, first_wait: Duration::from_millis(300), max_waiting: 100, ..FailureLimits::default() };
    let limits = ListenLimits { failures, ..ListenLimits::default() };
    let running = start_with(limits, EchoRelay::default(), Token::default());
    for _ in 0..2 {
        assert_eq!(running.status(1, "/?id=a", "guess").await, 401);
    }
    let asked = std::time::Instant::now();
    assert_eq!(running.status(1, "/?id=b", "good").await, 101);
    assert!(asked.elapsed() >= failures.first_wait, "it waited only {:?}", asked.elapsed());
}

#[tokio::test]
async fn what_a_good_credential_does_not_permit_is_no_failure() {
    let (running, _) = guarded(1, 1);
    for _ in 0..5 {
        assert_eq!(running.status(1, "/?id=a", "narrow").await, 403);
        assert_eq!(running.status(1, "/?id=a", "").await, 401);
    }
    assert_eq!(running.status(1, "/?id=a", "good").await, 101);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_failures_of_one_client_are_not_those_of_another() {
    let counting = Counting::default();
    let _guard = counting.here();
    let limits = ListenLimits { trusted_proxies: "127.0.0.1".parse().expect("a list"), ..endless(3, 2) };
    let running = start_with(limits, EchoRelay::default(), Token::default());
    let ask = async |client: &str, token: &str| {
        let lines = format!("X-Forwarded-For: {client}\r\nAuthorization: Bearer {token}\r\n");
        running.ask_from(1, "/", &lines).await
    };
    for host in ["1", "2", "3"] {
        // Whoever has a network of IPv6 has all of its addresses.
        assert_eq!(status(ask(&format!("2001:db8::{host}"), "guess").await).await, 401);
    }
    let mut waiting = Vec::new();
    for host in 4..14 {
        waiting.push(ask(&format!("2001:db8::{host}"), "guess").await);
    }
    until("all but two are told to come later", || counting.of("credentials_slowed") == 8).await;
    assert_eq!(status(ask("2001:db8:0:1::1", "guess").await).await, 401);
    assert_eq!(status(ask("192.0.2.1", "good").await).await, 101);
    assert_eq!(counting.of("wrong_credential"), 4);
}
