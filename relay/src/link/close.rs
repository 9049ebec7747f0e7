//! Close codes, and how a link ended.

use std::fmt;
use std::io;

use fastwebsockets::WebSocketError;

/// The code of a Close frame (RFC 6455, section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the link is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// This end is going away: it shuts down.
    pub const AWAY: Self = Self(1001);
    /// The peer broke the WebSocket protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// The peer sent a binary message.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The peer sent a text that is not UTF-8.
    pub const INVALID_TEXT: Self = Self(1007);
    /// This end does not permit the link any more.
    pub const POLICY: Self = Self(1008);
    /// The peer sent a message over the size limit.
    pub const TOO_LARGE: Self = Self(1009);
    /// This end cannot go on.
    pub const ERROR: Self = Self(1011);
    /// Another link with the same peer id has taken the place of this one.
    pub const TAKEN_OVER: Self = Self(4000);

    /// Whether the code may stand in a Close frame: one of RFC 6455 or of IANA's register, or one that libraries and
    /// applications give out. fastwebsockets does not know 1014.
    pub(super) fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a peer did that ends its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) code: CloseCode,
    pub(super) what: &'static str,
    /// Its label for a metric.
    pub(super) counted_as: &'static str,
}

impl Violation {
    const fn new(code: CloseCode, counted_as: &'static str, what: &'static str) -> Self {
        Self { code, what, counted_as }
    }

    pub(super) const fn protocol(what: &'static str) -> Self {
        Self::new(CloseCode::PROTOCOL, "protocol", what)
    }

    pub(super) const BINARY: Self = Self::new(CloseCode::UNSUPPORTED, "binary", "binary messages are not taken");
    pub(super) const NOT_UTF8: Self = Self::new(CloseCode::INVALID_TEXT, "invalid_utf8", "the text is not UTF-8");
    pub(super) const TOO_LARGE: Self = Self::new(CloseCode::TOO_LARGE, "too_large", "the message is too large");
    pub(super) const TOO_MANY_FRAGMENTS: Self =
        Self::new(CloseCode::TOO_LARGE, "too_many_fragments", "the message has too many fragments");
}

/// Sorts an error of the frame parser: either the peer broke a rule, or the stream is gone.
pub(super) fn parse_failure(error: WebSocketError) -> Result<Violation, io::Error> {
    match error {
        WebSocketError::IoError(error) => Err(error),
        WebSocketError::UnexpectedEOF => Err(io::ErrorKind::UnexpectedEof.into()),
        WebSocketError::InvalidUTF8 => Ok(Violation::NOT_UTF8),
        WebSocketError::FrameTooLarge => Ok(Violation::TOO_LARGE),
        WebSocketError::ReservedBitsNotZero => Ok(Violation::protocol("reserved bits are set")),
        WebSocketError::ControlFrameFragmented => Ok(Violation::protocol("a control frame is fragmented")),
        WebSocketError::PingFrameTooLarge => Ok(Violation::protocol("a control frame is longer than 125 bytes")),
        WebSocketError::InvalidValue => Ok(Violation::protocol("an unknown opcode")),
        other => Err(io::Error::other(other)),
    }
}

/// How a link ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// This end closed it.
    Local {
        /// The code of the Close that was sent, or that could not be sent in time.
        code: CloseCode,
        /// Whether the peer answered the Close.
        answered: bool,
    },
    /// The peer closed it, and was answered.
    Peer {
        /// The code of its Close, where it had one.
        code: Option<CloseCode>,
        /// The reason in its Close; at most 123 bytes.
        reason: String,
    },
    /// The peer broke a rule, and was sent a Close that says so.
    Violation {
        /// The code of that Close.
        code: CloseCode,
        /// What the peer did.
        what: &'static str,
        /// The same as a label of few values for a metric.
        counted_as: &'static str,
    },
    /// There was no sign of life for the idle timeout; the link was dropped.
    Silent,
    /// There was something to write, and the peer took nothing for the idle timeout; the link was dropped.
    Stalled,
    /// The stream ended or failed without a Close.
    Lost(io::Error),
    /// The task that reads panicked. This is a defect; the log has the panic.
    Panicked,
}

impl Ended {
    /// A link that this end drops with this code, whether or not a Close could be sent.
    #[must_use]
    pub fn local(code: CloseCode) -> Self {
        Self::Local { code, answered: false }
    }

    /// What went wrong, as a label of few values for a metric; `None` where the link was closed in order.
    #[must_use]
    pub fn error(&self) -> Option<&'static str> {
        match self {
            Self::Local { code: CloseCode::ERROR, .. } => Some("internal"),
            Self::Local { .. } | Self::Peer { .. } => None,
            Self::Violation { counted_as, .. } => Some(counted_as),
            Self::Silent => Some("idle"),
            Self::Stalled => Some("stalled"),
            Self::Lost(_) => Some("lost"),
            Self::Panicked => Some("panic"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { code, answered: true } => write!(f, "closed with {code}"),
            Self::Local { code, answered: false } => write!(f, "closed with {code}, which the peer did not answer"),
            Self::Peer { code: None, .. } => f.write_str("closed by the peer"),
            Self::Peer { code: Some(code), reason } if reason.is_empty() => write!(f, "closed by the peer with {code}"),
            Self::Peer { code: Some(code), reason } => write!(f, "closed by the peer with {code}, {reason:?}"),
            Self::Violation { code, what, .. } => write!(f, "closed with {code}: {what}"),
            Self::Silent => f.write_str("dropped because nothing came for the idle timeout"),
            Self::Stalled => {
                f.write_str("dropped because the peer took nothing of what it was sent for the idle timeout")
            }
            Self::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the peer ended the stream without a Close")
            }
            Self::Lost(error) => write!(f, "the stream failed: {error}"),
            Self::Panicked => f.write_str("a task of the link panicked"),
        }
    }
}
