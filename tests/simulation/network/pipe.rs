//! One direction of a connection: bytes in order, each piece with the moment of its arrival.
//!
//! It behaves as TCP does towards those who use it: nothing is lost or reordered within a connection that lives; what
//! the network loses shows as a stall. What is written on a severed one vanishes, and the writer only notices once
//! its buffer is full.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use slipstream::store::PeerId;
use tokio::io::ReadBuf;
use tokio::time::Instant;

/// What a route does to what travels on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weather {
    /// How long a byte is under way.
    pub(crate) latency: Duration,
    /// How much longer it may be, by chance.
    pub(crate) jitter: Duration,
    /// Bytes a second of one connection.
    pub(crate) bandwidth: u64,
    /// How many of a thousand pieces are lost once, and how long it takes until they are sent again.
    pub(crate) losses: u32,
    pub(crate) retransmission: Duration,
    /// How much a writer may have under way and unread.
    pub(crate) buffer: usize,
    /// Largest piece that travels as one.
    pub(crate) piece: usize,
}

impl Weather {
    /// A local network.
    pub(crate) fn calm() -> Self {
        Self {
            latency: Duration::from_millis(2),
            jitter: Duration::from_millis(3),
            bandwidth: 100 << 20,
            losses: 0,
            retransmission: Duration::from_millis(200),
            buffer: 256 << 10,
            piece: 16 << 10,
        }
    }
}

#[derive(Debug)]
enum Payload {
    Data(Bytes),
    End,
    Reset,
}

#[derive(Debug)]
struct Segment {
    /// `None` while it is held up: the route is cut, or the pipe severed.
    arrives: Option<Instant>,
    payload: Payload,
}

/// What a reader can do now.
pub(super) enum Reading {
    Done(io::Result<()>),
    /// Something arrives then.
    Until(Instant),
    /// Nothing is under way.
    Idle,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) from: PeerId,
    pub(super) to: PeerId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    segments: VecDeque<Segment>,
    /// Bytes that were written and not read.
    unread: usize,
    /// When the last byte that was written has left.
    free_at: Instant,
    /// When the last segment arrives.
    latest: Instant,
    severed: bool,
    ended: bool,
    reader_gone: bool,
    resetting: bool,
    reset_at: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    randomness: fastrand::Rng,
}

impl Pipe {
    pub(super) fn new(from: PeerId, to: PeerId, randomness: fastrand::Rng) -> Self {
        let now = Instant::now();
        let state = State {
            segments: VecDeque::new(),
            unread: 0,
            free_at: now,
            latest: now,
            severed: false,
            ended: false,
            reader_gone: false,
            resetting: false,
            reset_at: None,
            reader: None,
            writer: None,
            randomness,
        };
        Self { from, to, state: Mutex::new(state) }
    }

    pub(super) fn read(&self, cx: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Reading {
        let mut state = self.state.lock();
        let now = Instant::now();
        let Some(segment) = state.segments.front_mut() else {
            state.reader = Some(cx.waker().clone());
            return Reading::Idle;
        };
        match (segment.arrives, &mut segment.payload) {
            (Some(at), Payload::Data(bytes)) if at <= now => {
                let len = bytes.len().min(buffer.remaining());
                buffer.put_slice(&bytes[..len]);
                bytes.advance(len);
                if bytes.is_empty() {
                    state.segments.pop_front();
                }
                state.unread -= len;
                wake(&mut state.writer);
                Reading::Done(Ok(()))
            }
            (Some(at), Payload::End) if at <= now => Reading::Done(Ok(())),
            (Some(at), Payload::Reset) if at <= now => Reading::Done(Err(io::ErrorKind::ConnectionReset.into())),
            (arrives, _) => {
                state.reader = Some(cx.waker().clone());
                arrives.map_or(Reading::Idle, Reading::Until)
            }
        }
    }

    /// Takes as much as there is room for. Also answers whether the reader is gone, so that a reset comes back.
    pub(super) fn write(
        &self,
        cx: &Context<'_>,
        bytes: &[u8],
        weather: &Weather,
        is_cut: bool,
    ) -> (Poll<io::Result<usize>>, bool) {
        let mut state = self.state.lock();
        let room = weather.buffer.saturating_sub(state.unread);
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return (Poll::Pending, false);
        }
        let len = room.min(bytes.len());
        if state.reader_gone && !state.severed {
            return (Poll::Ready(Ok(len)), true);
        }
        for piece in bytes[..len].chunks(weather.piece.max(1)) {
            let cut = state.randomness.usize(0..=piece.len());
            for part in [&piece[..cut], &piece[cut..]] {
                if !part.is_empty() {
                    state.push(Payload::Data(Bytes::copy_from_slice(part)), weather, is_cut);
                }
            }
        }
        (Poll::Ready(Ok(len)), false)
    }

