//! Transports that have something to settle with the peer before the upgrade request, as TLS has.

use tokio::io::AsyncRead;

use super::*;

/// A transport whose peers begin with one line: `cert NAME`, `plain`, `fail` or `panic`. As TLS does, it waits for
/// that line as long as it takes.
pub(super) struct Greeting<L>(pub(super) L);

#[async_trait]
impl<L: Listener> Listener for Greeting<L> {
    async fn accept(&self) -> io::Result<Accepted> {
        let accepted = self.0.accept().await?;
        Ok(Accepted::after(accepted.remote(), async {
            let (mut stream, info) = accepted.handshake().await?;
            match line(&mut stream).await?.split_once(' ') {
                Some(("cert", name)) => {
                    Ok((stream, info.with_certificates([name.as_bytes(), b"issuer"].map(Bytes::copy_from_slice))))
                }
                Some(("plain", _)) => Ok((stream, info)),
                Some(("panic", _)) => panic!("a panic was asked for"),
                other => Err(io::Error::other(format!("no such greeting: {other:?}"))),
            }
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Reads a line and no further, since the upgrade request comes after it.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = String::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            byte => line.push(char::from(byte)),
        }
    }
}

/// Permits everyone, and notes what the transport knew.
#[derive(Debug, Default, Clone)]
pub(super) struct Noting(pub(super) Arc<Mutex<Vec<ConnectInfo>>>);

#[async_trait]
impl Authorizer for Noting {
    async fn authorize(&self, _: &Hello, info: &ConnectInfo) -> Result<Principal, Refusal> {
        self.0.lock().push(info.clone());
        Ok(match info.certificates.first() {
            Some(own) => Principal::named(String::from_utf8_lossy(own)),
            None => Principal::unrestricted(),
        })
    }
}

fn greeted(limits: ListenLimits) -> (Running, Noting) {
    let noting = Noting::default();
    (start_on(Box::new(Greeting(listener())), limits, EchoRelay::default(), noting.clone()), noting)
}

impl Running {
    /// Connects and says this.
    pub(super) async fn greet(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }
}

/// The first line that comes.
pub(super) async fn answer(stream: &mut TcpStream) -> String {
    timeout(PATIENCE, line(stream)).await.expect("in time").expect("an answer")
}

/// Waits until the other end hangs up.
async fn hung_up(mut stream: TcpStream) {
    let read = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("it hangs up");
    assert_eq!(read.unwrap_or(0), 0, "without an answer");
}

#[tokio::test]
async fn the_authorizer_sees_the_address_and_the_certificates() {
    let (running, noting) = greeted(ListenLimits::default());
    for (greeting, certificates) in [("cert machine-7", vec!["machine-7", "issuer"]), ("plain ", vec![])] {
        let mut stream = running.greet(&format!("{greeting}\n{}", upgrade("/?id=app-1", ""))).await;
        assert_eq!(answer(&mut stream).await, "HTTP/1.1 101 Switching Protocols\r");
        let info = noting.0.lock().pop().expect("it was asked");
        let local = stream.local_addr().expect("an address");
        assert_eq!(
            (info.remote, &*info.certificates),
            (local, &*certificates.iter().map(|each| Bytes::from(*each)).collect::<Vec<_>>())
        );
        let admitted = running.relay.admitted.lock().pop().expect("admitted");
        assert_eq!(admitted, (local, certificates.first().map(|name| (*name).to_owned())));
    }
}

#[tokio::test]
async fn a_transport_that_is_never_ready_holds_up_nobody_and_ends_in_time() {
    // One place each: none is left for those who come too early, and none is lost by those who took too long.
    let handshake_timeout = Duration::from_secs(2);
    let (running, _) =
        greeted(ListenLimits { max_connections: 2, max_beyond: 0, handshake_timeout, ..ListenLimits::default() });
    let silent = running.greet("cert mach").await;
    until("it is counted from when it was accepted", || running.tracker.len() == 1).await;
    let asked = std::time::Instant::now();
    let mut stream = running.greet(&format!("plain \n{}", upgrade("/?id=app-1", ""))).await;
    assert_eq!(answer(&mut stream).await, "HTTP/1.1 101 Switching Protocols\r");
    assert!(asked.elapsed() < handshake_timeout, "it waited for the silent one");
    hung_up(running.greet("plain \n").await).await;
    hung_up(silent).await;
    until("its place is free", || running.tracker.len() == 1).await;
    let mut next = running.greet(&format!("plain \n{}", upgrade("/?id=app-2", ""))).await;
    assert_eq!(answer(&mut next).await, "HTTP/1.1 101 Switching Protocols\r");
}

#[tokio::test]
async fn a_transport_that_fails_or_panics_ends_one_connection() {
    let (running, noting) = greeted(ListenLimits { max_connections: 1, max_beyond: 0, ..ListenLimits::default() });
    for greeting in ["fail \n", "panic \n"] {
        hung_up(running.greet(greeting).await).await;
        until("its place is free", || running.tracker.is_empty()).await;
    }
    assert!(noting.0.lock().is_empty(), "nobody came so far as to be asked for a credential");
    let mut stream = running.greet(&format!("plain \n{}", upgrade("/?id=app-1", ""))).await;
    assert_eq!(answer(&mut stream).await, "HTTP/1.1 101 Switching Protocols\r");
}

#[tokio::test]
async fn a_shutdown_drops_a_transport_that_is_not_ready() {
    let (running, _) = greeted(ListenLimits::default());
    let silent = running.greet("").await;
    until("it is there", || running.tracker.len() == 1).await;
    running.shutdown.cancel();
    hung_up(silent).await;
    running.tracker.close();
    timeout(PATIENCE, running.tracker.wait()).await.expect("it is gone");
}
