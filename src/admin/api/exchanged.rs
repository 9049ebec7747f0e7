//! What two relays are compared by: how messages that were exchanged are counted and hashed, and how one is told.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use slipstream_store::Exchanged;
use utoipa::ToSchema;

/// Messages, counted and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The sum of a hash of each, of its identity and content: the same for the same messages, in whatever order.
    #[serde(with = "hexadecimal")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub hash: u64,
}

/// What was exchanged of the messages of one hour, or of a slice of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slice {
    /// What was to be delivered to the peer.
    pub sent: Tally,
    /// What the peer has acknowledged of that.
    pub acknowledged: Tally,
    /// What this relay took from the peer, and has confirmed to it.
    pub received: Tally,
    /// What came through the peer: that, and what another peer handed on that had it from there.
    pub passed: Tally,
    /// All that this relay took in, from whomever.
    pub held: Tally,
}

/// A slice, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TallyItem {
    /// The hour in which the messages came to their first relay, by the clock of that: when it began.
    #[schema(format = DateTime)]
    pub hour: String,
    /// Which of the slices.
    pub slice: u16,
    /// What was exchanged.
    #[serde(flatten)]
    pub exchanged: Slice,
}

/// What this relay and a peer exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exchanges {
    /// This relay.
    pub relay: String,
    /// The peer.
    pub peer: String,
    /// What time it is here.
    #[schema(format = DateTime)]
    pub now: String,
    /// Of hours that began before, something may be forgotten.
    #[schema(format = DateTime)]
    pub whole_since: String,
    /// One entry for each hour and slice of which a message is here, in order.
    pub items: Vec<TallyItem>,
}

/// Messages that were exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExchangedMessages {
    /// The messages, in the order of a hash of their identities.
    pub items: Vec<ExchangedMessage>,
    /// What goes into `after` for the next page. Null on the last one.
    #[schema(required)]
    pub next: Option<String>,
}

/// A message that this relay took in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExchangedMessage {
    /// Its id.
    pub message_id: String,
    /// Its cluster group.
    pub cluster_group_id: String,
    /// Its place in commit order.
    pub sequence: u64,
    /// A hash of its type, key and value.
    #[serde(with = "hexadecimal")]
    #[schema(value_type = String, pattern = "^[0-9a-f]{16}$")]
    pub fingerprint: u64,
    /// Whether it was to be delivered to the peer.
    pub sent: Sent,
    /// Whether it came from the peer.
    pub came: Came,
}

/// Whether a message was to be delivered to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// It was not.
    No,
    /// It was, and the peer has not acknowledged it.
    Unacknowledged,
    /// It was, and the peer has acknowledged it.
    Acknowledged,
}

/// Whether a message came from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Came {
    /// It did.
    FromPeer,
    /// Another peer handed it on, which had it from there.
    ThroughPeer,
    /// It did not.
    Otherwise,
}

impl Slice {
    pub(super) fn add(&mut self, told: &Exchanged<'_>) {
        use slipstream_store::{Came, Sent};
        let one = Tally { count: 1, hash: told.digest() };
        self.held += one;
        match told.sent {
            Sent::No => {}
            Sent::Unacknowledged => self.sent += one,
            Sent::Acknowledged => {
                self.sent += one;
                self.acknowledged += one;
            }
        }
        match told.came {
            Came::Otherwise => {}
            Came::ThroughPeer => self.passed += one,
            Came::FromPeer => {
                self.passed += one;
                self.received += one;
            }
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.hash = self.hash.wrapping_add(other.hash);
    }
}

impl From<&Exchanged<'_>> for ExchangedMessage {
    fn from(told: &Exchanged<'_>) -> Self {
        use slipstream_store::{Came as From, Sent as To};
        Self {
            message_id: told.id.to_owned(),
            cluster_group_id: told.group.to_owned(),
            sequence: told.sequence.get(),
            fingerprint: told.fingerprint.as_u64(),
            sent: match told.sent {
                To::No => Sent::No,
                To::Unacknowledged => Sent::Unacknowledged,
                To::Acknowledged => Sent::Acknowledged,
            },
            came: match told.came {
                From::FromPeer => Came::FromPeer,
                From::ThroughPeer => Came::ThroughPeer,
                From::Otherwise => Came::Otherwise,
            },
        }
    }
}

/// Numbers of 64 bits as 16 hexadecimal digits: many JSON readers have no such numbers.
mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(|_| D::Error::custom("expected 16 hexadecimal digits"))
    }
}
