//! Who gets no link, and how they are told.

use super::*;

#[tokio::test]
async fn what_is_no_link_is_refused_in_one_line() {
    let running = start(ListenLimits::default());
    for (request, status, part) in [
        (upgrade("/other", ""), 404, "path /"),
        (upgrade("/?id=", ""), 400, "id:"),
        (upgrade("/?id=own", ""), 400, "own"),
        (upgrade("/", "Slipstream-Id: a b\r\n"), 400, "id:"),
        (upgrade(&format!("/?tags={}", vec!["t"; 65].join(",")), ""), 400, "tags:"),
        (upgrade("/", "Content-Length: 5\r\n"), 400, "body"),
        ("GET / HTTP/1.1\r\nHost: relay\r\n\r\n".to_owned(), 426, "WebSocket"),
        (upgrade("/", "").replace("HTTP/1.1", "HTTP/1.0"), 426, "WebSocket"),
        (upgrade("/", "").replace("GET", "POST"), 405, "GET"),
        (upgrade("/", "").replace("13\r\n", "12\r\n"), 426, "13"),
    ] {
        let answer = running.ask(&request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with(&format!("HTTP/1.{} {status} ", if request.contains("1.0\r") { 0 } else { 1 })),
            "{head}"
        );
        assert!(head.to_lowercase().contains("content-type: text/plain"), "{head}");
        assert!(body.contains(part) && body.lines().count() == 1, "{status}: {body:?}");
    }
    assert!(running.relay.hellos.lock().is_empty(), "nobody was admitted");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let running = start(ListenLimits::default());
    let answer = running.ask(&upgrade("/", &format!("Much: {}\r\n", "x".repeat(MAX_REQUEST_BYTES)))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many: String = (0..MAX_HEADERS).map(|n| format!("H{n}: x\r\n")).collect();
    let answer = running.ask(&upgrade("/", &many)).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn over_the_limit_a_peer_is_told_when_to_come_back() {
    let running = start(ListenLimits { max_connections: 2, ..ListenLimits::default() });
    let first = running.connect("first").await.expect("connected");
    // A connection counts from when it is accepted, also where it says nothing.
    let silent = TcpStream::connect(running.address).await.expect("connected");
    until("both are counted", || running.tracker.len() == 2).await;
    let refused = running.connect("third").await.expect_err("no room");
    let ConnectError::Handshake(HandshakeError::Refused { status, reason, retry_after, .. }) = refused else {
        panic!("{refused}")
    };
    assert_eq!((status.as_u16(), retry_after), (503, Some(RetryAfter::In(Duration::from_secs(5)))));
    assert!(reason.contains("no room"), "{reason}");
    drop(silent);
    until("the place is free again", || running.tracker.len() == 1).await;
    running.connect("third").await.expect("room again").close().await.expect("closed");
    first.close().await.expect("closed");
}

#[tokio::test]
async fn beyond_the_refusals_connections_are_dropped() {
    let running = start(ListenLimits { max_connections: 0, max_beyond: 0, ..ListenLimits::default() });
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    let read = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("dropped at once");
    assert_eq!(read.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_slow_handshake_ends_in_time() {
    let running = start(ListenLimits { handshake_timeout: Duration::from_millis(50), ..ListenLimits::default() });
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    let dribbling = async {
        for byte in upgrade("/", "").bytes().cycle() {
            if stream.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, dribbling).await.expect("the relay hangs up");
    until("its place is free", || running.tracker.is_empty()).await;
}

#[tokio::test]
async fn a_seat_whose_peer_went_away_is_dropped_unused() {
    let gate = Arc::new(Semaphore::new(0));
    let relay = EchoRelay { gate: Some(Arc::clone(&gate)), ..EchoRelay::default() };
    let running = start_with(ListenLimits::default(), relay, AllowAll);
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    stream.write_all(upgrade("/", "").as_bytes()).await.expect("written");
    until("it is being admitted", || running.tracker.len() == 1).await;
    drop(stream);
    gate.add_permits(1);
    until("the connection has ended", || running.tracker.is_empty()).await;
}
