//! What the rest of the relay, the reader and the keepalive ask of a link's writer.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::CloseCode;
use super::close::Violation;

/// The handle of one link. Clones are handles of the same link.
#[derive(Debug, Clone, Default)]
pub struct LinkControl {
    shared: Arc<ControlState>,
}

#[derive(Debug, Default)]
struct ControlState {
    wants: Mutex<Wants>,
    wake: Notify,
    closing: CancellationToken,
    close_sent: CancellationToken,
    settled: AtomicU64,
}

/// What the writer is to send before any data.
#[derive(Debug, Default)]
pub(super) struct Wants {
    pub(super) ping: bool,
    /// Only the newest ping is answered: so a flood of them takes no memory.
    pub(super) pong: Option<Bytes>,
    pub(super) close: Option<Closing>,
}

/// Why and how the link is being closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closing {
    /// This end wishes it. What is there to send goes out first.
    Local {
        code: CloseCode,
        reason: Cow<'static, str>,
        /// How long the link may take to end; `None` for its close timeout.
        within: Option<Duration>,
    },
    /// The peer broke a rule.
    Violation(Violation),
    /// The peer wishes it.
    Peer { code: Option<CloseCode>, reason: String },
}

impl LinkControl {
    /// A handle for a link that is yet to run.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the link to be closed. Only the first wish counts; it may come before the link runs.
    ///
    /// The writer first sends what there is to send, within bounds, then the Close. `reason` may be 123 bytes long;
    /// the rest is cut.
    pub fn close(&self, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        self.request_close(Closing::Local { code, reason: reason.into(), within: None });
    }

    /// Asks for the link to be closed as [`close`](Self::close) does, and to wait so long for the peer's Close.
    pub fn close_within(&self, within: Duration, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        self.request_close(Closing::Local { code, reason: reason.into(), within: Some(within) });
    }

    /// Notes that the peer settled something that was sent on this link: so it takes what it is sent, however long
    /// the rest stands in its buffers.
    pub fn note_settled(&self) {
        self.shared.settled.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes when the peer has settled something.
    pub(super) fn settled(&self) -> u64 {
        self.shared.settled.load(Ordering::Relaxed)
    }

    pub(super) fn request_close(&self, closing: Closing) {
        self.shared.wants.lock().close.get_or_insert(closing);
        self.shared.closing.cancel();
        self.shared.wake.notify_one();
    }

    /// Returns when the link was asked to close, and within which time where the one who asked said so.
    pub(super) async fn closing(&self) -> Option<Duration> {
        self.shared.closing.cancelled().await;
        match &self.shared.wants.lock().close {
            Some(Closing::Local { within, .. }) => *within,
            _ => None,
        }
    }

    /// Why the link is being closed, if it is.
    pub(super) fn why_closing(&self) -> Option<Closing> {
        self.shared.wants.lock().close.clone()
    }

    /// The code with which the peer closed the link, if it did, also while the link is still ending.
    pub(crate) fn peer_closed_with(&self) -> Option<CloseCode> {
        match self.why_closing() {
            Some(Closing::Peer { code, .. }) => code,
            _ => None,
        }
    }

    /// From now on nothing that comes is taken: the Close is out.
    pub(super) fn close_sent(&self) {
        self.shared.close_sent.cancel();
    }

    pub(super) fn is_close_sent(&self) -> bool {
        self.shared.close_sent.is_cancelled()
    }

    /// Runs `taking` to its end, or until the Close is out.
    pub(super) async fn until_close_sent(&self, taking: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = taking => {}
            () = self.shared.close_sent.cancelled() => {}
        }
    }

    pub(super) fn ping(&self) {
        self.shared.wants.lock().ping = true;
        self.shared.wake.notify_one();
    }

    pub(super) fn pong(&self, payload: Bytes) {
        self.shared.wants.lock().pong = Some(payload);
        self.shared.wake.notify_one();
    }

    /// Takes what is to be sent before any data. The wish to close stays.
    pub(super) fn take_wants(&self) -> Wants {
        let mut wants = self.shared.wants.lock();
        Wants { ping: std::mem::take(&mut wants.ping), pong: wants.pong.take(), close: wants.close.clone() }
    }

    /// Returns when [`take_wants`](Self::take_wants) may have something new. None is lost between two calls.
    pub(super) async fn wanted(&self) {
        self.shared.wake.notified().await;
    }
}
