//! Messages and control frames side by side.

use super::*;

#[tokio::test]
async fn fragments_are_put_together_and_control_frames_may_stand_between() {
    let mut peer = start(Role::Server, limits());
    peer.send(FIN | TEXT, "whole ö".as_bytes()).await;
    peer.send(TEXT, b"in \xC3").await;
    peer.send(FIN | PING, b"between").await;
    assert_eq!(peer.receive().await, (FIN | PONG, b"between".to_vec()));
    peer.send(CONTINUATION, b"\xB6 ").await;
    peer.send(FIN | PONG, b"unasked").await;
    peer.send(FIN | CONTINUATION, b"pieces").await;
    peer.send(FIN | TEXT, b"").await;
    peer.round_trip().await;
    assert_eq!(peer.texts(), ["whole ö", "in ö pieces", ""]);
}

#[tokio::test]
async fn a_message_of_just_the_limit_is_taken() {
    let mut peer = start(Role::Server, limits());
    peer.send(FIN | TEXT, &[b'x'; 1000]).await;
    peer.send(TEXT, &[b'y'; 600]).await;
    peer.send(FIN | CONTINUATION, &[b'y'; 400]).await;
    peer.round_trip().await;
    assert_eq!(peer.texts(), ["x".repeat(1000), "y".repeat(1000)]);
}

#[tokio::test]
async fn control_frames_are_taken_where_messages_must_be_tiny() {
    let mut peer = start(Role::Server, LinkLimits { max_message_bytes: 1, ..limits() });
    peer.send(FIN | PING, &[7; 125]).await;
    assert_eq!(peer.receive().await, (FIN | PONG, vec![7; 125]));
    peer.send(FIN | TEXT, b"12").await;
    peer.expect_close(1009).await;
}

#[tokio::test]
async fn a_full_inbox_stops_the_reader() {
    let peer = start(Role::Server, limits());
    peer.gate.forget_permits(Semaphore::MAX_PERMITS);
    let message = frame(FIN | TEXT, &[b'x'; 900], true);
    // Far more than the stream and the parser hold.
    let flood = message.repeat(500);
    let (_read, mut write) = tokio::io::split(peer.stream);
    let flooding = tokio::spawn(async move { write.write_all(&flood).await });
    // Everything that can happen on this one thread has happened after that many turns.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert!(!flooding.is_finished() && peer.texts.lock().is_empty());
    peer.gate.add_permits(500);
    timeout(PATIENCE, flooding).await.expect("in time").expect("no panic").expect("written");
    let all = async {
        while peer.texts.lock().len() < 500 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all).await.expect("all are taken");
}

#[tokio::test]
async fn only_the_newest_of_many_pings_waits_for_its_pong() {
    let mut peer = start(Role::Server, limits());
    // The writer is stuck in a message that the peer does not read.
    peer.outbound.push("x".repeat(200 << 10));
    let mut first = [0; 10];
    peer.stream.read_exact(&mut first).await.expect("the head of the message");
    for n in 0..1000_u32 {
        peer.send(FIN | PING, &n.to_be_bytes()).await;
    }
    peer.send(FIN | TEXT, b"after the pings").await;
    let taken = async {
        while peer.texts.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, taken).await.expect("the reader goes on while the writer waits");
    let mut rest = vec![0; 200 << 10];
    peer.stream.read_exact(&mut rest).await.expect("the rest of the message");
    assert_eq!(peer.receive().await, (FIN | PONG, 999_u32.to_be_bytes().to_vec()));
    peer.round_trip().await;
}

#[tokio::test]
async fn control_frames_overtake_bulk_data() {
    let mut peer = start(Role::Server, limits());
    for _ in 0..2000 {
        peer.outbound.push("x".repeat(1000));
    }
    // The writer is stuck: the stream holds 64 KiB and one batch is being written.
    peer.send(FIN | PING, b"now").await;
    peer.send(FIN | TEXT, b"after the ping").await;
    let taken = async {
        while peer.texts.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, taken).await.expect("the ping is read");
    let mut before = 0;
    while peer.receive().await.0 != FIN | PONG {
        before += 1;
    }
    assert!(before < 100, "{before} of 2000 messages came before the pong");
}

#[tokio::test]
async fn messages_go_out_in_order_whatever_their_size() {
    for role in [Role::Server, Role::Client] {
        let mut peer = start(role, limits());
        let sizes = [0, 1, 125, 126, 4095, 4096, 65_535, 65_536, 300_000, 2];
        for (n, size) in sizes.into_iter().enumerate() {
            peer.outbound.push(format!("{n}{}", "x".repeat(size)));
        }
        for (n, size) in sizes.into_iter().enumerate() {
            let (first, payload) = peer.receive().await;
            assert_eq!(first, FIN | TEXT);
            assert_eq!(payload, format!("{n}{}", "x".repeat(size)).into_bytes());
        }
    }
}

