//! The closing handshake, both ways, and every way around it.

use super::*;

#[tokio::test]
async fn a_close_of_the_peer_is_answered_with_its_code() {
    for code in [1000, 1001, 3000, 4999] {
        let mut peer = start(Role::Server, limits());
        peer.send(FIN | CLOSE, &close_payload(code, "bye")).await;
        peer.expect_close(code).await;
        let ended = peer.ended().await;
        assert!(
            matches!(&ended, Ended::Peer { code: Some(got), reason } if got.0 == code && reason == "bye"),
            "{ended}"
        );
        assert_eq!(ended.error(), None);
    }
}

#[tokio::test]
async fn a_close_without_a_code_is_answered_without_one() {
    let mut peer = start(Role::Server, limits());
    peer.send(FIN | CLOSE, b"").await;
    assert_eq!(peer.receive().await, (FIN | CLOSE, Vec::new()));
    assert!(matches!(peer.ended().await, Ended::Peer { code: None, .. }));
}

#[tokio::test]
async fn a_peer_that_closes_and_leaves_has_closed_in_order() {
    let mut peer = start(Role::Server, limits());
    peer.send(FIN | TEXT, b"last").await;
    peer.send(FIN | CLOSE, &close_payload(1000, "")).await;
    let texts = Arc::clone(&peer.texts);
    let ended = peer.ended().await;
    assert!(matches!(ended, Ended::Peer { .. }), "{ended}");
    assert_eq!(texts.lock().as_slice(), ["last"]);
}

#[tokio::test]
async fn a_close_of_ours_goes_out_after_what_there_is_to_send() {
    let mut peer = start(Role::Server, limits());
    peer.round_trip().await;
    peer.outbound.texts.lock().extend((0..100).map(|n| format!("confirm {n} {}", "x".repeat(200))));
    peer.control.close(CloseCode::TAKEN_OVER, "taken over");
    peer.control.close(CloseCode::AWAY, "too late");
    for n in 0..100 {
        let (first, payload) = peer.receive().await;
        assert_eq!(first, FIN | TEXT);
        assert!(payload.starts_with(format!("confirm {n} ").as_bytes()));
    }
    assert_eq!(peer.expect_close(4000).await, "taken over");
    // What crosses our Close is read and dropped.
    peer.send(FIN | TEXT, b"crossing").await;
    peer.send(FIN | CLOSE, &close_payload(4000, "")).await;
    let texts = Arc::clone(&peer.texts);
    let ended = timeout(PATIENCE, peer.running).await.expect("ends while the peer's stream is open").expect("no panic");
    assert!(matches!(ended, Ended::Local { code: CloseCode::TAKEN_OVER, answered: true }), "{ended}");
    assert!(texts.lock().is_empty());
}

#[tokio::test]
async fn what_goes_out_before_a_close_is_bounded() {
    struct Endless;
    impl Outbound for Endless {
        fn fill(&self, frames: &mut FrameBatch) {
            while !frames.is_full() {
                frames.text_bytes(&[b'x'; 500]);
            }
        }
        async fn ready(&self) {}
    }
    let (mut stream, own) = tokio::io::duplex(1 << 20);
    let control = LinkControl::new();
    control.close(CloseCode::AWAY, "shutting down");
    let inbox = Kept { texts: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
    let socket = Socket::new(Box::new(own));
    let running = tokio::spawn(run(socket, Role::Server, inbox, Arc::new(Endless), limits(), control));
    stream.write_all(&frame(FIN | CLOSE, &close_payload(1001, ""), true)).await.expect("written");
    let ended = timeout(PATIENCE, running).await.expect("ends").expect("no panic");
    assert!(matches!(ended, Ended::Local { answered: true, .. }), "{ended}");
    let mut sent = Vec::new();
    stream.read_to_end(&mut sent).await.expect("read");
    assert!(sent.ends_with(b"\x03\xE9shutting down"));
    assert!(sent.len() < 17 * 5000, "{} bytes", sent.len());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_close_is_dropped_in_time() {
    let close_timeout = Duration::from_secs(5);
    let mut peer = start(Role::Server, LinkLimits { close_timeout, ..limits() });
    peer.round_trip().await;
    let asked = tokio::time::Instant::now();
    peer.control.close(CloseCode::AWAY, "shutting down");
    peer.expect_close(1001).await;
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Local { answered: false, .. }), "{ended}");
    assert_eq!(asked.elapsed().as_secs(), close_timeout.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_does_not_keep_a_closing_link() {
    let mut peer = start(Role::Server, LinkLimits { close_timeout: Duration::from_secs(5), ..limits() });
    for _ in 0..100 {
        peer.outbound.push("x".repeat(4000));
    }
    peer.control.close(CloseCode::AWAY, "shutting down");
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Local { answered: false, .. }), "{ended}");
}

#[tokio::test]
async fn a_stream_that_ends_without_a_close_is_lost() {
    let peer = start(Role::Server, limits());
    let ended = peer.ended().await;
    assert!(matches!(ended, Ended::Lost(_)), "{ended}");
    assert_eq!(ended.error(), Some("lost"));
    let mut torn = start(Role::Server, limits());
    torn.raw(&frame(FIN | TEXT, b"torn", true)[..5]).await;
    assert!(torn.texts().is_empty());
    assert!(matches!(torn.ended().await, Ended::Lost(_)));
}

#[tokio::test]
async fn a_panic_of_the_inbox_ends_only_the_link() {
    let mut peer = start(Role::Server, limits());
    peer.send(FIN | TEXT, b"panic").await;
    let ended = timeout(PATIENCE, &mut peer.running).await.expect("ends").expect("the link's own task did not panic");
    assert!(matches!(ended, Ended::Panicked), "{ended}");
}

#[tokio::test]
async fn a_dropped_link_ends_its_reader() {
    let peer = start(Role::Server, limits());
    peer.running.abort();
    let Peer { mut stream, running, .. } = peer;
    assert!(running.await.expect_err("aborted").is_cancelled());
    let read = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("both halves are dropped");
    assert_eq!(read.expect("read"), 0);
}
