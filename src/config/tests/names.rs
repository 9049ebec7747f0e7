//! Names that are none: what is said about each, and what Kubernetes puts there unasked.

use super::{environment, faults, load};
use crate::config::Setting;

/// What is said of one unknown variable.
fn variable(name: &str) -> String {
    let told = faults(environment(&[(name, "hush")]));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(!told[0].contains("hush"), "{told:#?}");
    told[0].clone()
}

/// What is said of one unknown key of the file.
fn key(text: &str) -> String {
    let told = faults(load(&[], &[], Some(text)));
    assert_eq!(told.len(), 1, "{told:#?}");
    told[0].clone()
}

const NONE_NEAR: &str = "there is no such setting";

#[test]
fn the_setting_that_was_meant_is_named_without_regard_to_the_prefix() {
    for (written, meant) in [
        ("SLIPSTREAM_METRICS_PORT", "METRICS_PORT"),
        ("SLIPSTREAM_METRICS_HOST", "METRICS_HOST"),
        ("SLIPSTREAM_URL_CONFIG", "URL_CONFIG"),
        ("SLIPSTREAM_ENABLE_DEBUG_LOGS", "ENABLE_DEBUG_LOGS"),
        ("SLIPSTREAM_MAX_MESSAGE_REPUBLISH_ATTEMPTS", "MAX_MESSAGE_REPUBLISH_ATTEMPTS"),
        ("SLIPSTREAM_MAX_MESSAGE_REPUBLISH", "MAX_MESSAGE_REPUBLISH_ATTEMPTS"),
        ("SLIPSTREAM_METRICS_PROT", "METRICS_PORT"),
        ("SLIPSTREAM_DEDUP_WINDOWS", "SLIPSTREAM_DEDUP_WINDOW"),
        ("SLIPSTREAM_STORAGEPATH", "SLIPSTREAM_STORAGE_PATH"),
        ("SLIPSTREAM_LISTENER", "SLIPSTREAM_LISTEN"),
        ("SLIPSTREAM_TAG", "SLIPSTREAM_TAGS"),
        ("SLIPSTREAM_PEERS", "URL_CONFIG"),
        ("SLIPSTREAM_window", "SLIPSTREAM_WINDOW"),
    ] {
        let told = variable(written);
        assert_eq!(told, format!("{written} (environment): {NONE_NEAR}; the nearest is {meant}"));
    }
    for (written, meant) in [
        ("storage-path = 'x'", "storage_path"),
        ("STORAGE_PATH = 'x'", "storage_path"),
        ("slipstream_window = 5", "window"),
        ("SLIPSTREAM_WINDOW = 5", "window"),
        ("metricsPort = 5", "metrics_port"),
        ("[[peers]]\nurl = 'ws://a'", "[[peer]]"),
        ("[[Peer]]\nurl = 'ws://a'", "[[peer]]"),
    ] {
        let told = key(written);
        assert!(told.ends_with(&format!("{NONE_NEAR}; the nearest is {meant}")), "{told}");
    }
}

#[test]
fn where_nothing_is_near_nothing_is_said() {
    for written in ["FOO", "PORT", "HOST", "COLOUR", "CORE", "LOG_LEVEL", "TIMEOUT", "NAME", "DATABASE_FILE", "X"] {
        let told = variable(&format!("SLIPSTREAM_{written}"));
        assert!(told.ends_with(NONE_NEAR), "{told}");
    }
    for written in ["[[servers]]\na = 1", "[relay]\na = 1", "colour = 1", "'' = 1", "'ü' = 1"] {
        let told = key(written);
        assert!(told.ends_with(NONE_NEAR), "{told}");
    }
    let peer = key("[[peer]]\nurl = 'ws://a'\ncolour = 1");
    assert!(peer.ends_with("\"colour\": there is no such field"), "{peer}");
}

