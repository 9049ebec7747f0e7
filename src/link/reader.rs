//! The reading half of a link: from frames to texts.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::io;

use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, OpCode, Payload, WebSocketRead};

use super::assembler::Assembler;
use super::close::{Violation, parse_failure};
use super::control::Closing;
use super::frames::MAX_CONTROL_PAYLOAD;
use super::silence::Heard;
use super::{CloseCode, LinkControl, LinkLimits, Role};

/// Where the texts of a link go.
pub trait Inbox: Send {
    /// Takes a text, which is valid UTF-8 and within the size limit, in the order in which they came.
    ///
    /// Until this returns nothing more is read from the peer: that is how a full stage holds it back. A wait here
    /// does not count as the peer's silence.
    ///
    /// # Cancellation
    /// The future is dropped where it stands when the link ends.
    fn text(&mut self, text: Bytes) -> impl Future<Output = ()> + Send;
}

/// Reads until the peer's Close, or until the peer ends the stream after it broke a rule.
///
/// # Errors
/// Where the stream ends without a Close, or fails.
pub(super) async fn read<I: Inbox>(
    mut stream: Heard,
    role: Role,
    inbox: I,
    limits: LinkLimits,
    control: LinkControl,
) -> io::Result<()> {
    let closing = Reader::new(&mut stream, role, inbox, &limits, control.clone()).run().await?;
    let broke_a_rule = matches!(closing, Closing::Violation(_));
    control.request_close(closing);
    if broke_a_rule {
        // Read on without understanding, so that the Close is not lost in a reset of the stream. The close timeout
        // bounds how long.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

struct Reader<'s, I> {
    frames: WebSocketRead<&'s mut Heard>,
    assembler: Assembler,
    role: Role,
    inbox: I,
    control: LinkControl,
}

impl<'s, I: Inbox> Reader<'s, I> {
    fn new(stream: &'s mut Heard, role: Role, inbox: I, limits: &LinkLimits, control: LinkControl) -> Self {
        // The parser's "server" unmasks what is masked; whether it should have been is checked here, for both roles.
        let (mut frames, _) =
            fastwebsockets::after_handshake_split(stream, tokio::io::sink(), fastwebsockets::Role::Server);
        frames.set_auto_close(false);
        frames.set_auto_pong(false);
        // Exclusive. It bounds what the parser reserves on the word of a frame's head.
        frames.set_max_message_size(limits.max_message_bytes.max(MAX_CONTROL_PAYLOAD).saturating_add(1));
        Self { frames, assembler: Assembler::new(limits.max_message_bytes, limits.max_fragments), role, inbox, control }
    }

    /// Reads until there is a reason to close.
    async fn run(mut self) -> io::Result<Closing> {
        loop {
            match self.next().await? {
                Ok(None) => {}
                Ok(Some(closing)) => return Ok(closing),
                Err(violation) => return Ok(Closing::Violation(violation)),
            }
        }
    }

    /// Takes one frame. Tells of the peer's Close.
    async fn next(&mut self) -> io::Result<Result<Option<Closing>, Violation>> {
        let mut send_nothing = |_: Frame<'_>| ready(Ok::<(), Infallible>(()));
        let frame = match self.frames.read_frame(&mut send_nothing).await {
            Ok(frame) => frame,
            Err(error) => return parse_failure(error).map(Err),
        };
        let (opcode, fin, payload) = match checked(frame, self.role) {
            Ok(parts) => parts,
            Err(violation) => return Ok(Err(violation)),
        };
        let text = match opcode {
            OpCode::Text => self.assembler.text(payload, fin),
            OpCode::Continuation => self.assembler.continuation(&payload, fin),
            OpCode::Binary => Err(Violation::BINARY),
            OpCode::Close => return Ok(read_close(&payload).map(Some)),
            OpCode::Ping => {
                // A copy, because a slice would keep the parser's buffer alive.
                self.control.pong(Bytes::copy_from_slice(&payload));
                Ok(None)
            }
            OpCode::Pong => Ok(None),
        };
        match text {
            Ok(Some(text)) if !self.control.is_close_sent() => self.inbox.text(text).await,
            Ok(_) => {}
            Err(violation) => return Ok(Err(violation)),
        }
        Ok(Ok(None))
    }
}

/// The rules for every frame that the parser leaves to its caller.
fn checked(mut frame: Frame<'_>, role: Role) -> Result<(OpCode, bool, BytesMut), Violation> {
    // The head that the frame would be written with is the only place that tells whether it came masked.
    let mut head = [0; 16];
    frame.fmt_head(&mut head);
    let masked = head[1] & 0x80 != 0;
    match role {
        Role::Server if !masked => return Err(Violation::protocol("a frame of a client is not masked")),
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
