//! Silence, with time that the tests own.

use tokio::time::{Instant, advance, sleep};

use super::*;

const HEARTBEAT: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(45);

fn timed() -> LinkLimits {
    LinkLimits { heartbeat: HEARTBEAT, idle_timeout: IDLE, ..limits() }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_then_dropped() {
    let began = Instant::now();
    let mut peer = start(Role::Server, timed());
    for beat in 1..3 {
        assert_eq!(peer.receive().await, (FIN | PING, Vec::new()));
        assert_eq!(began.elapsed().as_secs(), HEARTBEAT.as_secs() * beat);
    }
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Silent), "{ended}");
    assert_eq!(ended.error(), Some("idle"));
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_stays() {
    let mut peer = start(Role::Server, timed());
    for _ in 0..20 {
        assert_eq!(peer.receive().await.0, FIN | PING);
        peer.send(FIN | PONG, b"").await;
    }
    assert!(!peer.running.is_finished());
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life() {
    let mut peer = start(Role::Server, timed());
    // One message, a byte every 40 s: no ping is answered, no frame is whole for minutes.
    for byte in frame(FIN | TEXT, b"slow but alive", true) {
        peer.raw(&[byte]).await;
        sleep(Duration::from_secs(40)).await;
    }
    assert!(!peer.running.is_finished());
    assert_eq!(peer.texts(), ["slow but alive"]);
}

#[tokio::test(start_paused = true)]
async fn a_busy_peer_is_not_pinged() {
    let mut peer = start(Role::Server, timed());
    for _ in 0..100 {
        peer.send(FIN | TEXT, b"{}").await;
        sleep(Duration::from_secs(1)).await;
    }
    peer.round_trip().await;
}

#[tokio::test(start_paused = true)]
async fn time_in_which_we_do_not_read_is_not_the_peers_silence() {
    let mut peer = start(Role::Server, timed());
    peer.gate.forget_permits(Semaphore::MAX_PERMITS);
    peer.send(FIN | TEXT, b"one").await;
    peer.send(FIN | PONG, b"").await;
    for _ in 0..20 {
        advance(IDLE).await;
        tokio::task::yield_now().await;
    }
    assert!(!peer.running.is_finished(), "the inbox made the reader wait, not the peer");
    peer.gate.add_permits(1);
    let began = Instant::now();
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Silent), "{ended}");
    assert!(began.elapsed() >= IDLE, "silence counts from when the reader waits again");
    assert_eq!(peer.texts(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_dropped_once_it_is_silent() {
    let mut peer = start(Role::Server, timed());
    for _ in 0..100 {
        peer.outbound.push("x".repeat(4000));
    }
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Silent), "{ended}");
}
