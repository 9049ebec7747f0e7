//! The subscribers, from `SLIPSTREAM_SUBSCRIBERS` and from the file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slipstream_store::{ClusterGroup, Tag};

use super::{environment, faults, load};
use crate::config::lists::{MAX_SUBSCRIBERS, SUBSCRIBERS};
use crate::config::table::SUBSCRIBERS as SETTING;
use crate::config::{Config, Origin};
use crate::relay::Subscriber;

const VARIABLE: &str = "SLIPSTREAM_SUBSCRIBERS";

const FULL: &str = r#"[{"id": "shop-1", "tags": ["aws", "prod"], "clusterGroupId": "g", "coalesce": true},
    {"id": "shop-2", "tags": [], "clusterGroupId": null}]"#;

fn full() -> Vec<Subscriber> {
    let plain = |id: &str| Subscriber { id: id.parse().unwrap(), tags: None, group: None, coalesce: false };
    let tags = Some(["aws", "prod"].map(|tag| Tag::new(tag).unwrap()).into());
    let group = Some(ClusterGroup::new("g").unwrap());
    vec![Subscriber { tags, group, coalesce: true, ..plain("shop-1") }, plain("shop-2")]
}

fn ids(config: &Config) -> Vec<&str> {
    config.subscribers.iter().map(|subscriber| subscriber.id.as_str()).collect()
}

#[test]
fn subscribers_are_read_from_json_its_base64_and_tables_and_a_stronger_source_replaces_them_all() {
    for text in [FULL.to_owned(), format!("\u{feff}{FULL}"), STANDARD.encode(FULL)] {
        let config = environment(&[(VARIABLE, &text)]).expect("no fault");
        assert_eq!((config.origin(&SETTING), config.subscribers), (Origin::Environment, full()), "{text}");
    }
    let file = r#"[[subscriber]]
        id = "shop-1"
        tags = ["aws", "prod"]
        cluster_group_id = "g"
        coalesce = true
        [[subscriber]]
        id = "shop-2""#;
    let config = load(&[], &[], Some(file)).expect("no fault");
    assert_eq!((config.origin(&SETTING), config.subscribers), (Origin::File, full()));
    let one = [(VARIABLE, r#"[{"id":"one"}]"#)];
    assert_eq!(ids(&load(&[], &one, Some(file)).expect("no fault")), ["one"]);
    assert_eq!(ids(&load(&[("subscribers", r#"[{"id":"two"}]"#)], &one, Some(file)).expect("no fault")), ["two"]);
    assert_eq!(ids(&load(&[], &[], Some("subscribers = '[{\"id\":\"three\"}]'")).expect("no fault")), ["three"]);
}

#[test]
fn every_fault_of_every_subscriber_is_told() {
    let json = r#"[{"id": "a b", "url": "x", "coalesce": 1}, {"tags": "t"}, {"id": "x", "clusterGroupId": ""},
        7, {"id": "x", "id": "y"}]"#;
    let entry = |number, rest: &str| format!("{VARIABLE} (environment) entry {number} of 5: {rest}");
    let id = "1 to 128 of A-Z a-z 0-9 . _ : -";
    assert_eq!(
        faults(environment(&[(VARIABLE, json)])),
        [
            entry(1, "\"url\": there is no such field"),
            entry(1, &format!("id: got \"a b\", expected {id}")),
            entry(1, "coalesce: got 1, expected true or false"),
            entry(2, "id: it is missing; expected the id under which the application links"),
            entry(2, "tags: got \"t\", expected an array of up to 64 tags, each 1 to 64 of A-Z a-z 0-9 . _ : -"),
            entry(3, &format!("clusterGroupId: got \"\", expected {id}")),
            entry(4, "expected an object"),
            entry(5, "id: it stands twice"),
            entry(5, "its id x is that of entry 3 too; give one of them another id"),
        ]
    );
    for (file, expected) in [
        ("subscriber = 5", "expected tables, each under [[subscriber]]"),
        ("subscribers = [\"x\"]", "expected a text; subscribers as tables stand under [[subscriber]]"),
        (
            "subscribers = '[]'\n[[subscriber]]\nid = \"x\"",
            "expected only one of the two: the file has subscribers too",
        ),
    ] {
        let told = faults(load(&[], &[], Some(file)));
        assert!(told.len() == 1 && told[0].ends_with(expected), "{told:?}");
    }
    for text in ["hush!", r#"{"id":"x"}"#, "[1", "/w=="] {
        let told = faults(environment(&[(VARIABLE, text)]));
        assert!(told.len() == 1 && told[0].contains("expected a JSON array of subscribers"), "{told:?}");
    }
    let many = format!("[{}]", vec!["{}"; MAX_SUBSCRIBERS + 1].join(","));
    assert_eq!(SUBSCRIBERS.in_text(&many).map(|_| ()).unwrap_err().len(), 1);
}

#[test]
fn subscribers_that_can_never_link_are_a_doubt() {
    let warnings =
        |listen| environment(&[(VARIABLE, FULL), ("SLIPSTREAM_LISTEN", listen)]).expect("no fault").warnings();
    assert!(warnings("off").iter().any(|warning| warning.contains("no subscriber can link")));
    assert!(warnings("127.0.0.1:1").is_empty());
}

#[test]
fn a_subscriber_is_neither_the_relay_nor_a_peer_that_it_dials() {
    let subscribers = (VARIABLE, r#"[{"id":"a"},{"id":"b"},{"id":"host:80"},{"id":"c"}]"#);
    let peers = ("URL_CONFIG", r#"[{"url":"ws://x","id":"b"},{"url":"ws://host"}]"#);
    let told = faults(environment(&[subscribers, peers, ("SLIPSTREAM_INSTANCE_ID", "a")]));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("SLIPSTREAM_SUBSCRIBERS: a subscriber has the id a,"), "{told:?}");
    assert!(told[1].starts_with("SLIPSTREAM_SUBSCRIBERS: b, host:80: a peer to dial has this id too"), "{told:?}");
}
