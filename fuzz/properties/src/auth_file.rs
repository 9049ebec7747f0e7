//! The file of credentials.

use std::cell::OnceCell;
use std::fs;

use slipstream::config::{Faults, MAX_CREDENTIALS, read_credentials};
use slipstream::listen::{Credential, Pattern, Proof, TokenHash};
use tempfile::TempDir;

use crate::told::{assert_no_secret, assert_short};

/// Longest text of one fault.
const MOST_TOLD: usize = 1_024;

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// Reads a file of credentials.
///
/// - Each table that is taken is one credential, which permits what the table says and no more: a field that is there is
///   never read as if it were not. No two have the same proof.
/// - Credentials that are written as a file anew are read as the same.
/// - A fault is one short line, and repeats nothing that stands in the file.
pub fn auth_file(input: &[u8]) {
    let document: Option<toml::Table> = std::str::from_utf8(input).ok().and_then(|text| {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        text.parse().ok()
    });
    let read = read(input);
    match (&read, document) {
        (Ok(credentials), Some(document)) => {
            permits_what_it_says(credentials, &document);
            let written: String = credentials.iter().map(written).collect();
            assert_eq!(self::read(written.as_bytes()).as_ref(), Ok(credentials), "{written}");
        }
        (Ok(_), None) => assert_eq!(read, Ok(Vec::new()), "what cannot be parsed is taken"),
        (Err(faults), document) => refused(faults, document.as_ref(), input),
    }
}

#[expect(clippy::expect_used, reason = "without a folder nothing can be tried")]
fn read(bytes: &[u8]) -> Result<Vec<Credential>, Faults> {
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| TempDir::new().expect("a folder"));
        let path = folder.path().join("auth.toml");
        fs::write(&path, bytes).expect("a file");
        read_credentials(&path)
    })
}

fn permits_what_it_says(credentials: &[Credential], document: &toml::Table) {
    assert!((1..=MAX_CREDENTIALS).contains(&credentials.len()), "{} credentials", credentials.len());
    let tables = document.get("credential").and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
    assert_eq!(tables.len(), credentials.len());
    for (at, (credential, table)) in credentials.iter().zip(tables).enumerate() {
        let Credential { name, proof, id, tags, relay, may_send, may_target } = credential;
        let text = |field: &str| table.get(field).and_then(toml::Value::as_str);
        let texts = |field: &str| {
            let items = table.get(field)?.as_array()?;
            items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>()
        };
        match proof {
            Proof::Token(hash) => assert_eq!(text("token_sha256").and_then(TokenHash::from_hex).as_ref(), Some(hash)),
            Proof::Certificate(subject) => assert_eq!(text("certificate_subject"), Some(&**subject)),
        }
        assert_eq!(name.as_deref(), text("name"));
        assert_eq!(Some(id.to_string().as_str()), text("id"));
        let tags: Vec<_> = tags.iter().map(Pattern::to_string).collect();
        assert_eq!(tags, texts("tags").unwrap_or_default());
        let is_read = |value: &toml::Value| value.is_str() || value.is_array() || value.is_bool();
        assert!(table.as_table().is_some_and(|table| table.values().all(is_read)), "a field is passed over: {table}");
        assert_eq!(Some(*relay), table.get("relay").map_or(Some(false), toml::Value::as_bool));
        let may_send = may_send.as_ref().map(|types| types.iter().map(AsRef::as_ref).collect());
        assert_eq!((may_send.is_some(), may_send), (table.get("may_send").is_some(), texts("may_send")));
        let may_target = may_target.as_ref().map(|tags| tags.iter().map(AsRef::as_ref).collect());
        assert_eq!((may_target.is_some(), may_target), (table.get("may_target").is_some(), texts("may_target")));
        assert!(!credentials[..at].iter().any(|earlier| earlier.proof == *proof), "two have the same proof");
    }
}

/// The table of a credential.
fn written(credential: &Credential) -> String {
    let Credential { name, proof, id, tags, relay, may_send, may_target } = credential;
    let mut table = toml::Table::new();
    let mut set = |field: &str, value: Option<toml::Value>| value.map(|value| table.insert(field.to_owned(), value));
    let list = |items: Vec<&str>| toml::Value::from(items);
    match proof {
        Proof::Token(hash) => set("token_sha256", Some(hash.to_hex().into())),
        Proof::Certificate(subject) => set("certificate_subject", Some((&**subject).into())),
    };
    set("name", name.as_deref().map(Into::into));
    set("id", Some(id.to_string().into()));
    set("tags", Some(tags.iter().map(Pattern::to_string).collect::<Vec<_>>().into()));
    set("relay", Some((*relay).into()));
    set("may_send", may_send.as_ref().map(|types| list(types.iter().map(AsRef::as_ref).collect())));
    set("may_target", may_target.as_ref().map(|tags| list(tags.iter().map(AsRef::as_ref).collect())));
    format!("[[credential]]\n{table}\n")
}

fn refused(faults: &Faults, document: Option<&toml::Table>, input: &[u8]) {
    let mut told = String::new();
    for fault in faults.iter() {
        let fault = fault.to_string();
        assert_short(&fault, MOST_TOLD);
        told += &fault;
    }
    let Some(document) = document else {
        let text = String::from_utf8_lossy(input);
        return assert_no_secret(&told, text.split(|character: char| !character.is_ascii_alphanumeric()), "");
    };
    let mut texts = Vec::new();
    document.iter().for_each(|(name, value)| collect(name, value, &mut texts));
    assert_no_secret(&told, texts, "");
}

/// All texts of a value, which has this name.
fn collect<'a>(name: &'a str, value: &'a toml::Value, texts: &mut Vec<&'a str>) {
    texts.push(name);
    match value {
        toml::Value::String(text) => texts.push(text),
        toml::Value::Array(items) => items.iter().for_each(|item| collect(name, item, texts)),
        toml::Value::Table(table) => table.iter().for_each(|(name, value)| collect(name, value, texts)),
        _ => {}
    }
}
