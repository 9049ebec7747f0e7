//! What an operator must hear of, however often it happens: one line for each kind and peer in a while, and then how
//! many more there were.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slipstream_store::{DeadLetterReason, MessageId, Peer, PeerId, Sequence, Tag};
use tracing::field::display;
use tracing::{info, warn};

use super::links::TakeOvers;
use crate::clock::Clock;
use crate::protocol::{Rejection, TraceContext};

/// After a line about a kind and a peer no other is written for this long; the rest is counted.
const QUIET: Duration = Duration::from_secs(60);

/// Most pairs of kind and peer that are kept apart at a time. What comes beyond shares one pair for each kind.
const MAX_SUBJECTS: usize = 1_024;

/// Most pairs of a sender and the tags that it targets of which it is remembered that nobody matched.
const MAX_UNROUTED: usize = 1_024;

/// Who stands for all anonymous peers, each of which has an id that nobody knows.
const ANONYMOUS: &str = "anonymous";

/// Who stands for those beyond [`MAX_SUBJECTS`].
const OTHERS: &str = "others";

/// What happened, as far as it shares lines with others of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A message was answered with a NACK of this code.
    Refused(&'static str),
    /// A delivery was given up for a reason of this class.
    DeadLetter(&'static str),
    /// A peer was forgotten, with what it was owed.
    Forgotten,
    /// A link gave way to another one of its peer.
    TakenOver,
    /// Links of one id throw each other out.
    SharedId,
    /// A peer that this relay dials has another link under this relay's id.
    OwnIdShared,
    /// A message was confirmed that nobody gets.
    Unrouted,
}

impl Kind {
    /// Its name, and what tells it from others of that name.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Refused(code) => ("refused messages", Some(code)),
            Self::DeadLetter(class) => ("dead letters", Some(class)),
            Self::Forgotten => ("forgotten peers", None),
            Self::TakenOver => ("take-overs", None),
            Self::SharedId => ("take-overs", Some("several")),
            Self::OwnIdShared => ("take-overs", Some("of this relay's id")),
            Self::Unrouted => ("unrouted messages", None),
        }
    }
}

/// Decides which lines are written.
#[derive(Debug)]
pub(super) struct Notices {
    clock: Arc<dyn Clock>,
    told: Mutex<BTreeMap<(Kind, Box<str>), Told>>,
    take_overs: Mutex<TakeOvers>,
    /// Links that this relay dialled and that gave way at their far end.
    thrown_out: Mutex<TakeOvers>,
    /// The senders and sets of tags that matched nobody and were told of, by their hashes.
    unrouted: Mutex<HashSet<u64>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    /// When the last line was written, on the clock's own scale.
    at: Duration,
    /// What has happened since.
    left_out: u64,
}

impl Notices {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            told: Mutex::default(),
            take_overs: Mutex::default(),
            thrown_out: Mutex::default(),
            unrouted: Mutex::default(),
        }
    }

    /// A message of this peer was answered with a NACK.
    pub(super) fn refused(&self, peer: &PeerId, refusal: &Rejection, trace: Option<&TraceContext>) {
        let code = refusal.code().as_str();
        if let Some(left_out) = self.due(Kind::Refused(code), peer) {
            let (message_id, reason) = (refusal.message_id().map(MessageId::as_str), refusal.reason());
            let trace_id = trace.map(|trace| display(trace.trace_id));
            warn!(%peer, code, message_id, reason, left_out, trace_id, "a message was refused");
        }
    }

    /// A delivery to this peer was given up.
    pub(super) fn dead_letter(&self, peer: &PeerId, sequence: Sequence, attempts: u32, reason: &DeadLetterReason) {
        if let Some(left_out) = self.due(Kind::DeadLetter(reason.class()), peer) {
            let reason = reason.to_string();
            warn!(%peer, sequence = sequence.get(), attempts, reason, left_out, "a delivery became a dead letter");
        }
    }

    /// A peer was forgotten that was owed so many deliveries.
    pub(super) fn forgotten(&self, peer: &Peer, owed: u64) {
        if !peer.durable && owed == 0 {
            return;
        }
        let Some(left_out) = self.due(Kind::Forgotten, &peer.id) else { return };
        let id = &peer.id;
        match (peer.durable, owed) {
            (true, 0) => info!(peer = %id, owed, left_out, "a peer that stayed away was forgotten"),
            (true, _) => {
                warn!(peer = %id, owed, left_out, "a peer that stayed away was forgotten, with what it was owed")
            }
            (false, _) => info!(peer = %id, owed, left_out, "an anonymous peer left, and what it was owed with it"),
        }
    }

    /// Of two links of this peer one gives way to the other. Once in a while that is a lost link; several in a short time
    /// are a warning.
    pub(super) fn taken_over(&self, peer: &PeerId, newer: SocketAddr, older: SocketAddr) {
        let several = self.take_overs.lock().note(peer, self.clock.elapsed());
        let Some(left_out) = self.due(if several { Kind::SharedId } else { Kind::TakenOver }, peer) else { return };
        if several {
            warn!(
                %peer, %newer, %older, left_out,
                "links of one id throw each other out: two programs use it, or its links are lost without a trace"
            );
        } else {
            info!(%peer, %newer, %older, left_out, "a link took over");
        }
    }

    /// A link that this relay dialled gave way to another one of this relay's id. When two relays dial each other at once,
    /// that happens once.
    pub(super) fn thrown_out(&self, by: &PeerId, remote: SocketAddr) {
        let several = self.thrown_out.lock().note(by, self.clock.elapsed());
        if several && let Some(left_out) = self.due(Kind::OwnIdShared, by) {
            warn!(peer = %by, %remote, left_out, "the peer ends dialled links again and again, since another program has this relay's id");
        }
    }

    /// A message with these tags matched no peer, and was confirmed. That is said the first time for each sender and set
    /// of tags; beyond [`MAX_UNROUTED`] of them, now and then for each sender.
    pub(super) fn unrouted(&self, peer: &PeerId, tags: &[Tag]) {
        let mut tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        tags.sort_unstable();
        let mut hasher = DefaultHasher::new();
        (subject(peer), &tags).hash(&mut hasher);
        let mut told = self.unrouted.lock();
        let is_full = told.len() >= MAX_UNROUTED;
        if told.contains(&hasher.finish()) || is_full && self.due(Kind::Unrouted, peer).is_none() {
            return;
        }
        if !is_full {
            told.insert(hasher.finish());
        }
        warn!(%peer, tags = tags.join(","), "no peer matches a message: it was confirmed, and nobody gets it");
    }

    /// Whether a line about this is to be written now, and how many were left out since the last one.
    pub(super) fn due(&self, kind: Kind, peer: &PeerId) -> Option<u64> {
        let now = self.clock.elapsed();
        let mut told = self.told.lock();
        let mut subject = (kind, Box::from(subject(peer)));
        if told.len() >= MAX_SUBJECTS && !told.contains_key(&subject) {
            subject.1 = OTHERS.into();
        }
        match told.get_mut(&subject) {
            Some(told) if now.saturating_sub(told.at) < QUIET => {
                told.left_out += 1;
                None
            }
            Some(told) => Some(std::mem::replace(told, Told { at: now, left_out: 0 }).left_out),
            None => {
                told.insert(subject, Told { at: now, left_out: 0 });
                Some(0)
            }
        }
    }

    /// Says how many were left out, once so much time has passed without another line that says so.
    pub(super) fn tell_rest(&self) {
        let now = self.clock.elapsed();
        self.tell(|told| now.saturating_sub(told.at) >= QUIET, now);
    }

    /// Says how many were left out so far.
    pub(super) fn tell_all(&self) {
        self.tell(|_| true, self.clock.elapsed());
    }

    fn tell(&self, is_due: impl Fn(&Told) -> bool, now: Duration) {
        self.told.lock().retain(|(kind, peer), told| {
            if !is_due(told) {
                return true;
            }
            let left_out = std::mem::replace(told, Told { at: now, left_out: 0 }).left_out;
            if left_out > 0 {
                let (kind, class) = kind.names();
                warn!(%peer, kind, class, left_out, "more of these were left out of the log");
            }
            // One that has been quiet is told of anew.
            left_out > 0
        });
    }
}