    /// Nothing more is written.
    pub(super) fn end(&self, weather: &Weather, is_cut: bool) {
        let mut state = self.state.lock();
        if !state.ended {
            state.ended = true;
            state.push(Payload::End, weather, is_cut);
        }
    }

    /// The writer is gone and the reader is told so.
    pub(super) fn reset(&self, weather: &Weather, is_cut: bool) {
        let mut state = self.state.lock();
        if !state.resetting {
            state.resetting = true;
            state.ended = true;
            state.push(Payload::Reset, weather, is_cut);
            state.reset_at = state.segments.back().and_then(|segment| segment.arrives);
            wake(&mut state.writer);
        }
    }

    /// Whether the reader's end was told that the writer is gone.
    pub(super) fn is_reset(&self) -> bool {
        self.state.lock().reset_at.is_some_and(|at| at <= Instant::now())
    }

    pub(super) fn reset_at(&self) -> Option<Instant> {
        self.state.lock().reset_at
    }

    /// The reader reads no more; answers whether it leaves something unread behind.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        state.reader_gone = true;
        let unread = state.unread > 0;
        state.segments.clear();
        state.unread = 0;
        wake(&mut state.writer);
        unread
    }

    /// From now on nothing arrives, without a word to either end.
    pub(super) fn sever(&self) {
        let mut state = self.state.lock();
        state.severed = true;
        state.hold_up();
    }

    /// The route is cut: of what is under way a part still arrives.
    pub(super) fn hold_up(&self) {
        self.state.lock().hold_up();
    }

    /// The route is whole again: what was held up is sent again.
    pub(super) fn release(&self, weather: &Weather) {
        let mut state = self.state.lock();
        if state.severed {
            return;
        }
        let again = weather.retransmission.mul_f64(state.randomness.f64());
        let mut at = (Instant::now() + weather.latency + again).max(state.latest);
        for segment in state.segments.iter_mut().filter(|segment| segment.arrives.is_none()) {
            at += Duration::from_millis(1);
            segment.arrives = Some(at);
        }
        state.latest = at;
        state.reset_at =
            state.segments.back().filter(|last| matches!(last.payload, Payload::Reset)).and_then(|last| last.arrives);
        wake(&mut state.reader);
        wake(&mut state.writer);
    }

    pub(super) fn wake_both(&self) {
        let mut state = self.state.lock();
        wake(&mut state.reader);
        wake(&mut state.writer);
    }
}

impl State {
    fn push(&mut self, payload: Payload, weather: &Weather, is_cut: bool) {
        let held_up = is_cut || self.severed || self.segments.back().is_some_and(|last| last.arrives.is_none());
        let bytes = if let Payload::Data(bytes) = &payload { bytes.len() } else { 0 };
        let arrives = (!held_up).then(|| self.arrival(bytes, weather));
        self.unread += bytes;
        self.segments.push_back(Segment { arrives, payload });
        wake(&mut self.reader);
    }

    fn arrival(&mut self, bytes: usize, weather: &Weather) -> Instant {
        let nanos = bytes as u64 * 1_000_000_000 / weather.bandwidth.max(1);
        self.free_at = self.free_at.max(Instant::now()) + Duration::from_nanos(nanos);
        let mut at = self.free_at + weather.latency + weather.jitter.mul_f64(self.randomness.f64());
        if self.randomness.u32(0..1000) < weather.losses {
            at += weather.retransmission;
        }
        let at = self.latest.max(at);
        self.latest = at;
        at
    }

    fn hold_up(&mut self) {
        let now = Instant::now();
        let arriving = |segment: &&Segment| segment.arrives.is_some_and(|at| at > now);
        let under_way = self.segments.iter().filter(arriving).count();
        let arrived = self.segments.iter().take_while(|segment| segment.arrives.is_some_and(|at| at <= now)).count();
        let first = arrived + self.randomness.usize(0..=under_way);
        for segment in self.segments.iter_mut().skip(first) {
            segment.arrives = None;
        }
        if self.segments.back().is_some_and(|last| last.arrives.is_none()) {
            self.reset_at = None;
        }
        self.latest = self.segments.iter().filter_map(|segment| segment.arrives).max().unwrap_or(now).max(now);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
