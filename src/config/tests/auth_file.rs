//! The auth file: what it says, and every fault of it.

use crate::config::auth_file::read;
use crate::config::{MAX_CREDENTIALS, read_credentials};
use crate::listen::{Credential, Proof, TokenHash};

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn credentials(text: &str) -> Vec<Credential> {
    read(text, "auth.toml").expect("no fault")
}

fn told(text: &str) -> Vec<String> {
    read(text, "auth.toml").expect_err("it has a fault").iter().map(ToString::to_string).collect()
}

#[test]
fn what_stands_in_the_file_is_what_is_permitted() {
    let text = format!(
        "[[credential]]\ntoken_sha256 = \"{}\"\nid = \"shop-*\"\n\n[[credential]]\nname = \"the mesh\"\n\
         certificate_subject = \"relay-aws\"\nid = \"relay-aws\"\ntags = [\"aws\", \"team-*\"]\nrelay = true\n\
         may_send = [\"SK\", \"EVENT\"]\nmay_target = [\"orders\"]\n",
        HASH.to_uppercase()
    );
    let [shop, relay] = <[Credential; 2]>::try_from(credentials(&text)).expect("two");
    assert_eq!(shop.proof, Proof::Token(TokenHash::of("abc")), "in either case");
    assert_eq!((shop.id.to_string().as_str(), shop.tags.len(), shop.relay), ("shop-*", 0, false));
    assert_eq!((shop.name, shop.may_send, shop.may_target), (None, None, None));
    assert_eq!((relay.name.as_deref(), relay.relay), (Some("the mesh"), true));
    assert_eq!(relay.proof, Proof::Certificate("relay-aws".into()));
    assert_eq!(relay.tags.iter().map(ToString::to_string).collect::<Vec<_>>(), ["aws", "team-*"]);
    assert_eq!((relay.may_send.map(|types| types.len()), relay.may_target.map(|tags| tags.len())), (Some(2), Some(1)));
}

