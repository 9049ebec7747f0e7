//! The texts of a load: messages made by changing a few bytes of one, and a cheap look at what comes. Pure.
//!
//! A relay and a load that share a machine share its processors. So what the load does for each message is kept far
//! below what the relay does: no JSON is read or written for the texts that come by the thousand.

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::id::{self, LEN, Mark, Run};

/// What the value of a message is filled with.
const FILLING: &[u8] = b"the-quick-brown-fox-jumps-over-the-lazy-dog.";

/// Digits of the number in a key.
const KEY_NUMBER: usize = 7;

/// The messages of one publisher: one text, of which each message changes the key and the id.
#[derive(Debug)]
pub(crate) struct Template {
    text: Vec<u8>,
    key_at: usize,
    id_at: usize,
    publisher: u16,
    keys: Option<u64>,
}

impl Template {
    /// Messages whose value takes `payload` bytes with its quotes (at least 2), for the peers with the tag of the run.
    /// Their keys go round `keys` of them, or are all different.
    pub(crate) fn new(run: Run, publisher: u16, payload: usize, keys: Option<u64>) -> Self {
        let mut text = Vec::with_capacity(payload + 160);
        text.extend_from_slice(b"{\"type\":\"SK\",\"key\":\"bench:");
        let mut number = [0; 2];
        id::write_number(&mut number, u64::from(publisher));
        text.extend_from_slice(&number);
        text.push(b':');
        let key_at = text.len();
        text.extend_from_slice(&[b'0'; KEY_NUMBER]);
        text.extend_from_slice(b"\",\"value\":\"");
        text.extend(FILLING.iter().cycle().take(payload.saturating_sub(2)));
        text.extend_from_slice(b"\",\"messageId\":\"");
        let id_at = text.len();
        let mut id = [0; LEN];
        Mark { publisher, number: 0, intended: 0 }.write(&mut id, run);
        text.extend_from_slice(&id);
        text.extend_from_slice(b"\",\"targetedTags\":[\"");
        text.extend_from_slice(tag(run).as_bytes());
        text.extend_from_slice(b"\"]}");
        Self { text, key_at, id_at, publisher, keys }
    }

    /// The text of a message.
    pub(crate) fn message(&mut self, number: u64, intended: u64) -> &[u8] {
        let key = self.keys.map_or(number, |keys| number % keys);
        id::write_number(&mut self.text[self.key_at..][..KEY_NUMBER], key);
        if let Some((id, _)) = self.text[self.id_at..].split_first_chunk_mut::<LEN>() {
            Mark { publisher: self.publisher, number, intended }.write_rest(id);
        }
        &self.text
    }

    /// How long each text is.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }
}

/// The tag of the peers that a run's messages are for. No other peer has it.
pub(crate) fn tag(run: Run) -> String {
    format!("bench-{run}")
}

/// A text that came over a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// An ACK. [`Scanner::confirmed`] reads its ids.
    Confirm,
    /// A message of this run.
    Delivery(Mark, [u8; LEN]),
    /// A NACK: the number of the message, where it is one of the run's, and why.
    Refusal(Option<Mark>, String),
    /// A message of someone else, with its id as it stands in JSON.
    Foreign(String),
    /// Nothing that a relay sends.
    Unknown,
}

/// Finds ids of one run in texts.
#[derive(Debug)]
pub(crate) struct Scanner {
    message_id: Finder<'static>,
    id: Finder<'static>,
}

/// What is read of the texts that come seldom.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seldom<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    code: Option<String>,
    reason: Option<String>,
}

impl Scanner {
    pub(crate) fn new(run: Run) -> Self {
        let finder = |before: &str| Finder::new(&format!("{before}\"{run}")).into_owned();
        Self { message_id: finder("\"messageId\":"), id: finder("") }
    }

    /// What a text is.
    pub(crate) fn read(&self, text: &[u8]) -> Text {
        if text.starts_with(b"{\"type\":\"ACK\"") {
            return Text::Confirm;
        }
        if !text.starts_with(b"{\"type\":\"NACK\"")
            && let Some(at) = self.message_id.find(text)
            && let Some((mark, id)) = id_at(text, at + self.message_id.needle().len() - RUN_LEN)
        {
            return Text::Delivery(mark, id);
        }
        self.read_seldom(text)
    }

