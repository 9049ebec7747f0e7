use std::collections::HashMap;
use std::time::Instant;

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// So long no test runs.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Hands on each write; it blocks while nobody takes it.
struct Handed(mpsc::SyncSender<String>);

impl Write for Handed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn notice(count: usize) -> Vec<u8> {
    format!("{count} left out\n").into()
}

fn started(gather: Duration) -> (Queue, Writing, mpsc::Receiver<String>) {
    let (hand, taken) = mpsc::sync_channel(0);
    let (queue, writing) = start(Handed(hand), gather, notice).expect("a thread");
    (queue, writing, taken)
}

#[test]
fn a_line_alone_does_not_wait_for_ever() {
    let (queue, _writing, taken) = started(Duration::from_millis(10));
    for line in ["one\n", "two\n"] {
        queue.put(line.as_bytes(), false);
        assert_eq!(taken.recv_timeout(LIMIT).as_deref(), Ok(line));
    }
}

/// Waits until the thread waits for more lines.
fn gathers(queue: &Queue) {
    let begun = Instant::now();
    while !queue.0.changed.notify_one() {
        assert!(begun.elapsed() < LIMIT, "it waits for no more lines");
        thread::yield_now();
    }
}

#[test]
fn what_is_urgent_is_written_at_once_with_what_came_before() {
    let (queue, _writing, taken) = started(FOR_EVER);
    // In one round the thread may happen to look just then.
    for _ in 0..100 {
        queue.put(b"one\n", false);
        queue.put(b"two\n", false);
        gathers(&queue);
        queue.put(b"three\n", true);
        assert_eq!(taken.recv_timeout(LIMIT).as_deref(), Ok("one\ntwo\nthree\n"));
    }
    queue.put(b"four\n", true);
    assert_eq!(taken.recv_timeout(LIMIT).as_deref(), Ok("four\n"), "also alone");
}

#[test]
fn the_end_writes_what_waits() {
    let (queue, writing, taken) = started(FOR_EVER);
    queue.put(b"one\n", false);
    let ending = thread::spawn(move || drop(writing));
    assert_eq!(taken.recv_timeout(LIMIT).as_deref(), Ok("one\n"));
    ending.join().expect("an end");
}

#[test]
fn the_end_does_not_wait_for_a_sink_that_stands_still() {
    let (queue, writing, taken) = started(Duration::ZERO);
    queue.put(b"one\n", true);
    let (ended, end) = mpsc::sync_channel::<Infallible>(0);
    thread::spawn(move || {
        drop(writing);
        drop(ended);
    });
    assert_eq!(end.recv_timeout(LIMIT), Err(mpsc::RecvTimeoutError::Disconnected));
    drop(taken);
}

#[test]
fn the_lines_of_each_thread_come_whole_and_in_order() {
    const LINES: usize = 2000;
    let (queue, writing, taken) = started(Duration::ZERO);
    let threads = ["a", "b", "c"].map(|name| {
        let queue = queue.clone();
        thread::spawn(move || {
            (0..LINES).for_each(|number| queue.put(format!("{name} {number}\n").as_bytes(), number % 3 == 0))
        })
    });
    let reader = thread::spawn(move || taken.iter().collect::<String>());
    threads.into_iter().for_each(|thread| thread.join().expect("lines"));
    drop(writing);
    let text = reader.join().expect("a text");
    let mut next = HashMap::new();
    for line in text.lines() {
        let (name, number) = line.split_once(' ').expect("a whole line");
        let next = next.entry(name).or_insert(0);
        assert_eq!(number, next.to_string(), "of {name}");
        *next += 1;
    }
    assert_eq!(next, HashMap::from([("a", LINES), ("b", LINES), ("c", LINES)]));
}

#[test]
fn a_sink_that_stands_still_loses_lines_and_the_log_says_how_many() {
    const LINES: usize = 3 * QUEUED_BYTES / 1024;
    let (queue, writing, taken) = started(Duration::ZERO);
    let line = format!("{}\n", "x".repeat(1023));
    // The first is on its way and stands still, before the others come.
    queue.put(b"first\n", true);
    assert_eq!(taken.recv_timeout(LIMIT).as_deref(), Ok("first\n"));
    queue.put(b"second\n", true);
    while !queue.0.waiting.lock().is_empty() {
        thread::yield_now();
    }
    (0..LINES).for_each(|_| queue.put(line.as_bytes(), false));
    assert_eq!(taken.recv_timeout(LIMIT).as_deref(), Ok("second\n"));
    let text = taken.recv_timeout(LIMIT).expect("the others");
    let (room, left_out) = (QUEUED_BYTES / line.len(), LINES - QUEUED_BYTES / line.len());
    assert!(text == format!("{}{left_out} left out\n", line.repeat(room)), "{}", &text[text.len() - 100..]);
    queue.put(b"last\n", true);
    assert_eq!(taken.recv_timeout(LIMIT).as_deref(), Ok("last\n"), "they are told of once");
    drop(writing);
}

#[test]
fn a_sink_that_fails_gets_the_rest_later() {
    /// Takes three bytes a time, of which every other one fails.
    struct Reluctant(mpsc::SyncSender<u8>, bool);

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(3);
            bytes[..taken].iter().try_for_each(|byte| self.0.send(*byte)).map_err(io::Error::other)?;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let (hand, taken) = mpsc::sync_channel(0);
    let (queue, _writing) = start(Reluctant(hand, false), Duration::ZERO, notice).expect("a thread");
    queue.put(b"one\n", false);
    queue.put(b"two\n", false);
    let text: Vec<u8> = (0..8).map(|_| taken.recv_timeout(LIMIT).expect("a byte")).collect();
    assert_eq!(text, b"one\ntwo\n");
}