#[test]
fn every_fault_is_told_at_once_with_its_line_and_without_a_secret() {
    let text = format!(
        "colour = 1\n[[credentials]]\nid = \"a\"\n\n[[credential]]\ntoken = \"hush\"\nid = \"shop 1\"\n\n\
         [[credential]]\ntoken_sha256 = \"hush\"\nmay_sent = [\"SK\"]\n\n# The same hash.\n[[credential]]\n\
         token_sha256 = \"{HASH}\"\nid = \"a\"\n[[credential]]\ntoken_sha256 = \"{HASH}\"\nid = \"b\"\n\n\
         [[credential]]\nid = \"c\"\nrelay = \"yes\"\ntags = [\"a b\"]\nmay_send = [\"sk\"]\nmay_target = \"x\"\n\n\
         [[credential]]\ntoken_sha256 = \"{HASH}\"\ncertificate_subject = \"CN=machine-7\"\nid = \"*\"\nname = \"\"\n"
    );
    let told = told(&text);
    let expected = [
        "auth.toml line 1: there is no such table; expected [[credential]]",
        "auth.toml line 2: there is no such table; expected [[credential]]",
        "auth.toml line 5, credential 1 of 6: token: no token stands in this file; expected its hash",
        "auth.toml line 5, credential 1 of 6: id: expected an id such as",
        "auth.toml line 11, credential 2 of 6: there is no such field; the nearest is may_send",
        "auth.toml line 9, credential 2 of 6: token_sha256: expected 64 hexadecimal digits",
        "auth.toml line 9, credential 2 of 6: id: it is missing",
        "auth.toml line 17, credential 4 of 6: token_sha256: the credential in line 14 has the same",
        "auth.toml line 21, credential 5 of 6: token_sha256: it is missing; expected it, or certificate_subject",
        "auth.toml line 21, credential 5 of 6: tags: number 1: expected tags such as",
        "auth.toml line 21, credential 5 of 6: relay: expected true or false",
        "auth.toml line 21, credential 5 of 6: may_send: number 1: expected a type, an upper-case letter",
        "auth.toml line 21, credential 5 of 6: may_target: expected an array",
        "auth.toml line 28, credential 6 of 6: name: expected a name",
        "auth.toml line 28, credential 6 of 6: certificate_subject: token_sha256 is given too",
        "auth.toml line 28, credential 6 of 6: certificate_subject: expected the bare name, without CN=",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\nand not\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(!told.join("\n").contains("hush") && !told.join("\n").contains(HASH));
}

#[test]
fn a_token_that_stands_in_a_wrong_place_is_not_repeated() {
    let token = "slip_hushhushhushhushhushhushhushhushhushhush1";
    let table = |rest: String| format!("[[credential]]\ntoken_sha256 = \"{HASH}\"\nid = \"a\"\n{rest}\n");
    for (text, expected) in [
        (table(format!("{token} = true")), "line 4, credential 1 of 1: there is no such field; expected one of name, "),
        (table(format!("\"{token} x\" = true")), "line 4, credential 1 of 1: there is no such field"),
        (table(format!("[credential.{token}]\na = 1")), "line 4, credential 1 of 1: there is no such field"),
        (table(format!("[{token}]")), "line 4: there is no such table; expected [[credential]]"),
        (table(format!("[[{token}]]")), "line 4: there is no such table"),
        (format!("{token} = 1\n{}", table(String::new())), "line 1: there is no such table"),
        (table(format!("may_send = [\"SK\", \"{token}\"]")), "may_send: number 2: expected a type, an upper-case"),
        (table(format!("may_send = \"{token}\"")), "may_send: expected an array of up to 64 types"),
        (table(format!("may_target = [\"{token} \"]")), "may_target: number 1: expected 1 to 64 of"),
        (table(format!("may_target = {{{token} = 1}}")), "may_target: expected an array of up to 64 tags"),
        (table(format!("tags = [\"aws\", \"{token}=\"]")), "tags: number 2: expected tags such as"),
        (table(format!("tags = [[\"{token}\"]]")), "tags: number 1: expected tags"),
        (table(format!("relay = \"{token}\"")), "relay: expected true or false"),
        (table(format!("name = [\"{token}\"]")), "name: expected a name"),
        (table(String::new()).replace("\"a\"", &format!("\"{token}=\"")), "id: expected an id such as"),
        (format!("[[credential]]\ncertificate_subject = \"CN={token}\"\nid = \"a\""), "expected the bare name"),
    ] {
        let told = told(&text);
        assert!(told.len() == 1 && told[0].contains(expected), "{told:#?}\nand not\n{expected}");
        assert!(!told[0].contains("hush"), "{told:#?}");
    }
}

#[test]
fn a_field_that_is_no_number_is_not_a_field_left_out() {
    for field in ["may_send", "may_target", "tags", "relay", "name"] {
        for value in ["nan", "-inf", "inf"] {
            let text = format!("[[credential]]\ntoken_sha256 = \"{HASH}\"\nid = \"a\"\n{field} = {value}\n");
            assert_eq!(told(&text).len(), 1, "{field} = {value}");
        }
    }
}

#[test]
fn the_line_of_the_last_of_many_tables_is_found() {
    let table = |number: usize| format!("[[credential]]\ncertificate_subject = \"m{number}\"\nid = \"*\"\n");
    let many: String = (1..MAX_CREDENTIALS).map(table).collect();
    let last = format!("auth.toml line {}, credential {MAX_CREDENTIALS} of {MAX_CREDENTIALS}", 3 * MAX_CREDENTIALS - 2);
    let told = told(&format!("{many}{}", table(1)));
    assert!(told.len() == 1 && told[0].starts_with(&last), "{told:#?}");
}

#[test]
fn a_file_that_lets_nobody_in_or_cannot_be_read_is_a_fault() {
    for text in ["", "# nothing\n", "credential = []\n"] {
        assert!(told(text)[0].contains("expected at least one [[credential]]"), "{text:?}");
    }
    assert!(told("credential = 5\n")[0].contains("expected tables, each under [[credential]]"));
    assert!(told("credential = [5]\n")[0].contains("expected a table"));
    let broken = &told("[[credential]]\ntoken_sha256 = \"hush\" hush\n")[0];
    assert!(broken.contains("auth.toml") && broken.contains("line 2") && !broken.contains("hush"), "{broken}");
    let many: String = (0..=MAX_CREDENTIALS).map(|_| "[[credential]]\n").collect();
    assert_eq!(told(&many), ["auth.toml: got 10001 credentials, expected at most 10000"]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("auth.toml");
    assert!(read_credentials(&path).expect_err("gone").to_string().contains("there is no such file"));
    std::fs::write(&path, format!("\u{feff}[[credential]]\ntoken_sha256 = \"{HASH}\"\nid = \"a\"\n")).expect("written");
    assert_eq!(read_credentials(&path).expect("a byte order mark is no part of a text").len(), 1);
}

#[test]
fn the_example_of_the_documentation_is_no_fault() {
    let page = include_str!("../../../docs/security.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert_eq!(credentials(example).len(), 2);
    for field in ["token_sha256", "certificate_subject", "id", "tags", "relay", "may_send", "may_target", "name"] {
        assert!(example.contains(&format!("{field} = ")) && page.contains(&format!("| `{field}` |")), "{field}");
    }
}
