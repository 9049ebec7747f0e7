//! The reading half of a link: from frames to texts.

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::vec::Drain;

use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, OpCode, Payload, WebSocketRead};
use tokio::io::AsyncReadExt as _;

use super::assembler::Assembler;
use super::close::{Violation, parse_failure};
use super::control::Closing;
use super::frames::MAX_CONTROL_PAYLOAD;
use super::silence::{Heard, Valve};
use super::{CloseCode, LinkControl, LinkLimits, Role, awake};

/// Where the texts of a link go.
pub trait Inbox: Send {
    /// Takes the texts that one read has brought, at most 128, in the order in which they came. Each is valid UTF-8 and
    /// within the size limit; together they are hardly more than one read brings, or one that is larger.
    ///
    /// Until this returns nothing more is read from the peer: that is how a full stage holds it back. A wait here
    /// does not count as the peer's silence.
    ///
    /// # Cancellation
    /// The future is dropped where it stands when the link ends.
    fn texts(&mut self, texts: Drain<'_, Bytes>) -> impl Future<Output = ()> + Send;
}

/// Reads until the peer's Close, or until the peer has fallen silent after it broke a rule. Returns the stream, of which
/// nobody reads frames any more.
///
/// # Errors
/// Where the stream ends without a Close, or fails.
pub(super) async fn read<I: Inbox>(
    mut stream: Heard,
    role: Role,
    mut inbox: I,
    limits: LinkLimits,
    control: LinkControl,
) -> io::Result<Heard> {
    let mut assembler = Assembler::new(limits.max_message_bytes, limits.max_fragments);
    let closing = loop {
        let frames = Frames::new(&mut stream, role, &limits);
        if let Some(closing) = take(frames, &mut assembler, &mut inbox, &control).await? {
            break closing;
        }
    };
    let broke_a_rule = matches!(closing, Closing::Violation(_));
    control.request_close(closing);
    if broke_a_rule {
        // The peer's own Close is among what is not understood any more. The close timeout bounds how long.
        discard(&mut stream, Some(QUIET)).await?;
    }
    Ok(stream)
}

/// How long a peer that broke a rule may be silent before it is taken to have sent everything.
const QUIET: Duration = Duration::from_secs(1);

/// Reads on without understanding, so that what was written last is not lost in a reset of the stream: until the peer
/// ends the stream, or has been silent for so long.
pub(super) async fn discard(stream: &mut Heard, quiet: Option<Duration>) -> io::Result<()> {
    let mut buffer = vec![0; DISCARDED_AT_ONCE];
    loop {
        let read = stream.read(&mut buffer);
        let read = match quiet {
            Some(quiet) => awake::timeout(quiet, read).await,
            None => Some(read.await),
        };
        match read.transpose()? {
            None | Some(0) => return Ok(()),
            Some(_) => {}
        }
    }
}

/// How much is discarded in one read.
const DISCARDED_AT_ONCE: usize = 16 << 10;

/// Takes frames until there is a reason to close, or until `frames` should be made anew.
async fn take<I: Inbox>(
    mut frames: Frames<'_>,
    assembler: &mut Assembler,
    inbox: &mut I,
    control: &LinkControl,
) -> io::Result<Option<Closing>> {
    let mut texts = Vec::new();
    let valve = Arc::clone(&frames.valve);
    loop {
        let frame = {
            let mut next = pin!(frames.next());
            match at_hand(next.as_mut(), &valve).await {
                Some(frame) => frame,
                None => {
                    hand_over(&mut texts, inbox, control).await;
                    next.await
                }
            }
        };
        let text = match frame? {
            Ok((OpCode::Text, fin, payload)) => assembler.text(payload, fin),
            Ok((OpCode::Continuation, fin, payload)) => assembler.continuation(&payload, fin),
            Ok((opcode, _, payload)) => {
                // What came before it comes first.
                hand_over(&mut texts, inbox, control).await;
                if let Some(closing) = heed(opcode, &payload, control) {
                    return Ok(Some(closing));
                }
                Ok(None)
            }
            Err(violation) => Err(violation),
        };
        match text {
            Ok(text) => {
                texts.extend(text);
                if texts.len() == MOST_TEXTS {
                    hand_over(&mut texts, inbox, control).await;
                }
            }
            Err(violation) => {
                hand_over(&mut texts, inbox, control).await;
                return Ok(Some(Closing::Violation(violation)));
            }
        }
        if frames.are_only_memory() {
            hand_over(&mut texts, inbox, control).await;
            return Ok(None);
        }
    }
}

/// The next frame, if what was read already holds all of it.
async fn at_hand<F: Future>(mut next: Pin<&mut F>, valve: &Valve) -> Option<F::Output> {
    valve.shut(true);
    let polled = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
    valve.shut(false);
    match polled {
        Poll::Ready(frame) => Some(frame),
        Poll::Pending => None,
    }
}

/// Hands over the texts that came, unless the Close is out.
async fn hand_over<I: Inbox>(texts: &mut Vec<Bytes>, inbox: &mut I, control: &LinkControl) {
    let are_many = texts.len() >= MANY_TEXTS;
    if !texts.is_empty() && !control.is_close_sent() {
        control.until_close_sent(pin!(inbox.texts(texts.drain(..)))).await;
    }
    if are_many {
        // More are likely to be there. Whoever was woken by these stands behind this task, mostly where no other thread may
        // take him from: he begins now, and works while the next are read.
        tokio::task::yield_now().await;
    }
    texts.clear();
    texts.shrink_to(KEPT_TEXTS);
}

/// After as many at once the reader lets others run.
const MANY_TEXTS: usize = 8;

/// Most texts that are handed over at once.
const MOST_TEXTS: usize = 128;

/// Room for that many texts stays with a link.
const KEPT_TEXTS: usize = 32;

/// What a frame that is part of no text asks for.
fn heed(opcode: OpCode, payload: &[u8], control: &LinkControl) -> Option<Closing> {
    match opcode {
        OpCode::Close => Some(read_close(payload).unwrap_or_else(Closing::Violation)),
        // A copy, because a slice would keep the parser's buffer alive.
        OpCode::Ping => {
            control.pong(Bytes::copy_from_slice(payload));
            None
        }
        OpCode::Pong => None,
        OpCode::Binary | OpCode::Text | OpCode::Continuation => Some(Closing::Violation(Violation::BINARY)),
    }
}

/// A payload beyond this makes the parser's buffer large, which then stays so.
const LARGE_PAYLOAD: usize = 64 << 10;

/// The frames of a stream.
struct Frames<'s> {
    parser: WebSocketRead<&'s mut Heard>,
    role: Role,
    valve: Arc<Valve>,
    /// How many of the bytes that the parser got were in the frames that it gave.
    taken: u64,
    is_swollen: bool,
}

