//! Deliveries that were given up: why, as they come out of a store, and which are meant.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::ids::{Identity, Key, MessageId, MessageType, PeerId};
use crate::values::{Sequence, Timestamp};

/// Why a delivery was given up.
///
/// A store keeps a reason as its text, which [`Display`](fmt::Display) writes, and reads it with `From<&str>`. That gives
/// the same text again, whatever it is: a reason that this build does not know is not lost. Texts never change,
/// because they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// The peer never acknowledged it, however often it was sent: `unacknowledged`.
    Unacknowledged,
    /// The message is larger than the peer takes: `too_large`.
    TooLarge,
    /// The peer was owed too much, and this was the oldest: `backlog`.
    Backlog,
    /// The peer died of it again and again: `poison`.
    Poison,
    /// The peer refused it for good: `rejected: REASON`.
    Rejected {
        /// Why, in the words of the peer. Without it the text is `rejected`.
        reason: Option<Box<str>>,
    },
    /// A reason that this build does not know: another build wrote it.
    Unknown(UnknownReason),
}

/// The text of a reason that this build does not know. Only `DeadLetterReason::from` makes one, so that each text is one
/// reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownReason(Box<str>);

impl DeadLetterReason {
    /// The peer's refusal, in its words.
    #[must_use]
    pub fn rejected(reason: impl Into<Box<str>>) -> Self {
        Self::Rejected { reason: Some(reason.into()) }
    }

    /// What reasons are counted under: one of six words, `other` for those that are not known. Of an unknown text the
    /// part before its first `:` counts.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.head() {
            Self::Unacknowledged => "unacknowledged",
            Self::TooLarge => "too_large",
            Self::Backlog => "backlog",
            Self::Poison => "poison",
            Self::Rejected { .. } => "rejected",
            Self::Unknown(_) => "other",
        }
    }

    /// The reason whose text is the part before the first `:` of this one's.
    fn head(&self) -> Self {
        match self {
            Self::Rejected { .. } => Self::Rejected { reason: None },
            Self::Unknown(UnknownReason(text)) => Self::from(text.split(':').next().unwrap_or_default()),
            known => known.clone(),
        }
    }
}

impl From<&str> for DeadLetterReason {
    fn from(text: &str) -> Self {
        match text {
            "unacknowledged" => Self::Unacknowledged,
            "too_large" => Self::TooLarge,
            "backlog" => Self::Backlog,
            "poison" => Self::Poison,
            "rejected" => Self::Rejected { reason: None },
            _ => match text.strip_prefix("rejected: ") {
                Some(reason) => Self::rejected(reason),
                None => Self::Unknown(UnknownReason(text.into())),
            },
        }
    }
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { reason: Some(reason) } => write!(f, "rejected: {reason}"),
            Self::Unknown(UnknownReason(text)) => f.write_str(text),
            known => f.write_str(known.class()),
        }
    }
}

/// A delivery that was given up, with the whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its sequence.
    pub sequence: Sequence,
    /// Whose delivery it was.
    pub peer: PeerId,
    /// The message's identity.
    pub identity: Identity,
    /// The message's type.
    pub message_type: MessageType,
    /// The message's key.
    pub key: Option<Key>,
    /// Why it was given up.
    pub reason: DeadLetterReason,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was given up.
    pub dead_at: Timestamp,
    /// The outgoing text, as it was recorded.
    pub text: Bytes,
}

/// How many dead letters a peer has for reasons of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// Whose deliveries they were.
    pub peer: PeerId,
    /// The [class](DeadLetterReason::class) of their reasons.
    pub reason: &'static str,
    /// How many there are, at least one.
    pub count: u64,
    /// The latest time at which one of them was given up. It may be that of one that has left since, for as long as
    /// others are there.
    pub newest: Timestamp,
}

/// Dead letters as they are counted: by peer, and then by the class of their reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterCounts(BTreeMap<(PeerId, &'static str), (u64, Timestamp)>);