#[test]
fn an_engine_is_proposed_only_where_its_name_is_near() {
    let told = |engine: &str| faults(environment(&[("SLIPSTREAM_STORE", engine)])).remove(0);
    for (written, meant) in
        [("sqlite3", "sqlite"), ("SQLite", "sqlite"), ("sqlight", "sqlite"), ("ldmb", "lmdb"), ("Redb", "redb")]
    {
        assert!(told(written).ends_with(&format!("did you mean `{meant}`?")), "{}", told(written));
    }
    for other in ["rocksdb", "leveldb", "redis", "mysql", "mongodb", "fjall", "mdbx", "heed", "duckdb", "memory", "ü"]
    {
        assert!(
            told(other).ends_with("expected `sqlite` or `redb` or `lmdb` or `sled` or `postgres`"),
            "{}",
            told(other)
        );
    }
    assert!(told("postgresql").ends_with("did you mean `postgres`?"));
}

#[test]
fn what_kubernetes_puts_there_for_a_service_counts_for_nothing_and_is_told_with_the_remedy() {
    let of_service = [
        ("SLIPSTREAM_SERVICE_HOST", "10.96.0.7"),
        ("SLIPSTREAM_SERVICE_PORT", "7171"),
        ("SLIPSTREAM_SERVICE_PORT_LINKS", "7171"),
        ("SLIPSTREAM_PORT", "tcp://10.96.0.7:7171"),
        ("SLIPSTREAM_PORT_7171_TCP", "tcp://10.96.0.7:7171"),
        ("SLIPSTREAM_PORT_7171_TCP_PROTO", "tcp"),
        ("SLIPSTREAM_PORT_7171_TCP_PORT", "7171"),
        ("SLIPSTREAM_PORT_7171_TCP_ADDR", "10.96.0.7"),
        ("SLIPSTREAM_PORT_53_UDP_ADDR", "10.96.0.7"),
        ("SLIPSTREAM_EU_1_SERVICE_HOST", "10.96.0.7"),
        ("SLIPSTREAM_EU_1_PORT", "tcp://10.96.0.7:7171"),
        ("SLIPSTREAM_EU_1_PORT_7171_TCP_PORT", "7171"),
        ("SLIPSTREAM_METRICS_PORT", "tcp://10.96.0.8:8080"),
        ("METRICS_PORT", "tcp://10.96.0.8:8080"),
    ];
    let config = environment(&of_service).expect("a relay starts in Kubernetes");
    assert_eq!(config.metrics_port, 8080, "the default");
    assert_eq!(config.service_links().len(), of_service.len());
    let warnings = config.warnings().join("\n");
    for part in ["14 variables", "SLIPSTREAM_SERVICE_HOST", "enableServiceLinks: false", "another name"] {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
    for mistake in ["SLIPSTREAM_PORT", "SLIPSTREAM_PORT_7171", "SLIPSTREAM_PORT_7171_TCP_HOST", "SLIPSTREAM_PORT_X_TCP"]
    {
        assert!(variable(mistake).contains(NONE_NEAR), "{mistake}");
    }
    assert!(environment(&[("METRICS_PORT", "10.96.0.8:8080")]).is_err());
}

#[test]
fn settings_of_commands_are_no_concern() {
    let of_commands = [
        ("SLIPSTREAM_URL", "ws://relay/"),
        ("SLIPSTREAM_ADMIN_URL", "http://relay:8080"),
        ("SLIPSTREAM_ADMIN_URLS", "azure=http://relay:8080"),
        ("SLIPSTREAM_TOKEN", "hush"),
    ];
    environment(&of_commands).expect("no fault");
    for of_commands in ["url", "admin_url", "token"] {
        assert!(key(&format!("{of_commands} = 'hush'")).contains("from the environment only"), "{of_commands}");
    }
}

#[test]
fn what_differs_between_two_configurations_is_what_means_something_else() {
    let differing = |file: &str| -> Vec<&'static str> {
        let [before, after] =
            ["window = 5\nheartbeat = '5s'", file].map(|text| load(&[], &[], Some(text)).expect("no fault"));
        before.differences(&after).map(|setting: &Setting| setting.key).collect()
    };
    assert!(differing("heartbeat = 5\nwindow = 5").is_empty(), "the same, written otherwise");
    assert_eq!(differing("window = 5\nack_timeout = '5s'"), ["ack_timeout", "heartbeat"]);
    assert_eq!(differing("window = 5\nheartbeat = 5\n[[peer]]\nurl = 'ws://a'"), ["url_config"]);
}
