//! Silence, with time that the tests own.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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
async fn a_link_that_is_busy_both_ways_is_not_pinged() {
    let mut peer = start(Role::Server, timed());
    for _ in 0..100 {
        peer.send(FIN | TEXT, b"{}").await;
        peer.outbound.push("{}");
        assert_eq!(peer.receive().await.0, FIN | TEXT);
        sleep(Duration::from_secs(1)).await;
    }
    peer.round_trip().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_writes_a_long_message_hears_from_us_meanwhile() {
    let began = Instant::now();
    let Peer { stream, texts, running, .. } = start(Role::Server, LinkLimits { max_message_bytes: 1 << 20, ..timed() });
    let (mut read, mut write) = tokio::io::split(stream);
    let hearing = tokio::spawn(async move {
        for beat in 1..10 {
            let mut ping = [0; 2];
            read.read_exact(&mut ping).await.expect("a ping");
            assert_eq!(ping, [FIN | PING, 0]);
            assert!(began.elapsed() < HEARTBEAT * (beat + 1), "beat {beat} after {:?}", began.elapsed());
        }
    });
    for bytes in frame(FIN | TEXT, &[b'x'; 200 << 10], true).chunks(1 << 10) {
        write.write_all(bytes).await.expect("written");
        sleep(Duration::from_secs(1)).await;
    }
    hearing.await.expect("a ping each heartbeat");
    assert_eq!(texts.lock().len(), 1);
    assert!(!running.is_finished());
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

/// A link with this limit whose writer has far more to write than the stream holds.
fn with_much_to_write(limits: LinkLimits) -> Peer {
    let peer = start(Role::Server, limits);
    peer.outbound.push("x".repeat(1 << 20));
    peer
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_big_message_slowly_is_alive() {
    let mut peer = with_much_to_write(timed());
    let mut taken = Vec::new();
    // 2 KiB a second: it takes ten times the idle timeout, and says nothing meanwhile.
    while taken.len() < 1 << 20 {
        let mut piece = [0; 2 << 10];
        let count = peer.stream.read(&mut piece).await.expect("the link is up");
        taken.extend_from_slice(&piece[..count]);
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!peer.running.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_writes_and_takes_nothing_is_dropped() {
    for is_read in [true, false] {
        let began = Instant::now();
        let mut peer = with_much_to_write(timed());
        if !is_read {
            peer.gate.forget_permits(Semaphore::MAX_PERMITS);
        }
        while !peer.running.is_finished() {
            assert!(began.elapsed() < 2 * IDLE, "it was not dropped; is it read: {is_read}");
            let message = frame(FIN | TEXT, b"{}", true);
            let _ = timeout(Duration::from_secs(1), peer.stream.write_all(&message)).await;
            sleep(Duration::from_secs(1)).await;
        }
        let ended = (&mut peer.running).await.expect("no panic");
        assert!(matches!(ended, Ended::Stalled), "{ended}");
        assert_eq!(ended.error(), Some("stalled"));
        assert!(began.elapsed() >= IDLE, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_settles_what_it_was_sent_takes_it_however_slowly_its_buffers_empty() {
    let mut peer = with_much_to_write(timed());
    for _ in 0..20 {
        sleep(Duration::from_secs(10)).await;
        peer.control.note_settled();
        peer.send(FIN | TEXT, b"an ACK").await;
    }
    assert!(!peer.running.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_goes_into_buffers_at_once_is_no_sign_of_life() {
    let began = Instant::now();
    let mut peer = start(Role::Server, timed());
    while !peer.running.is_finished() {
        peer.outbound.push("a small message");
        sleep(Duration::from_secs(1)).await;
    }
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Silent), "{ended}");
    assert!(began.elapsed() <= IDLE + Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_of_this_process_the_peer_is_heard_before_it_is_judged() {
    let mut peer = start(Role::Server, timed());
    for _ in 0..5 {
        // It would be dropped in 3 s, and the process does not run for 60.
        sleep(Duration::from_secs(42)).await;
        advance(Duration::from_secs(60)).await;
        sleep(Duration::from_secs(1)).await;
        assert!(!peer.running.is_finished(), "nothing that came was read");
        peer.send(FIN | PONG, b"").await;
    }
    let began = Instant::now();
    let ended = (&mut peer.running).await.expect("no panic");
    assert!(matches!(ended, Ended::Silent), "{ended}");
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs(), "silence counts as ever afterwards");
}

/// A stream to a machine that is no longer reached: its bytes stand in the buffers of this one, and it says nothing.
struct Unreached {
    /// How many more bytes the buffers hold.
    room: usize,
    /// How many bytes a second are taken all the same.
    speed: u64,
    written: u64,
    began: Instant,
}

impl Unreached {
    fn taken(&self) -> u64 {
        self.written.min(self.began.elapsed().as_secs() * self.speed)
    }
}

impl AsyncRead for Unreached {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Unreached {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Poll::Pending;
        }
        self.room -= count;
        self.written += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl SendHalf for Unreached {
    fn untaken(&self) -> Option<u64> {
        Some(self.written - self.taken())
    }
}

impl Stream for Unreached {
    fn halves(self: Box<Self>) -> (ReadHalf, WriteHalf) {
        let silent = Unreached { room: 0, speed: 0, written: 0, began: self.began };
        (Box::new(silent), self)
    }
}

/// Sends one message of this length into such a stream, and answers how and when the link ended.
async fn unreached(message: usize, room: usize, speed: u64) -> (Ended, Duration) {
    let began = Instant::now();
    let outbound = Arc::<Waiting>::default();
    outbound.push("x".repeat(message));
    let inbox = Kept { texts: Arc::default(), gate: Arc::new(Semaphore::new(0)) };
    let socket = Socket::new(Box::new(Unreached { room, speed, written: 0, began }));
    let ended = run(socket, Role::Client, inbox, outbound, timed(), LinkControl::new()).await;
    (ended, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_no_longer_reached_is_given_up_whatever_the_buffers_hold() {
    for (message, room) in [(1, 1 << 20), (1 << 20, 4 << 20), (4 << 20, 1 << 20)] {
        let (ended, after) = unreached(message, room, 0).await;
        assert!(matches!(ended, Ended::Silent), "{ended}");
        assert_eq!(after.as_secs(), IDLE.as_secs(), "a message of {message} bytes, {room} in buffers");
    }
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_buffers_of_this_machine_is_a_sign_of_life() {
    // All of it is written at once, and taken in 200 s.
    let (ended, after) = unreached(200_000, 1 << 20, 1_000).await;
    assert!(matches!(ended, Ended::Silent), "{ended}");
    assert!((200..300).contains(&after.as_secs()), "{after:?}");
}
