//! From a dead letter that was exported to the operation that puts it into the store.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use slipstream_store::{
    DeadLetterReason, Identity, Key, MessageType, Operation, PeerId, Record, Route, Sequence, Timestamp,
};

use crate::protocol::{self, Nack};

/// Longest reason of a dead letter that is imported, in bytes: what a peer may say, and what it is stored with.
const MAX_REASON: usize = Nack::MAX_REASON + "rejected: ".len();

/// A dead letter that was exported, by this relay or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedDeadLetter {
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
    /// When it was given up. A time that is yet to come counts as now.
    pub dead_at: Timestamp,
    /// The outgoing text.
    pub text: Bytes,
}

/// What came of importing a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// It is there now, under this sequence.
    Imported(Sequence),
    /// The peer has a dead letter of that message with that very text already.
    Skipped,
    /// It is none that a relay exported, for the reason that this says.
    Refused(String),
}

/// What an imported message keeps to.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImportLimits {
    /// Longest text, in bytes.
    pub(super) max_bytes: usize,
    /// Most levels of objects and arrays in it, itself counted.
    pub(super) max_depth: NonZeroUsize,
}

impl ExportedDeadLetter {
    /// The operation that imports it at this time.
    ///
    /// # Errors
    /// In words, if it is none that a relay exported.
    pub(super) fn operation(self, limits: ImportLimits, now: Timestamp) -> Result<Operation, String> {
        let ImportLimits { max_bytes, max_depth } = limits;
        if self.text.len() > max_bytes {
            return Err(format!("message: expected at most {max_bytes} bytes, got {}", self.text.len()));
        }
        let reason = self.reason.to_string();
        if reason.len() > MAX_REASON {
            return Err(format!("reason: expected at most {MAX_REASON} bytes, got {}", reason.len()));
        }
        let text = std::str::from_utf8(&self.text).map_err(|_| "message: expected UTF-8".to_owned())?;
        let message = protocol::decode_outgoing(text, max_depth).map_err(|refusal| format!("message: {refusal}"))?;
        let Identity { group, id } = message.identity();
        agree("messageId", &self.identity.id, id)?;
        agree("clusterGroupId", &self.identity.group, group)?;
        agree("type", &self.message_type, message.message_type())?;
        if self.key.as_ref() != message.key() {
            return Err("key: expected that of the message, got another".to_owned());
        }
        // The last hop is the relay that sent it.
        let [.., received_from, _] = message.path() else {
            return Err("message: messagePath: expected two hops or more, as a relay writes them".to_owned());
        };
        let route = Route {
            received_from: received_from.clone(),
            path: message.path().into(),
            recipients: Box::new([self.peer.clone()]),
        };
        let record = Record {
            fingerprint: message.fingerprint(),
            expires_at: message.expires_at(),
            received_at: now,
            stamp: message.stamp(),
            epoch: message.stamp().map(|stamp| stamp.epoch),
            route: Arc::new(route),
            identity: self.identity,
            message_type: self.message_type,
            key: self.key,
            text: self.text.clone(),
        };
        let Self { peer, reason, attempts, dead_at, .. } = self;
        Ok(Operation::ImportDeadLetter { peer, message: Box::new(record), reason, attempts, dead_at: dead_at.min(now) })
    }
}

/// That what is said of a message is what it says itself.
fn agree<T: PartialEq + std::fmt::Display>(what: &str, said: &T, is: &T) -> Result<(), String> {
    if said == is { Ok(()) } else { Err(format!("{what}: expected {is} as in the message, got {said}")) }
}

#[cfg(test)]
mod tests {
    use slipstream_store::ClusterGroup;

    use super::*;

    const TEXT: &str = r#"{"type":"SK","key":"k","value":1,"messageId":"m","sourceInstanceId":"shop","messagePath":["shop","here"],"clusterGroupId":"g"}"#;

