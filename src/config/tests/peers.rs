//! The peers to dial, from `URL_CONFIG` and from the file.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use slipstream_store::{ClusterGroup, Tag};

use super::{environment, faults, load};
use crate::config::lists::list::ListFault;
use crate::config::lists::{MAX_PEERS, PEERS};
use crate::config::table::URL_CONFIG;
use crate::config::{Config, Origin, encode_peers};
use crate::dial::DialledPeer;
use crate::link::{Secret, Target};

fn in_text(text: &str) -> Result<Vec<DialledPeer>, Vec<ListFault>> {
    PEERS.in_text(text)
}

const FULL: &str = r#"[{"url": "ws://Relay-B.example:7171/mesh?x=y", "id": "azure-1", "tags": ["azure", "prod"],
    "clusterGroupId": "g", "coalesce": true, "token": "s3cret", "rejectUnauthorized": true},
    {"url": "ws://127.0.0.1:9001", "id": null, "tags": []}]"#;

fn full() -> Vec<DialledPeer> {
    let plain = |url: &str, alias: &str| DialledPeer {
        target: Target::parse(url).unwrap(),
        alias: alias.parse().unwrap(),
        tags: None,
        group: None,
        coalesce: false,
        token: None,
    };
    let first = DialledPeer {
        tags: Some(["azure", "prod"].map(|tag| Tag::new(tag).unwrap()).into()),
        group: Some(ClusterGroup::new("g").unwrap()),
        coalesce: true,
        token: Some(Secret::new("s3cret".to_owned())),
        ..plain("ws://Relay-B.example:7171/mesh?x=y", "azure-1")
    };
    vec![first, plain("ws://127.0.0.1:9001", "127.0.0.1:9001")]
}

fn told(json: &str) -> Vec<String> {
    faults(environment(&[("URL_CONFIG", json)]))
}

#[test]
fn peers_are_read_from_json_and_from_each_kind_of_base64() {
    // The bytes of the name make both alphabets differ.
    let odd = FULL.replace("s3cret", "~~~???>>>") + " ";
    assert!(STANDARD.encode(&odd).contains(['+', '/']) && STANDARD.encode(&odd).ends_with('='));
    let expected = in_text(&odd).expect("no fault");
    for text in [STANDARD.encode(&odd), URL_SAFE.encode(&odd), URL_SAFE_NO_PAD.encode(&odd)] {
        let (one, two) = text.split_at(61);
        assert_eq!(in_text(&text).as_ref(), Ok(&expected));
        assert_eq!(in_text(&format!("  {one}\n\t{two}\r\n")).as_ref(), Ok(&expected));
    }
    let config = environment(&[("URL_CONFIG", FULL)]).expect("no fault");
    assert_eq!((config.origin(&URL_CONFIG), config.peers), (Origin::Environment, full()));
    assert_eq!(environment(&[("URL_CONFIG", " [ ] ")]).expect("no peers are no fault").peers, []);
}