#[tokio::test]
async fn what_came_with_the_handshake_is_read_first() {
    let (mut stream, own) = tokio::io::duplex(1024);
    let bytes = [frame(FIN | TEXT, b"one", true), frame(FIN | TEXT, b"two", true)].concat();
    let (ahead, rest) = bytes.split_at(bytes.len() - 3);
    let texts = Arc::<Mutex<Vec<Bytes>>>::default();
    let inbox = Kept { texts: Arc::clone(&texts), gate: Arc::new(Semaphore::new(10)) };
    stream.write_all(rest).await.expect("written");
    let socket = Socket::with_ahead(Box::new(own), ahead);
    let control = LinkControl::new();
    let running = run(socket, Role::Server, inbox, Arc::<Waiting>::default(), limits(), control.clone());
    let running = tokio::spawn(running);
    stream.write_all(&frame(FIN | CLOSE, b"", true)).await.expect("written");
    timeout(PATIENCE, running).await.expect("ends").expect("no panic");
    assert_eq!(texts.lock().as_slice(), ["one", "two"]);
}

#[tokio::test]
async fn nothing_is_lost_around_large_messages() {
    let mut peer = start(Role::Server, LinkLimits { max_message_bytes: 1 << 20, ..limits() });
    let large = "x".repeat(200 << 10);
    for tail in 0..4 {
        // The large one ends alone in the parser, before a part of a frame, and before whole ones.
        let next = frame(FIN | TEXT, b"next", true);
        let (with_it, later) = next.split_at(tail * next.len() / 3);
        peer.raw(&[&frame(FIN | TEXT, large.as_bytes(), true), with_it].concat()).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        peer.raw(later).await;
        peer.round_trip().await;
        assert_eq!(std::mem::take(&mut *peer.texts.lock()), [large.as_str(), "next"]);
    }
}

/// Keeps what comes together.
struct Together(Arc<Mutex<Vec<Vec<Bytes>>>>);

impl Inbox for Together {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        self.0.lock().push(texts.collect());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_texts_of_one_read_come_together_and_those_before_another_frame_come_before_it() {
    let (mut stream, own) = tokio::io::duplex(64 << 10);
    let bursts = Arc::<Mutex<Vec<Vec<Bytes>>>>::default();
    let control = LinkControl::new();
    let inbox = Together(Arc::clone(&bursts));
    let running =
        run(Socket::new(Box::new(own)), Role::Server, inbox, Arc::<Waiting>::default(), limits(), control.clone());
    let running = tokio::spawn(running);
    let text = |text: &str| frame(FIN | TEXT, text.as_bytes(), true);
    let (half, rest) = (text("four")[..5].to_vec(), text("four")[5..].to_vec());
    let first = [
        text("one"),
        text("two"),
        frame(FIN | PING, b"", true),
        frame(TEXT, b"th", true),
        frame(FIN, b"ree", true),
        half,
    ];
    stream.write_all(&first.concat()).await.expect("written");
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).await.expect("a pong");
    assert_eq!(pong, [FIN | PONG, 0]);
    let many = (0..300).map(|number| text(&number.to_string())).collect::<Vec<_>>().concat();
    let violation = frame(FIN | BINARY, b"", true);
    stream.write_all(&[rest, many, violation].concat()).await.expect("written");
    let mut close = [0; 2];
    stream.read_exact(&mut close).await.expect("a close");
    assert_eq!(close[0], FIN | CLOSE);
    drop(stream);
    timeout(PATIENCE, running).await.expect("ends").expect("no panic");
    let bursts = bursts.lock();
    assert_eq!(bursts[..2], [vec!["one", "two"], vec!["three"]]);
    assert_eq!(bursts[2][..2], ["four", "0"]);
    assert!(bursts.iter().all(|burst| (1..=128).contains(&burst.len())), "they are bounded");
    let sizes: Vec<usize> = bursts.iter().map(Vec::len).collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes.len() <= 6), (304, true), "{sizes:?}");
}

/// Wakes somebody at each handover, and counts.
struct Waking {
    taken: Arc<Mutex<usize>>,
    wake: Arc<Notify>,
}

impl Inbox for Waking {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        *self.taken.lock() += texts.len();
        self.wake.notify_one();
    }
}

#[tokio::test]
async fn whom_the_first_of_many_texts_wake_begins_before_the_last_are_read() {
    let (mut stream, own) = tokio::io::duplex(64 << 10);
    let (taken, wake) = (Arc::<Mutex<usize>>::default(), Arc::<Notify>::default());
    let inbox = Waking { taken: Arc::clone(&taken), wake: Arc::clone(&wake) };
    let text = frame(FIN | TEXT, &[b'x'; 100], true);
    stream.write_all(&text.repeat(500)).await.expect("written");
    let link =
        run(Socket::new(Box::new(own)), Role::Server, inbox, Arc::<Waiting>::default(), limits(), LinkControl::new());
    let link = tokio::spawn(link);
    timeout(PATIENCE, wake.notified()).await.expect("in time");
    assert!((1..=128).contains(&*taken.lock()), "{}", taken.lock());
    link.abort();
}