/// Under which name a peer shares lines. Who names an id that looks generated shares them too, which does no harm.
fn subject(peer: &PeerId) -> &str {
    if peer.as_str().starts_with("anon-") { ANONYMOUS } else { peer.as_str() }
}

#[cfg(test)]
mod tests {
    use slipstream_store::Timestamp;
    use ulid::Ulid;

    use super::*;

    /// A clock that stands until it is put forward.
    #[derive(Debug, Default)]
    struct Hand(Mutex<Duration>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::ZERO
        }

        fn elapsed(&self) -> Duration {
            *self.0.lock()
        }

        fn ulid(&self) -> Ulid {
            Ulid::nil()
        }

        fn random(&self) -> u64 {
            0
        }
    }

    fn id(text: &str) -> PeerId {
        PeerId::new(text).unwrap()
    }

    #[test]
    fn one_line_for_each_kind_and_peer_and_then_how_many_there_were() {
        let clock = Arc::new(Hand::default());
        let notices = Notices::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let (refused, dead) = (Kind::Refused("invalid_json"), Kind::DeadLetter("backlog"));
        assert_eq!(notices.due(refused, &id("a")), Some(0));
        assert_eq!(notices.due(Kind::Refused("rate_limited"), &id("a")), Some(0), "another code");
        assert_eq!(notices.due(refused, &id("b")), Some(0), "another peer");
        assert_eq!(notices.due(dead, &id("a")), Some(0), "another kind");
        for _ in 0..7 {
            assert_eq!(notices.due(refused, &id("a")), None);
        }
        *clock.0.lock() = QUIET;
        assert_eq!(notices.due(refused, &id("a")), Some(7));
        assert_eq!(notices.due(refused, &id("a")), None);
    }

    #[test]
    fn anonymous_peers_share_their_lines_and_what_is_kept_is_bounded_and_goes_once_it_is_quiet() {
        let clock = Arc::new(Hand::default());
        let notices = Notices::new(Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(notices.due(Kind::Forgotten, &id("anon-1")), Some(0));
        assert_eq!(notices.due(Kind::Forgotten, &id("anon-2")), None);
        let lines =
            (0..3 * MAX_SUBJECTS).filter(|number| notices.due(Kind::Forgotten, &id(&number.to_string())).is_some());
        assert_eq!(lines.count(), MAX_SUBJECTS, "each of the first, and one for all others");
        assert!(notices.told.lock().len() <= MAX_SUBJECTS + 1);
        notices.tell_rest();
        assert!(notices.told.lock().len() >= MAX_SUBJECTS, "it is not time yet");
        *clock.0.lock() = QUIET;
        notices.tell_rest();
        assert_eq!(notices.told.lock().len(), 2, "those of which more was left out");
        *clock.0.lock() = 2 * QUIET;
        notices.tell_rest();
        assert!(notices.told.lock().is_empty());
    }
}