#[test]
fn the_file_has_the_same_peers_in_snake_case_tables_and_a_stronger_source_replaces_them_all() {
    let file = r#"window = 7
        [[peer]]
        url = "ws://Relay-B.example:7171/mesh?x=y"
        id = "azure-1"
        tags = ["azure", "prod"]
        cluster_group_id = "g"
        coalesce = true
        token = "s3cret"
        reject_unauthorized = true
        [[peer]]
        url = "ws://127.0.0.1:9001""#;
    let config = load(&[], &[], Some(file)).expect("no fault");
    assert_eq!((config.origin(&URL_CONFIG), config.peers), (Origin::File, full()));
    let (one, other) = (r#"[{"url":"ws://one"}]"#, r#"[{"url":"ws://other"}]"#);
    let aliases = |config: Config| config.peers.iter().map(|peer| peer.alias.to_string()).collect::<Vec<_>>();
    assert_eq!(aliases(load(&[], &[("URL_CONFIG", one)], Some(file)).expect("no fault")), ["one:80"]);
    assert_eq!(
        aliases(load(&[("url_config", other)], &[("URL_CONFIG", one)], Some(file)).expect("no fault")),
        ["other:80"]
    );
    assert_eq!(aliases(load(&[], &[], Some("url_config = '[{\"url\":\"ws://one\"}]'")).expect("no fault")), ["one:80"]);
}

#[test]
fn without_an_id_the_id_follows_from_the_url() {
    for (url, id) in [
        ("ws://Host", "host:80"),
        ("ws://host:7171/", "host:7171"),
        ("ws://host/?token=x", "host:80"),
        ("ws://host:1/a/b%20c?x=y", "host:1_a_b_20c"),
        ("ws://[::1]:7171/A", "_::1_:7171_A"),
    ] {
        let peers = in_text(&format!(r#"[{{"url":"{url}"}}]"#)).expect(url);
        assert_eq!(peers[0].alias.as_str(), id, "{url}");
    }
    let long = format!(r#"[{{"url":"ws://host/{}"}}]"#, "a".repeat(128));
    assert_eq!(
        told(&long),
        ["URL_CONFIG (environment) entry 1 of 1 (host): id: the one that follows from the url is too long; give one"]
    );
}

#[test]
fn a_fault_is_one_short_line_however_long_the_names_are() {
    let host = "h".repeat(5_000);
    let told = told(&format!(r#"[{{"url":"ftp://{host}/"}},{{"url":"ws://a","{host}\n":1}}]"#));
    let expected = format!("URL_CONFIG (environment) entry 1 of 2 ({}…): url: expected", "h".repeat(64));
    assert!(told[0].starts_with(&expected), "{told:?}");
    assert!(told[1].ends_with("there is no such field"), "{told:?}");
    let file = format!("\"a\\n{host}\" = 5\n");
    let told = faults(load(&[], &[], Some(&file)));
    let expected = format!("a {}… in slipstream.toml: there is no such setting", "h".repeat(62));
    assert_eq!(told, [expected]);
}

#[test]
fn every_fault_of_every_entry_is_told_and_no_secret() {
    let json = r#"[
        {"url": "ws://user:hush@one.example/", "token": "hu sh", "colaesce": true, "id": "a b"},
        {"id": "x", "tags": ["a", ""], "clusterGroupId": 5, "coalesce": "yes", "url": null},
        {"url": "wss://three.example/?key=hush", "ca": 7, "cert": " ", "key": "hushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhushhush"},
        "hush",
        {"url": "ws://five.example:0/hush", "rejectUnauthorized": false, "token": "", "id": "five"},
        {"url": "ws://six.example/", "id": "five", "id": "six", "token": 7},
        {"url": "hush"}]"#;
    let entry = |number, rest: &str| format!("URL_CONFIG (environment) entry {number} of 7{rest}");
    let id = "1 to 128 of A-Z a-z 0-9 . _ : -";
    let token = "token: expected 1 to 4096 of the ASCII characters ! to ~";
    let pem = "expected PEM text (-----BEGIN …), or the path of a file";
    let expected = [
        entry(1, " (one.example): \"colaesce\": there is no such field; the nearest is coalesce"),
        entry(1, " (one.example): url: expected no user name in the URL: a credential is a token"),
        entry(1, &format!(" (one.example): id: got \"a b\", expected {id}")),
        entry(1, &format!(" (one.example): {token}")),
        entry(2, ": url: it is missing; expected a URL like ws://host:7171/"),
        entry(2, ": tags: got [\"a\",\"\"], expected an array of up to 64 tags, each 1 to 64 of A-Z a-z 0-9 . _ : -"),
        entry(2, ": clusterGroupId: got 5, expected a text"),
        entry(2, ": coalesce: got \"yes\", expected true or false"),
        entry(3, &format!(" (three.example): ca: {pem}")),
        entry(3, &format!(" (three.example): cert: {pem}")),
        entry(3, &format!(" (three.example): key: {pem}")),
        entry(4, ": expected an object"),
        entry(5, " (five.example): url: expected a port from 1 to 65535"),
        entry(5, &format!(" (five.example): {token}")),
        entry(6, " (six.example): id: it stands twice"),
        entry(6, &format!(" (six.example): {token}")),
        entry(6, " (six.example): its id five is that of entry 5 too; give one of them another id"),
        entry(7, ": url: expected a URL that begins with ws:// or wss://"),
    ];
    assert_eq!(told(json), expected);
}

#[test]
fn in_the_file_fields_are_named_as_the_file_has_them() {
    let file = "[[peer]]\nurl = \"ws://host\"\nclusterGroupId = \"g\"\ncluster_group_id = \"a b\"\n";
    let place = "URL_CONFIG ([[peer]] in slipstream.toml) entry 1 of 1 (host): ";
    assert_eq!(
        faults(load(&[], &[], Some(file))),
        [
            format!("{place}\"clusterGroupId\": there is no such field; the nearest is cluster_group_id"),
            format!("{place}cluster_group_id: got \"a b\", expected 1 to 128 of A-Z a-z 0-9 . _ : -"),
        ]
    );
    for (file, expected) in [
        ("peer = 5", "([[peer]] in slipstream.toml): expected tables, each under [[peer]]"),
        ("peer = [5]", "([[peer]] in slipstream.toml) entry 1 of 1: expected an object"),
        (
            "url_config = [\"hush\"]",
            "(url_config in slipstream.toml): expected a text; peers as tables stand under [[peer]]",
        ),
        (
            "url_config = \"[]\"\n[[peer]]\nurl = \"ws://a\"",
            "[[peer]] in slipstream.toml: expected only one of the two: the file has url_config too",
        ),
    ] {
        let told = faults(load(&[], &[], Some(file)));
        assert!(told.len() == 1 && told[0].ends_with(expected), "{told:?}");
    }
}

#[test]
fn what_is_no_list_of_peers_is_one_fault_without_its_text() {
    for (text, expected) in [
        ("hush!", "expected a JSON array of peers, or its base64"),
        ("aHVzaA==", "expected a JSON array of peers"),
        ("/w==", "expected a JSON array of peers, or its base64"),
        (r#"{"url":"hush"}"#, "expected a JSON array of peers"),
        (r#"[{"url":"hush"#, "expected a JSON array of peers: EOF while parsing a string at line 1 column 13"),
        (r#"[{"url":"hush"},]"#, "expected a JSON array of peers: trailing comma at line 1 column 17"),
    ] {
        assert_eq!(told(text), [format!("URL_CONFIG (environment): {expected}")], "{text}");
    }
    let many = |count| format!("[{}]", vec![r#"{"url":"ws://host"}"#; count].join(","));
    assert_eq!(told(&many(MAX_PEERS)).len(), MAX_PEERS - 1, "all but the first have its id");
    assert_eq!(told(&many(MAX_PEERS + 1)), ["URL_CONFIG (environment): got 257 peers, expected at most 256"]);
}

#[test]
fn a_peer_is_not_the_relay_itself() {
    let peers = r#"[{"url":"ws://localhost:7171/","id":"a"},{"url":"ws://[::1]:7171/","id":"b"},
        {"url":"ws://127.0.0.1:7172/","id":"c"},{"url":"ws://example:7171/","id":"d"}]"#;
    let told = |listen| {
        let variables = [("URL_CONFIG", peers), ("SLIPSTREAM_LISTEN", listen), ("SLIPSTREAM_ALLOW_INSECURE", "true")];
        environment(&variables).map(|_| ()).map_err(|faults| faults.to_string())
    };
    let fault = told("127.0.0.1:7171").unwrap_err();
    assert!(fault.contains("URL_CONFIG: a: this leads to the relay's own listener"), "{fault}");
    assert!(told("0.0.0.0:7171").unwrap_err().contains("URL_CONFIG: a, b: "));
    for other in ["192.0.2.1:7171", "127.0.0.1:7173", "127.0.0.1:0", "off"] {
        assert_eq!(told(other), Ok(()), "{other}");
    }
    let same = [("URL_CONFIG", peers), ("SLIPSTREAM_LISTEN", "off"), ("SLIPSTREAM_INSTANCE_ID", "c")];
    assert_eq!(
        faults(environment(&same)),
        ["URL_CONFIG: a peer has the id c, which is this relay's own, SLIPSTREAM_INSTANCE_ID; expected another"]
    );
}

#[test]
fn warnings_are_told_and_are_no_faults() {
    let warnings = |variables: &[(&str, &str)]| environment(variables).expect("no fault").warnings().join("\n");
    assert_eq!(warnings(&[]), "");
    assert!(warnings(&[("SLIPSTREAM_LISTEN", "off")]).contains("no message can come or go"));
    assert_eq!(warnings(&[("SLIPSTREAM_LISTEN", "off"), ("URL_CONFIG", r#"[{"url":"ws://a"}]"#)]), "");
    let policy = ("SLIPSTREAM_BACKLOG_POLICY", "reject");
    assert!(warnings(&[policy]).contains("has no effect without SLIPSTREAM_MAX_BACKLOG"));
    assert_eq!(warnings(&[policy, ("SLIPSTREAM_MAX_BACKLOG", "1")]), "");
    assert!(warnings(&[("SLIPSTREAM_ACK_TIMEOUT", "10m")]).contains("4200s"), "10 + 20 + 40 minutes");
    assert_eq!(warnings(&[("SLIPSTREAM_ACK_TIMEOUT", "8m")]), "", "56 minutes");
    let token = |host| format!(r#"[{{"url":"ws://{host}:1/?hush","id":"x","token":"hush"}}]"#);
    let told = warnings(&[("URL_CONFIG", &token("relay.example"))]);
    assert!(
        told.contains("x crosses the network to relay.example:1 in clear text") && !told.contains("hush"),
        "{told}"
    );
    assert_eq!(warnings(&[("URL_CONFIG", &token("127.0.0.1"))]), "");
}

#[test]
fn a_port_that_is_open_because_that_was_asked_for_is_warned_of() {
    let warnings = |variables: &[(&str, &str)]| {
        let insecure = [&[("SLIPSTREAM_ALLOW_INSECURE", "true")], variables].concat();
        environment(&insecure).expect("no fault").warnings()
    };
    for (setting, beyond, told) in [
        (
            "SLIPSTREAM_LISTEN",
            "0.0.0.0:7171",
            "SLIPSTREAM_LISTEN, 0.0.0.0:7171, is beyond loopback and listens only because of SLIPSTREAM_ALLOW_INSECURE: \
             whoever reaches it may send any message, and get what is kept under any id",
        ),
        (
            "METRICS_HOST",
            "::",
            "METRICS_HOST and METRICS_PORT, [::]:8080, are beyond loopback and have the API only because of \
             SLIPSTREAM_ALLOW_INSECURE: whoever reaches it may change the log, make backups, forget peers",
        ),
    ] {
        let warned = warnings(&[(setting, beyond)]);
        assert!(warned.len() == 1 && warned[0].starts_with(told), "{warned:#?}");
    }
    let token = "0123456789012345678901234567890123";
    for (variables, told) in [
        (
            &[("METRICS_HOST", "::"), ("SLIPSTREAM_ADMIN_TOKEN", token)][..],
            "SLIPSTREAM_ADMIN_TOKEN crosses the network",
        ),
        (&[("SLIPSTREAM_ADMIN_TOKEN", "hush")], "SLIPSTREAM_ADMIN_TOKEN is shorter than 20 characters"),
    ] {
        let warned = warnings(variables);
        assert!(warned.len() == 1 && warned[0].starts_with(told) && !warned[0].contains("hush"), "{warned:#?}");
    }
    let files = [
        ("SLIPSTREAM_TLS_CERT", "own.pem"),
        ("SLIPSTREAM_TLS_KEY", "own.key"),
        ("SLIPSTREAM_LISTEN", "0.0.0.0:7171"),
        ("SLIPSTREAM_TLS_CLIENT_CA", "ca.pem"),
    ];
    for closed in [&files[..], &[("SLIPSTREAM_LISTEN", "[::ffff:127.0.0.1]:7171"), ("METRICS_HOST", "127.0.0.1")], &[]]
    {
        assert_eq!(warnings(closed), Vec::<String>::new(), "{closed:?}");
    }
}

#[test]
fn what_is_encoded_is_read_back_and_what_is_wrong_is_refused() {
    let encoded = encode_peers(FULL, "peers.json").expect("no fault");
    assert_eq!(in_text(&encoded), Ok(full()));
    let json = String::from_utf8(STANDARD.decode(encoded).expect("base64")).expect("UTF-8");
    assert!(json.starts_with(r#"[{"url":"ws://Relay-B.example:7171/mesh?x=y","id":"azure-1","#), "{json}");
    let told = encode_peers(r#"[{"url":"ws://a"},{"url":"ws://a"}]"#, "peers.json").unwrap_err().to_string();
    assert!(told.contains("peers.json entry 2 of 2 (a): its id a:80 is that of entry 1 too"), "{told}");
}

proptest! {
    #[test]
    fn no_text_panics_and_none_is_repeated(text in "\\PC{0,40}", fields in "[a-zA-Z\":,{}\\[\\]0-9 ]{0,40}") {
        for text in [text.clone(), format!("[{{\"url\":\"hush{text}\"}}]"), format!("[{{{fields}}}]"), STANDARD.encode(&text)] {
            if let Err(faults) = in_text(&text) {
                prop_assert!(faults.iter().all(|fault| !fault.clone().at("").to_string().contains("hush")), "{faults:?}");
            }
        }
    }
}