    fn exported(text: &str) -> ExportedDeadLetter {
        ExportedDeadLetter {
            peer: PeerId::new("app").unwrap(),
            identity: Identity { group: ClusterGroup::new("g").unwrap(), id: "m".parse().unwrap() },
            message_type: MessageType::new("SK").unwrap(),
            key: Some(Key::new("k").unwrap()),
            reason: DeadLetterReason::Poison,
            attempts: 3,
            dead_at: Timestamp::from_millis(9),
            text: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    fn operation(exported: ExportedDeadLetter) -> Result<Operation, String> {
        let limits = ImportLimits { max_bytes: 300, max_depth: protocol::DEFAULT_MAX_DEPTH };
        exported.operation(limits, Timestamp::from_millis(50))
    }

    #[test]
    fn what_was_exported_is_imported_as_it_was() {
        let imported = operation(exported(TEXT)).unwrap();
        let Operation::ImportDeadLetter { peer, message, reason, attempts, dead_at } = imported else {
            panic!("{imported:?}")
        };
        assert_eq!((peer.as_str(), reason, attempts, dead_at.as_millis()), ("app", DeadLetterReason::Poison, 3, 9));
        assert_eq!((message.text.as_ref(), message.received_at.as_millis()), (TEXT.as_bytes(), 50));
        assert_eq!((message.route.received_from.as_str(), message.route.path.len()), ("shop", 2));
        let ahead = ExportedDeadLetter { dead_at: Timestamp::from_millis(51), ..exported(TEXT) };
        let Ok(Operation::ImportDeadLetter { dead_at, .. }) = operation(ahead) else { panic!("it is imported") };
        assert_eq!(dead_at.as_millis(), 50, "what is yet to come counts as now");
        let hops = |count: usize| TEXT.replace(r#""shop","here""#, &vec![r#""h""#; count].join(","));
        assert!(operation(exported(&hops(66))).is_err(), "it is too long");
        let limits = ImportLimits { max_bytes: 1_000, max_depth: protocol::DEFAULT_MAX_DEPTH };
        assert!(exported(&hops(66)).operation(limits, Timestamp::default()).is_ok(), "no relay would take so many");
        assert!(exported(&hops(67)).operation(limits, Timestamp::default()).is_err());
    }

    #[test]
    fn what_no_relay_exported_is_refused_in_words() {
        let text = |from: &str, to: &str| {
            assert!(TEXT.contains(from), "{from}");
            exported(&TEXT.replacen(from, to, 1))
        };
        let padded = format!("{TEXT}{}", " ".repeat(300));
        for (letter, told) in [
            (exported("no JSON"), "message: invalid_json"),
            (exported(&padded), "message: expected at most 300 bytes, got"),
            (text(r#","messageId":"m""#, ""), "messageId: expected a message as a relay sends it"),
            (text(r#","messagePath":["shop","here"]"#, ""), "messagePath: expected a message as a relay sends it"),
            (text(r#","clusterGroupId":"g""#, ""), "clusterGroupId: expected a message as a relay sends it"),
            (text(r#""shop","here""#, r#""here""#), "messagePath: expected two hops"),
            (text(r#""type":"SK""#, r#""type":"ACK""#), "type: expected that of a message, got ACK"),
            (text(r#""type":"SK""#, r#""type":"CMD""#), "type: expected CMD as in the message, got SK"),
            (text(r#""messageId":"m""#, r#""messageId":"n""#), "messageId: expected n as in the message, got m"),
            (text(r#""clusterGroupId":"g""#, r#""clusterGroupId":"h""#), "clusterGroupId: expected h"),
            (text(r#""key":"k""#, r#""key":"l""#), "key: expected that of the message"),
            (text(r#""value":1,"#, ""), "value: required for SK"),
            (
                ExportedDeadLetter { reason: DeadLetterReason::rejected("x".repeat(1_025)), ..exported(TEXT) },
                "reason: expected at most 1034 bytes, got 1035",
            ),
        ] {
            let refusal = operation(letter).unwrap_err();
            assert!(refusal.contains(told), "{told}: {refusal}");
        }
    }
}
