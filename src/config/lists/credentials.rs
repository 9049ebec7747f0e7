//! One credential, as a `[[credential]]` table of the auth file gives it. No fault repeats a token or a hash.

use std::sync::Arc;

use serde_json::Value;
use slipstream_store::MessageType;

use super::entry::{Entry, Fields, Notation, shortened, switch, tags};
use crate::config::value::{MAX_NAME, MAX_TAGS, is_credential_name};
use crate::listen::{Credential, Pattern, Proof, TokenHash};

const FIELDS: [&str; 8] = ["name", "tokenSha256", "certificateSubject", "id", "tags", "relay", "maySend", "mayTarget"];

/// Most types that `may_send` names.
const MAX_TYPES: usize = 64;

/// What people write before the name of a certificate, because other programs do.
const KINDS: [&str; 6] = ["CN=", "DNS:", "URI:", "IP:", "email:", "subject="];

/// Reads one table.
///
/// # Errors
/// All that is wrong with it.
pub(in crate::config) fn credential(table: &toml::Table) -> Result<Credential, Vec<String>> {
    let mut table = table.clone();
    let has_token = table.remove("token").is_some();
    let Some(fields) = Fields::from_table(&table) else {
        return Err(vec!["expected texts, arrays of texts, and true or false".to_owned()]);
    };
    let mut entry = Entry::new(&fields, Notation::Toml);
    if has_token {
        let expected = "expected its hash instead, as token_sha256; `slipstream token` makes both";
        entry.faults.push(format!("token: no token stands in this file; {expected}"));
    }
    entry.refuse_strangers(&FIELDS);
    let read = read(&mut entry, has_token);
    match read {
        Some(credential) if entry.faults.is_empty() => Ok(credential),
        _ => Err(entry.faults),
    }
}

fn read(entry: &mut Entry<'_>, has_token: bool) -> Option<Credential> {
    let name = entry.field("name", |value| text(value, "a name"));
    let proof = proof(entry, has_token);
    let id = entry.field("id", |value| pattern(value, Pattern::id));
    if !entry.has("id") {
        entry.faults.push(
            "id: it is missing; expected the id of the peer, the beginning of ids and a `*`, or `*` for every id"
                .to_owned(),
        );
    }
    let carried = entry.field("tags", patterns);
    let relay = entry.field("relay", switch);
    let may_send = entry.field("maySend", types);
    let may_target = entry.field("mayTarget", tags);
    Some(Credential {
        name,
        proof: proof?,
        id: id?,
        tags: carried.unwrap_or_default(),
        relay: relay.unwrap_or_default(),
        may_send,
        may_target: may_target.map(|tags| tags.to_vec()),
    })
}

fn proof(entry: &mut Entry<'_>, has_token: bool) -> Option<Proof> {
    match (entry.has("tokenSha256"), entry.has("certificateSubject")) {
        (true, true) => {
            let problem = "certificate_subject: token_sha256 is given too; expected only one of the two";
            entry.faults.push(problem.to_owned());
        }
        (false, false) if !has_token => {
            let problem = "token_sha256: it is missing; expected it, or certificate_subject";
            entry.faults.push(problem.to_owned());
        }
        _ => {}
    }
    let token = entry.field("tokenSha256", hash).map(Proof::Token);
    token.or(entry.field("certificateSubject", subject).map(Proof::Certificate))
}

/// The message never has the value, which may be the token itself.
fn hash(value: &Value) -> Result<TokenHash, String> {
    value.as_str().and_then(TokenHash::from_hex).ok_or_else(|| {
        "expected 64 hexadecimal digits, the SHA-256 of the token; `slipstream token` makes both".to_owned()
    })
}

fn subject(value: &Value) -> Result<Arc<str>, String> {
    let subject = text(value, "the name of a certificate, such as `machine-7`")?;
    match KINDS.iter().find(|kind| subject.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind))) {
        Some(kind) => Err(format!("got {}, expected the bare name, without {kind}", shortened(value))),
        None => Ok(subject),
    }
}

fn text(value: &Value, what: &str) -> Result<Arc<str>, String> {
    match value.as_str().filter(|text| is_credential_name(text)) {
        Some(text) => Ok(text.into()),
        None => Err(format!("got {}, expected {what}, 1 to {MAX_NAME} characters", shortened(value))),
    }
}

fn pattern<E: ToString>(value: &Value, read: fn(&str) -> Result<Pattern, E>) -> Result<Pattern, String> {
    let read = read(value.as_str().unwrap_or_default());
    read.map_err(|error| format!("got {}, {}", shortened(value), error.to_string()))
}

fn patterns(value: &Value) -> Result<Vec<Pattern>, String> {
    match value.as_array() {
        Some(items) if items.len() <= MAX_TAGS => items.iter().map(|item| pattern(item, Pattern::tag)).collect(),
        _ => Err(format!("got {}, expected an array of up to {MAX_TAGS} tags", shortened(value))),
    }
}

fn types(value: &Value) -> Result<Vec<MessageType>, String> {
    let got = |expected: &str| format!("got {}, expected {expected}", shortened(value));
    let items = value.as_array().filter(|items| items.len() <= MAX_TYPES);
    let items = items.ok_or_else(|| got(&format!("an array of up to {MAX_TYPES} types such as `SK`")))?;
    let read = |item: &Value| match item.as_str() {
        Some("ACK" | "NACK") => Err(got("types of messages; ACK and NACK are always allowed")),
        Some(text) => MessageType::new(text).map_err(|invalid| got(&format!("types, each {}", invalid.expected()))),
        None => Err(got("an array of texts")),
    };
    items.iter().map(read).collect()
}
