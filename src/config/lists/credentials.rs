//! One credential, as a `[[credential]]` table of the auth file gives it. No fault repeats anything that stands there: it
//! may be a token in the wrong place.

use std::sync::Arc;

use serde_json::Value;
use slipstream_store::{MessageType, Tag};

use super::entry::{Entry, Fields, Notation, switch};
use crate::config::nearest::{hint, nearest};
use crate::config::value::{MAX_NAME, MAX_TAGS, is_credential_name};
use crate::listen::{Credential, Pattern, Proof, TokenHash};

const FIELDS: [&str; 8] =
    ["name", "token_sha256", "certificate_subject", "id", "tags", "relay", "may_send", "may_target"];

/// The field that people write for a token. It is refused with words of its own.
const TOKEN: &str = "token";

/// Most types that `may_send` names.
const MAX_TYPES: usize = 64;

/// What people write before the name of a certificate, because other programs do.
const KINDS: [&str; 6] = ["CN=", "DNS:", "URI:", "IP:", "email:", "subject="];

/// What is wrong with the name of a field, if anything is.
pub(in crate::config) fn strange(field: &str) -> Option<String> {
    if field == TOKEN || FIELDS.contains(&field) {
        return None;
    }
    let near = nearest(field, FIELDS);
    let known = || format!("; expected one of {}", FIELDS.join(", "));
    Some(format!("there is no such field{}", near.map_or_else(known, |near| hint(Some(near)))))
}

/// Reads one table.
///
/// # Errors
/// All that is wrong with it, but for [`strange`] fields.
pub(in crate::config) fn credential(table: &toml::Table) -> Result<Credential, Vec<String>> {
    let mut table = table.clone();
    let has_token = table.remove(TOKEN).is_some();
    let Some(fields) = Fields::from_table(&table) else {
        return Err(vec!["expected texts, arrays of texts, and true or false".to_owned()]);
    };
    let mut entry = Entry::new(&fields, Notation::Toml);
    if has_token {
        let expected = "expected its hash instead, as token_sha256; `slipstream token` makes both";
        entry.faults.push(format!("token: no token stands in this file; {expected}"));
    }
    match read(&mut entry, has_token) {
        Some(credential) if entry.faults.is_empty() => Ok(credential),
        _ => Err(entry.faults),
    }
}

fn read(entry: &mut Entry<'_>, has_token: bool) -> Option<Credential> {
    let name = entry.field("name", |value| text(value, "a name"));
    let proof = proof(entry, has_token);
    let id = entry.field("id", id);
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
        may_target,
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
        Some(kind) => Err(format!("expected the bare name, without {kind}")),
        None => Ok(subject),
    }
}

fn text(value: &Value, what: &str) -> Result<Arc<str>, String> {
    let text = value.as_str().filter(|text| is_credential_name(text));
    text.map(Into::into).ok_or_else(|| format!("expected {what}, 1 to {MAX_NAME} characters"))
}

fn id(value: &Value) -> Result<Pattern, String> {
    Pattern::id(value.as_str().unwrap_or_default()).map_err(|invalid| invalid.to_string())
}

/// Reads an array of texts, each by itself. What is no text is as wrong as an empty one.
fn each<T>(value: &Value, most: usize, what: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = value.as_array().filter(|items| items.len() <= most);
    let items = items.ok_or_else(|| format!("expected an array of up to {most} {what}"))?;
    let numbered = (1..).zip(items);
    let item = |(number, item): (usize, &Value)| {
        read(item.as_str().unwrap_or_default()).map_err(|expected| format!("number {number}: {expected}"))
    };
    numbered.map(item).collect()
}

fn patterns(value: &Value) -> Result<Vec<Pattern>, String> {
    each(value, MAX_TAGS, "tags", |text| Pattern::tag(text).map_err(|invalid| invalid.to_string()))
}

fn tags(value: &Value) -> Result<Vec<Tag>, String> {
    each(value, MAX_TAGS, "tags", |text| Tag::new(text).map_err(|invalid| format!("expected {}", invalid.expected())))
}

fn types(value: &Value) -> Result<Vec<MessageType>, String> {
    each(value, MAX_TYPES, "types such as `SK`", |text| match text {
        "ACK" | "NACK" => Err("expected types of messages; ACK and NACK are always allowed".to_owned()),
        text => MessageType::new(text).map_err(|invalid| format!("expected a type, {}", invalid.expected())),
    })
}