impl<'s> Frames<'s> {
    fn new(stream: &'s mut Heard, role: Role, limits: &LinkLimits) -> Self {
        let valve = stream.valve();
        let taken = valve.given();
        // The parser's "server" unmasks what is masked; whether it should have been is checked here, for both roles.
        let (mut parser, _) =
            fastwebsockets::after_handshake_split(stream, tokio::io::sink(), fastwebsockets::Role::Server);
        parser.set_auto_close(false);
        parser.set_auto_pong(false);
        // Exclusive. It bounds what the parser reserves on the word of a frame's head.
        parser.set_max_message_size(limits.max_message_bytes.max(MAX_CONTROL_PAYLOAD).saturating_add(1));
        Self { parser, role, valve, taken, is_swollen: false }
    }

    async fn next(&mut self) -> io::Result<Result<(OpCode, bool, BytesMut), Violation>> {
        let mut send_nothing = |_: Frame<'_>| ready(Ok::<(), Infallible>(()));
        let mut frame = match self.parser.read_frame(&mut send_nothing).await {
            Ok(frame) => frame,
            Err(error) => return parse_failure(error).map(Err),
        };
        // The head that the frame would be written with is the only place that tells whether it came masked.
        let mut head = [0; 16];
        let head_len = frame.fmt_head(&mut head);
        self.taken += (head_len + frame.payload.len()) as u64;
        self.is_swollen |= frame.payload.len() > LARGE_PAYLOAD;
        Ok(checked(frame, head[1] & 0x80 != 0, self.role))
    }

    /// Whether nothing but a large buffer would be lost with the parser. An idle link must not hold one.
    fn are_only_memory(&self) -> bool {
        self.is_swollen && self.taken == self.valve.given()
    }
}

/// The rules for every frame that the parser leaves to its caller.
fn checked(frame: Frame<'_>, masked: bool, role: Role) -> Result<(OpCode, bool, BytesMut), Violation> {
    match role {
        // Proxies that end a link themselves send a Close without a mask. There is nothing to understand wrongly in it.
        Role::Server if !masked && frame.opcode != OpCode::Close => {
            return Err(Violation::protocol("a frame of a client is not masked"));
        }
        Role::Client if masked => return Err(Violation::protocol("a frame of a server is masked")),
        _ => {}
    }
    let is_control = matches!(frame.opcode, OpCode::Close | OpCode::Ping | OpCode::Pong);
    if is_control && frame.payload.len() > MAX_CONTROL_PAYLOAD {
        return Err(Violation::protocol("a control frame is longer than 125 bytes"));
    }
    let payload = match frame.payload {
        Payload::Bytes(bytes) => bytes,
        other => BytesMut::from(&other[..]),
    };
    Ok((frame.opcode, frame.fin, payload))
}

fn read_close(payload: &[u8]) -> Result<Closing, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Closing::Peer { code: None, reason: String::new() }),
            _ => Err(Violation::protocol("half a close code")),
        };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_sendable() {
        return Err(Violation::protocol("a close code that must not be sent"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::NOT_UTF8)?;
    Ok(Closing::Peer { code: Some(code), reason: reason.to_owned() })
}