    fn read_seldom(&self, text: &[u8]) -> Text {
        let Ok(read) = serde_json::from_slice::<Seldom<'_>>(text) else { return Text::Unknown };
        let id = read.message_id.map(RawValue::get);
        match (read.r#type, id) {
            ("ACK", _) => Text::Confirm,
            ("NACK", id) => {
                let parts = [read.code, read.reason].into_iter().flatten().collect::<Vec<_>>();
                Text::Refusal(id.and_then(|id| self.confirmed(id.as_bytes()).next()), parts.join(": "))
            }
            (_, Some(id)) => Text::Foreign(id.to_owned()),
            (_, None) => Text::Unknown,
        }
    }

    /// The run's ids in an ACK, batched or not.
    pub(crate) fn confirmed<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Mark> + 'a {
        self.id.find_iter(text).filter_map(|at| Some(id_at(text, at + 1)?.0))
    }
}

/// How much of an id is part of what is searched for.
const RUN_LEN: usize = 8;

fn id_at(text: &[u8], at: usize) -> Option<(Mark, [u8; LEN])> {
    let (id, rest) = text.get(at..)?.split_first_chunk::<LEN>()?;
    rest.starts_with(b"\"").then_some((Mark::read(id)?, *id))
}

/// Writes the ACK of these messages.
pub(crate) fn write_ack(out: &mut Vec<u8>, ids: &[[u8; LEN]]) {
    match ids {
        [id] => {
            out.extend_from_slice(b"{\"type\":\"ACK\",\"messageId\":\"");
            out.extend_from_slice(id);
            out.extend_from_slice(b"\"}");
        }
        ids => {
            out.extend_from_slice(b"{\"type\":\"ACK\",\"messageIds\":[");
            for (index, id) in ids.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
                out.extend_from_slice(id);
                out.push(b'"');
            }
            out.extend_from_slice(b"]}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use slipstream_relay::protocol::{self, DEFAULT_MAX_DEPTH, Incoming, Sender};
    use slipstream_store::{ClusterGroup, Identity, MessageId, PeerId, PeerKind};
    use ulid::Ulid;

    use super::*;

    fn run() -> Run {
        Run::new(Ulid(0x0A0B_0C0D_0E0F_1011))
    }

    fn sender() -> Sender {
        Sender { id: PeerId::new("app").expect("valid"), group: ClusterGroup::singleton(), kind: PeerKind::Application }
    }

    /// The text of a message as a relay sends it on.
    fn relayed(text: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(text).expect("UTF-8");
        let relay = PeerId::new("relay").expect("valid");
        match protocol::decode(text, &sender(), DEFAULT_MAX_DEPTH, || Ulid(7)) {
            Ok(Incoming::Message(envelope)) => {
                let path = envelope.outgoing_path(&sender().id, &relay);
                envelope.encode(&sender().id, &path, None).to_vec()
            }
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn each_message_has_its_key_its_id_and_the_payload_that_was_asked_for() {
        for payload in [2, 3, 256, 70_000] {
            let mut template = Template::new(run(), 33, payload, None);
            let text = template.message(40, 99).to_vec();
            assert_eq!(text.len(), template.len());
            let json: Value = serde_json::from_slice(&text).expect("JSON");
            assert_eq!(json["value"].to_string().len(), payload);
            assert_eq!((&json["type"], &json["key"]), (&json!("SK"), &json!("bench:11:0000018")));
            assert_eq!(json["targetedTags"], json!([tag(run())]));
            let id = json["messageId"].as_str().expect("a string");
            assert!(id.starts_with(run().as_str()) && id.len() == LEN, "{id}");
        }
        let mut round = Template::new(run(), 0, 2, Some(3));
        let mut key = |number| serde_json::from_slice::<Value>(round.message(number, 0)).expect("JSON")["key"].clone();
        assert_eq!((key(4), key(5)), (json!("bench:00:0000001"), json!("bench:00:0000002")));
        assert_eq!(key(1), key(4));
    }

    #[test]
    fn what_a_relay_sends_on_is_recognized_by_its_id() {
        let scanner = Scanner::new(run());
        let mut template = Template::new(run(), 1023, 300, None);
        let text = relayed(template.message(1 << 30, 123_456_789));
        let Text::Delivery(mark, id) = scanner.read(&text) else { panic!("it is no delivery") };
        assert_eq!(mark, Mark { publisher: 1023, number: 1 << 30, intended: 123_456_789 });
        let json: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(json["messageId"].as_str().expect("a string").as_bytes(), id);
    }

    #[test]
    fn acks_of_a_relay_are_read_one_by_one_and_in_batches() {
        let scanner = Scanner::new(run());
        let relay = PeerId::new("relay").expect("valid");
        let marks = [5, 6, 9].map(|number| Mark { publisher: 2, number, intended: number * 10 });
        let ids = marks.map(|mark| {
            let mut id = [0; LEN];
            mark.write(&mut id, run());
            MessageId::new(std::str::from_utf8(&id).expect("ASCII")).expect("an id")
        });
        let mut text = Vec::new();
        protocol::write_ack_batch(&mut text, &relay, &ClusterGroup::singleton(), &ids);
        assert_eq!(scanner.read(&text), Text::Confirm);
        assert_eq!(scanner.confirmed(&text).collect::<Vec<_>>(), marks);
        text.clear();
        let identity = Identity { group: ClusterGroup::singleton(), id: ids[1].clone() };
        protocol::write_ack(&mut text, &relay, &identity, usize::MAX);
        assert_eq!(scanner.confirmed(&text).collect::<Vec<_>>(), [marks[1]]);
    }

    #[test]
    fn a_refusal_tells_which_message_and_why() {
        let scanner = Scanner::new(run());
        let mark = Mark { publisher: 0, number: 3, intended: 1 };
        let mut id = [0; LEN];
        mark.write(&mut id, run());
        let id = std::str::from_utf8(&id).expect("ASCII");
        let text = format!(r#"{{"type":"NACK","messageId":"{id}","code":"not_allowed","reason":"no \"SK\""}}"#);
        assert_eq!(scanner.read(text.as_bytes()), Text::Refusal(Some(mark), "not_allowed: no \"SK\"".to_owned()));
        let unread = br#"{"type":"NACK","messageId":null,"code":"invalid_json","reason":"x"}"#;
        assert_eq!(scanner.read(unread), Text::Refusal(None, "invalid_json: x".to_owned()));
    }

    #[test]
    fn what_belongs_to_others_is_told_apart() {
        let scanner = Scanner::new(run());
        let foreign = |id: &str| Text::Foreign(id.to_owned());
        assert_eq!(scanner.read(br#"{"type":"SK","key":"k","value":1,"messageId":"a\"b"}"#), foreign(r#""a\"b""#));
        let other = Template::new(Run::new(Ulid(1)), 0, 10, None).message(0, 0).to_vec();
        assert!(matches!(scanner.read(&other), Text::Foreign(_)));
        for unknown in [&b"[]"[..], b"{}", b"", br#"{"type":"SK"}"#] {
            assert_eq!(scanner.read(unknown), Text::Unknown);
        }
    }

    #[test]
    fn a_relay_reads_the_acks() {
        let ids: Vec<[u8; LEN]> = (0..3)
            .map(|number| {
                let mut id = [0; LEN];
                Mark { publisher: 1, number, intended: 2 }.write(&mut id, run());
                id
            })
            .collect();
        for count in 1..=3 {
            let mut text = Vec::new();
            write_ack(&mut text, &ids[..count]);
            match protocol::decode(std::str::from_utf8(&text).expect("UTF-8"), &sender(), DEFAULT_MAX_DEPTH, || Ulid(1))
            {
                Ok(Incoming::Ack(ack)) => {
                    assert_eq!(ack.ids().iter().map(|id| id.as_str().as_bytes()).collect::<Vec<_>>(), ids[..count]);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
