//! The closing handshake, both ways, and every way around it.

use super::*;

#[tokio::test]
async fn a_close_of_the_peer_is_answered_with_its_code() {
    for code in (1000..=1003).chain(1007..=1014).chain([3000, 4999]) {
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
async fn a_close_without_a_mask_is_an_end_like_any_other() {
    for payload in [close_payload(1001, "reload"), Vec::new()] {
        let mut peer = start(Role::Server, limits());
        peer.raw(&frame(FIN | CLOSE, &payload, false)).await;
        let (first, answer) = peer.receive().await;
        assert_eq!((first, &answer[..]), (FIN | CLOSE, &payload[..payload.len().min(2)]));
        let ended = peer.ended().await;
        assert!(matches!(ended, Ended::Peer { .. }), "{ended}");
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
    // What crosses our Close is read and dropped, and nothing more is written.
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

#[tokio::test(start_paused = true)]
async fn who_closes_may_say_how_long_the_peer_has() {
    let mut peer = start(Role::Server, LinkLimits { close_timeout: Duration::from_secs(5), ..limits() });
    peer.round_trip().await;
    let asked = tokio::time::Instant::now();
    peer.control.close_within(Duration::from_secs(30), CloseCode::AWAY, "shutting down");
    peer.expect_close(1001).await;
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Local { answered: false, .. }), "{ended}");
    assert_eq!(asked.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn the_stream_ends_after_both_have_closed_and_what_still_comes_is_read() {
    for asks_first in [true, false] {
        let mut peer = start(Role::Server, limits());
        if asks_first {
            peer.control.close(CloseCode::AWAY, "shutting down");
            peer.expect_close(1001).await;
        }
        peer.send(FIN | CLOSE, &close_payload(1001, "")).await;
        if !asks_first {
            peer.expect_close(1001).await;
        }
        assert_eq!(timeout(PATIENCE, peer.stream.read(&mut [0; 1])).await.expect("it ends").expect("read"), 0);
        // More than the stream holds: it only gets through where somebody reads.
        peer.raw(&[0; 100 << 10]).await;
        let ended = peer.ended().await;
        assert_eq!(ended.error(), None, "{ended}");
    }
}

#[tokio::test]
async fn a_full_inbox_does_not_keep_the_peers_close_from_being_read() {
    let mut peer = start(Role::Server, limits());
    peer.round_trip().await;
    peer.gate.forget_permits(Semaphore::MAX_PERMITS);
    peer.send(FIN | TEXT, b"nobody takes it").await;
    peer.control.close(CloseCode::AWAY, "shutting down");
    peer.expect_close(1001).await;
    peer.send(FIN | CLOSE, &close_payload(1001, "")).await;
    let ended = peer.ended().await;
    assert!(matches!(ended, Ended::Local { answered: true, .. }), "{ended}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_waits_for_the_end_after_a_breach_gets_it_soon() {
    let mut peer = start(Role::Server, LinkLimits { close_timeout: Duration::from_secs(60), ..limits() });
    let began = tokio::time::Instant::now();
    peer.send(FIN | BINARY, b"").await;
    peer.expect_close(1003).await;
    peer.send(FIN | CLOSE, &close_payload(1003, "")).await;
    assert_eq!(peer.stream.read(&mut [0; 1]).await.expect("read"), 0, "the stream ends");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
