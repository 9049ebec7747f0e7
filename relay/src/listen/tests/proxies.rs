//! Proxies that name the client, and others that are not to be believed.

use super::transport::{Greeting, Noting, answer};
use super::*;

const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r";

/// PROXY headers, version 1 and 2, that name 192.0.2.7:56324.
fn headers() -> [Vec<u8>; 2] {
    let binary = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10"[..], &[192, 0, 2, 7, 10, 0, 0, 1, 220, 4, 1, 187, 4, 0, 1, 0]];
    [b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n".to_vec(), binary.concat()]
}

fn trusting(proxies: &str) -> ListenLimits {
    ListenLimits { trusted_proxies: proxies.parse().expect("a list"), ..ListenLimits::default() }
}

/// A listener that reads PROXY headers below a transport that greets.
fn behind(limits: ListenLimits) -> (Running, Noting) {
    let (noting, trusted) = (Noting::default(), limits.trusted_proxies.clone());
    let listener = Greeting(ProxyListener::new(listener(), trusted));
    (start_on(Box::new(listener), limits, EchoRelay::default(), noting.clone()), noting)
}

/// Writes all of it at once, or so many bytes at a time.
async fn write(stream: &mut TcpStream, bytes: &[u8], at_a_time: usize) {
    stream.set_nodelay(true).expect("set");
    for part in bytes.chunks(at_a_time) {
        stream.write_all(part).await.expect("written");
        tokio::task::yield_now().await;
    }
}

/// What the authorizer got to know of a connection that begins with these bytes: the client and the proxy.
async fn seen(running: &Running, noting: &Noting, header: &[u8], at_a_time: usize, further: &str) -> [String; 2] {
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    let own = stream.local_addr().expect("an address");
    let request = format!("plain \n{}", upgrade("/?id=app-1", further));
    write(&mut stream, &[header, request.as_bytes()].concat(), at_a_time).await;
    assert_eq!(answer(&mut stream).await, GRANTED);
    let info = noting.0.lock().pop().expect("it was asked");
    let admitted = running.relay.admitted.lock().pop().expect("admitted");
    assert_eq!(admitted.0, info.remote, "the relay knows it by the same address");
    [info.remote, info.socket].map(|address| if address == own { "itself".to_owned() } else { address.to_string() })
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_in_a_header_below_the_transport() {
    let (running, noting) = behind(trusting("127.0.0.0/8"));
    for header in headers() {
        for at_a_time in [1, 7, 1000] {
            let seen = seen(&running, &noting, &header, at_a_time, "").await;
            assert_eq!(seen, ["192.0.2.7:56324", "itself"], "{at_a_time} bytes at a time");
        }
    }
    for header in [&b""[..], b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        assert_eq!(seen(&running, &noting, header, 1000, "").await, ["itself"; 2], "{}", header.escape_ascii());
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_in_the_request() {
    let (running, noting) = behind(trusting("127.0.0.0/8,10.0.0.0/8"));
    let forwarded = "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n";
    assert_eq!(seen(&running, &noting, b"", 1000, forwarded).await, ["192.0.2.7:0", "itself"]);
    // One proxy behind another: the nearer one names the farther one, and that one the client.
    let nearer = b"PROXY TCP4 10.0.0.2 10.0.0.1 56324 443\r\n";
    assert_eq!(seen(&running, &noting, nearer, 1000, forwarded).await, ["192.0.2.7:0", "itself"]);
    // A client that is named in the header is no proxy, whatever it says.
    for header in headers() {
        let seen = seen(&running, &noting, &header, 1000, "X-Forwarded-For: 203.0.113.9\r\n").await;
        assert_eq!(seen, ["192.0.2.7:56324", "itself"]);
    }
}

#[tokio::test]
async fn whoever_is_no_trusted_proxy_is_itself_and_may_bring_no_header() {
    for proxies in ["", "192.0.2.0/24"] {
        let (running, noting) = behind(trusting(proxies));
        let forwarded = "X-Forwarded-For: 203.0.113.9\r\n";
        assert_eq!(seen(&running, &noting, b"", 1, forwarded).await, ["itself"; 2]);
        for header in headers() {
            let mut stream = running.greet("").await;
            write(&mut stream, &[&header[..], b"plain \n", upgrade("/", "").as_bytes()].concat(), 1000).await;
            let mut told = String::new();
            timeout(PATIENCE, stream.read_to_string(&mut told)).await.expect("in time").expect("it is told");
            assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
            assert!(told.contains("PROXY header came from 127.0.0.1"), "{told}");
        }
        assert!(noting.0.lock().is_empty(), "nobody was asked for a credential");
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_read_ends_its_connection_and_one_that_does_not_end_ends_in_time() {
    let limits = ListenLimits { handshake_timeout: Duration::from_secs(1), ..trusting("127.0.0.1") };
    let (running, noting) = behind(limits);
    let mut unending = running.greet("PROXY TCP4 192.0.2.7 10.0.").await;
    let mut broken = running.greet("PROXY TCP4 nobody 10.0.0.1 5 443\r\n").await;
    let mut told = String::new();
    timeout(PATIENCE, broken.read_to_string(&mut told)).await.expect("in time").expect("it is told");
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("the PROXY header cannot be read"), "{told}");
    let read = timeout(PATIENCE, unending.read(&mut [0; 1])).await.expect("it hangs up");
    assert_eq!(read.unwrap_or(0), 0, "without an answer");
    drop(broken);
    until("both places are free", || running.tracker.is_empty()).await;
    assert!(noting.0.lock().is_empty(), "nobody was asked for a credential");
}