impl DeadLetterCounts {
    /// Counts so many more, the newest of which was given up at this time.
    pub fn add(&mut self, peer: &PeerId, reason: &'static str, count: u64, newest: Timestamp) {
        let entry = self.0.entry((peer.clone(), reason)).or_default();
        *entry = (entry.0.saturating_add(count), entry.1.max(newest));
    }
}

impl From<DeadLetterCounts> for Vec<DeadLetterCount> {
    fn from(counts: DeadLetterCounts) -> Self {
        let entries = counts.0.into_iter();
        entries.map(|((peer, reason), (count, newest))| DeadLetterCount { peer, reason, count, newest }).collect()
    }
}

/// A place in the order of dead letters: by sequence, then by peer id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterCursor {
    /// The sequence.
    pub sequence: Sequence,
    /// The peer.
    pub peer: PeerId,
}

/// Which dead letters are meant: those that fit every field that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// Those of this peer.
    pub peer: Option<PeerId>,
    /// Those with this reason, either the whole of its text or the part before its first `:`. So
    /// [`Rejected`](DeadLetterReason::Rejected) without a reason means all that were refused.
    pub reason: Option<DeadLetterReason>,
    /// Those of messages with this id, in whatever cluster group.
    pub message_id: Option<MessageId>,
}

impl DeadLetterFilter {
    /// Whether the filter means this dead letter.
    #[must_use]
    pub fn matches(&self, peer: &PeerId, reason: &DeadLetterReason, message_id: &MessageId) -> bool {
        self.peer.as_ref().is_none_or(|wanted| wanted == peer)
            && self.message_id.as_ref().is_none_or(|wanted| wanted == message_id)
            && self.reason.as_ref().is_none_or(|wanted| wanted == reason || *wanted == reason.head())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 25] = [
        "unacknowledged",
        "too_large",
        "backlog",
        "poison",
        "rejected",
        "rejected: no",
        "rejected: never: no",
        "rejected: ",
        "rejected:  two spaces ",
        "rejected: zu groß\nthanks",
        "rejected:",
        "rejected:no",
        "rejected : no",
        "reject",
        "Rejected: no",
        "backlog: of an hour",
        "unacknowledged:",
        " poison",
        "poison ",
        "other",
        "other: why",
        "",
        ":",
        ": rejected",
        "left",
    ];

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in TEXTS {
            let reason = DeadLetterReason::from(text);
            assert_eq!(reason.to_string(), text);
        }
        let known = ["unacknowledged", "too_large", "backlog", "poison", "rejected", "rejected: no"];
        use DeadLetterReason::{Backlog, Poison, Rejected, TooLarge, Unacknowledged};
        let refused = Rejected { reason: Some("no".into()) };
        let reasons = [Unacknowledged, TooLarge, Backlog, Poison, Rejected { reason: None }, refused];
        assert_eq!(reasons.each_ref().map(ToString::to_string), known, "texts are stored");
        assert_eq!(known.map(DeadLetterReason::from), reasons);
    }

    #[test]
    fn a_reason_counts_under_what_its_text_begins_with() {
        let known = ["unacknowledged", "rejected", "too_large", "backlog", "poison"];
        for text in TEXTS {
            let head = text.split(':').next().unwrap();
            let expected = known.into_iter().find(|known| *known == head).unwrap_or("other");
            assert_eq!(DeadLetterReason::from(text).class(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_filter_means_a_whole_text_or_the_part_before_its_first_colon() {
        let (peer, id) = (PeerId::new("p").unwrap(), MessageId::new("m").unwrap());
        for wanted in TEXTS {
            let filter = DeadLetterFilter { reason: Some(wanted.into()), ..DeadLetterFilter::default() };
            for text in TEXTS {
                let expected = wanted == text || text.split_once(':').is_some_and(|(head, _)| head == wanted);
                assert_eq!(filter.matches(&peer, &text.into(), &id), expected, "{wanted:?} of {text:?}");
            }
        }
    }
}
