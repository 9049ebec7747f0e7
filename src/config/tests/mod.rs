mod auth_file;
mod names;
mod networks;
mod peers;
mod subscribers;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose;
use proptest::prelude::*;
use slipstream_store::Durability;

use super::{Config, EmbeddedEngine, Engine, Faults, Listen, LogFormat, Origin, SETTINGS, Setting, Sources, value};
use crate::relay::BacklogPolicy;

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// Loads with one source of each kind; the file stands at `slipstream.toml` where there is one.
fn load(flags: &[(&str, &str)], environment: &[(&str, &str)], file: Option<&str>) -> Result<Config, Faults> {
    let flags: Vec<_> =
        flags.iter().map(|(key, text)| (Setting::by_key(key).expect("a setting"), (*text).to_owned())).collect();
    let mut environment: Vec<(OsString, OsString)> =
        environment.iter().map(|(name, text)| (name.into(), text.into())).collect();
    if file.is_some() {
        environment.push(("SLIPSTREAM_CONFIG".into(), "slipstream.toml".into()));
    }
    let read_file = |path: &Path| match file {
        Some(text) if path == Path::new("slipstream.toml") => Ok(text.to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    };
    Config::load(&Sources {
        flags: &flags,
        environment: &environment,
        read_file: &read_file,
        engines: &[Engine::Embedded(EmbeddedEngine::Sqlite)],
    })
}

fn environment(variables: &[(&str, &str)]) -> Result<Config, Faults> {
    load(&[], variables, None)
}

fn faults(result: Result<Config, Faults>) -> Vec<String> {
    result.expect_err("this configuration has a fault").iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = load(&[], &[], None).expect("the defaults are no fault");
    assert_eq!(config.listen, Listen::At("127.0.0.1:7171".parse().unwrap()));
    assert_eq!((config.metrics_host.to_string().as_str(), config.metrics_port), ("127.0.0.1", 8080));
    assert_eq!(config.storage_path, PathBuf::from("./slipstream-data"));
    assert_eq!((config.store, config.durability), (EmbeddedEngine::Sqlite.into(), Durability::Full));
    assert_eq!((config.ack_timeout, config.max_message_republish_attempts), (Duration::from_secs(30), 3));
    assert_eq!((config.retry_in_n_seconds, config.connection_retry_attempts.get()), (Duration::from_secs(5), 10));
    assert_eq!((config.max_backlog, config.backlog_policy), (None, BacklogPolicy::Reject));
    assert_eq!((config.min_free_disk, config.rate_limit, config.peers.len()), (256 << 20, None, 0));
    assert_eq!((config.window.get(), config.dedup_max.get()), (1024, 1_000_000));
    assert_eq!((config.dedup_window, config.peer_ttl), (Duration::from_secs(3600), Duration::from_secs(7 * 86_400)));
    assert_eq!((config.trace_retention, config.trace_max_bytes), (Duration::from_secs(86_400), 1 << 30));
    assert_eq!((config.max_message_bytes, config.max_connections.get()), (983_040, 10_000));
    assert_eq!(config.max_connections_per_address.map(NonZeroUsize::get), Some(1_000));
    assert!(config.trusted_proxies.is_empty());
    assert_eq!((config.heartbeat, config.idle_timeout), (Duration::from_secs(15), Duration::from_secs(45)));
    assert_eq!((config.handshake_timeout, config.shutdown_timeout), (Duration::from_secs(10), Duration::from_secs(10)));
    assert!(config.enable_message_logs && !config.enable_debug_logs && !config.allow_insecure);
    assert!(config.auth_file.is_none() && !config.tls_end_at_expiry);
    assert_eq!(config.log_format, LogFormat::Human);
    assert_eq!((config.instance_id, config.tags.len(), config.cluster_group_id.as_str()), (None, 0, "singleton"));
}

#[test]
fn each_setting_is_read_from_each_source_and_the_stronger_source_wins() {
    // Values that every setting of the kind takes and that differ from each other.
    let values = |setting: &Setting| match setting.key {
        "listen" => ["127.0.0.1:1", "127.0.0.1:2", "off"],
        "otlp_headers" => ["a=11", "a=12", "a=13"],
        "durability" => ["full", "relaxed", "full"],
        "log_format" => ["human", "json", "human"],
        "store" => ["sqlite", "sqlite", "sqlite"],
        "metrics_host" => ["127.0.0.2", "::1", "localhost"],
        "backlog_policy" => ["reject", "drop-oldest", "reject"],
        "url_config" => [r#"[{"url":"ws://a"}]"#, r#"[{"url":"ws://b"}]"#, r#"[{"url":"ws://c"}]"#],
        "subscribers" => [r#"[{"id":"a"}]"#, r#"[{"id":"b"}]"#, r#"[{"id":"c"}]"#],
        _ => match setting.kind {
            "BOOL" => ["true", "false", "true"],
            "DURATION" => ["16s", "17s", "18s"],
            "SIZE" => ["1KiB", "2KiB", "3KiB"],
            "URL" => ["http://a:1", "http://b:2", "https://c"],
            "NETWORKS" => ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
            _ => ["11", "12", "13"],
        },
    };
    let of = |config: &Config, setting: &Setting| {
        let printed = format!("{config:?}");
        let field = match setting.key {
            "url_config" => "peers: [DialledPeer { target",
            "subscribers" => "subscribers: [Subscriber { id",
            key => key,
        };
        let field = printed.split_once(&format!(" {field}: ")).expect("a field").1;
        field.split_once(": ").map_or(field, |(text, _)| text).to_owned()
    };
    // What a setting of TLS wants beside it.
    let certificates = ["tls_cert", "tls_key", "tls_client_ca", "metrics_tls_cert", "metrics_tls_key"];
    let beside = |key: &str| -> String {
        let others = certificates.iter().filter(|other| key.contains("tls_") && **other != key);
        let admin = if key == "admin_read_token" { "admin_token = 'a'\n" } else { "" };
        others.map(|other| format!("{other} = 'a.pem'\n")).chain([admin.to_owned()]).collect()
    };
    let is_refused = |setting: &Setting| setting.key == "otlp_endpoint" && !cfg!(feature = "otlp");
    for setting in SETTINGS.iter().filter(|setting| setting.key != "config" && !is_refused(setting)) {
        let [flag, variable, entry] = values(setting);
        let entry = format!("{} = '{entry}'\n{}", setting.key, beside(setting.key));
        let only_file = load(&[], &[], Some(&entry)).expect("file");
        let with_variable = load(&[], &[(setting.variable, variable)], Some(&entry)).expect("environment");
        let with_flag = load(&[(setting.key, flag)], &[(setting.variable, variable)], Some(&entry)).expect("flag");
        assert_eq!(only_file.origin(setting), Origin::File, "{}", setting.key);
        assert_eq!(with_variable.origin(setting), Origin::Environment, "{}", setting.key);
        assert_eq!(with_flag.origin(setting), Origin::Flag, "{}", setting.key);
        // Tokens are printed nowhere.
        if setting.key != "store" && !setting.is_token() {
            assert_ne!(of(&only_file, setting), of(&with_variable, setting), "{}", setting.key);
            assert_ne!(of(&with_variable, setting), of(&with_flag, setting), "{}", setting.key);
        }
        let none = load(&[], &[], None).expect("default");
        assert_eq!(none.origin(setting), Origin::Default);
        let empty = load(&[], &[(setting.variable, "")], None).expect("an empty variable is not set");
        assert_eq!(empty.origin(setting), Origin::Default);
    }
}

#[test]
fn the_file_is_named_by_the_flag_before_the_environment() {
    let asked = RefCell::new(Vec::new());
    let read_file = |path: &Path| {
        asked.borrow_mut().push(path.to_owned());
        Ok("window = 7\ntags = [\"aws\", \"production\"]\nenable_debug_logs = true".to_owned())
    };
    let config = Config::load(&Sources {
        flags: &[(Setting::by_key("config").unwrap(), "a.toml".to_owned())],
        environment: &[("SLIPSTREAM_CONFIG".into(), "b.toml".into())],
        read_file: &read_file,
        engines: &[Engine::Embedded(EmbeddedEngine::Sqlite)],
    })
    .expect("no fault");
    assert_eq!(*asked.borrow(), [PathBuf::from("a.toml")]);
    assert_eq!(config.window.get(), 7);
    assert_eq!(config.tags.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["aws", "production"]);
    assert!(config.enable_debug_logs);
}

#[test]
fn every_fault_is_told_at_once_in_these_words() {
    let file = "heartbeat = \"soon\"\nwindwo = 5\nlisten = { port = 1 }\nconfig = \"other.toml\"\nstore_url = \"c.toml\"\n\
                retry_in_n_seconds = 61\n[[peer]]\nurl = \"https://host/?hush\"\n";
    let variables = [
        ("SLIPSTREAM_WINDOW", "0"),
        ("SLIPSTREAM_DEDUP_WINDOWS", "1h"),
        ("SLIPSTREAM_ADMIN_TOKEN", "hush hush"),
        ("URL_CONFIG", "hush"),
        ("SLIPSTREAM_STORE", "sqlight"),
        ("SLIPSTREAM_PEER_TTL", "-5s"),
        ("SLIPSTREAM_MAX_MESSAGE_BYTES", "1MB"),
        ("ENABLE_DEBUG_LOGS", "maybe"),
        ("PATH", "/bin"),
    ];
    let flags = [("durability", "some"), ("tags", "a b"), ("metrics_port", "65536")];
    let told = load(&flags, &variables, Some(file)).expect_err("faults").to_string();
    assert_eq!(told, GOLDEN);
}

const GOLDEN: &str = r#"the configuration has 18 faults:
  SLIPSTREAM_DEDUP_WINDOWS (environment): there is no such setting; the nearest is SLIPSTREAM_DEDUP_WINDOW
  config in slipstream.toml: a file cannot name another; use the flag or the environment
  SLIPSTREAM_LISTEN (listen in slipstream.toml): got "{…}", expected a text, a whole number, or true or false
  store_url in slipstream.toml: this version does not have this setting yet; take it out
  windwo in slipstream.toml: there is no such setting; the nearest is window
  URL_CONFIG (environment): expected a JSON array of peers, or its base64
  URL_CONFIG ([[peer]] in slipstream.toml) entry 1 of 1 (host): url: expected a URL that begins with ws:// or wss://
  SLIPSTREAM_TAGS (--tags): got "a b", expected up to 64 tags, separated by commas, each 1 to 64 of A-Z a-z 0-9 . _ : -
  SLIPSTREAM_RETRY_IN_N_SECONDS (retry_in_n_seconds in slipstream.toml): got "61", expected a duration from 1ms to 60s, such as `500ms`, `30s`, `5m`, `1h` or `7d` (a bare number is seconds)
  SLIPSTREAM_STORE (environment): got "sqlight", expected `sqlite` or `redb` or `lmdb` or `sled`; did you mean `sqlite`?
  SLIPSTREAM_DURABILITY (--durability): got "some", expected `full` or `relaxed`
  SLIPSTREAM_WINDOW (environment): got "0", expected a whole number from 1 to 65536
  SLIPSTREAM_PEER_TTL (environment): got "-5s", expected a duration from 1ms to 3650d, such as `500ms`, `30s`, `5m`, `1h` or `7d` (a bare number is seconds)
  SLIPSTREAM_MAX_MESSAGE_BYTES (environment): got "1MB", expected a size from 1 to 256MiB, such as `512KiB`, `1MiB` or `1GiB` (a bare number is bytes)
  SLIPSTREAM_HEARTBEAT (heartbeat in slipstream.toml): got "soon", expected a duration from 1ms to 3650d, such as `500ms`, `30s`, `5m`, `1h` or `7d` (a bare number is seconds)
  METRICS_PORT (--metrics-port): got "65536", expected a whole number from 0 to 65535
  SLIPSTREAM_ADMIN_TOKEN (environment): expected 1 to 4096 of the ASCII characters ! to ~
  ENABLE_DEBUG_LOGS (environment): got "maybe", expected `true` or `false`"#;

#[test]
fn contradictions_are_faults_beside_the_others() {
    let told = faults(environment(&[
        ("SLIPSTREAM_LISTEN", "0.0.0.0:8080"),
        ("SLIPSTREAM_HEARTBEAT", "45"),
        ("SLIPSTREAM_STORE", "redb"),
        ("SLIPSTREAM_WINDOW", "many"),
    ]));
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(told[0].starts_with("SLIPSTREAM_WINDOW (environment): got \"many\""), "{told:#?}");
    assert!(
        told[1].starts_with("SLIPSTREAM_STORE: `redb` is not compiled in") && told[1].contains("cargo feature `redb`")
    );
    assert!(told[2].starts_with("SLIPSTREAM_LISTEN: 0.0.0.0:8080") && told[2].contains("SLIPSTREAM_ALLOW_INSECURE"));
    assert!(told[3].starts_with("SLIPSTREAM_LISTEN: 0.0.0.0:8080 collides with METRICS_HOST and METRICS_PORT"));
    assert!(told[4].starts_with("SLIPSTREAM_HEARTBEAT: 45s is not shorter than SLIPSTREAM_IDLE_TIMEOUT, 45s"));
}

#[test]
fn a_contradiction_with_what_could_not_be_read_is_not_told() {
    let told = faults(environment(&[("SLIPSTREAM_HEARTBEAT", "soon"), ("SLIPSTREAM_IDLE_TIMEOUT", "1s")]));
    assert_eq!(told.len(), 1, "the default of the heartbeat is not what the operator meant: {told:#?}");
}

#[test]
fn a_listener_beyond_loopback_wants_consent() {
    for open in ["0.0.0.0:7171", "[::]:7171", "192.0.2.1:0"] {
        assert_eq!(faults(environment(&[("SLIPSTREAM_LISTEN", open)])).len(), 1, "{open}");
        environment(&[("SLIPSTREAM_LISTEN", open), ("SLIPSTREAM_ALLOW_INSECURE", "true")]).expect("consent");
        environment(&[("SLIPSTREAM_LISTEN", open), ("SLIPSTREAM_AUTH_FILE", "auth.toml")]).expect("credentials");
    }
    for closed in ["127.8.0.1:7171", "[::1]:0", "[::ffff:127.0.0.1]:7171", "localhost:0", "off"] {
        environment(&[("SLIPSTREAM_LISTEN", closed)]).expect(closed);
    }
}

#[test]
fn a_value_that_a_stronger_source_hides_is_checked_too() {
    let told = faults(load(&[("window", "5")], &[("SLIPSTREAM_WINDOW", "x")], Some("window = -1")));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[1].starts_with("SLIPSTREAM_WINDOW (window in slipstream.toml): got \"-1\""), "{told:#?}");
}

#[test]
fn a_file_that_cannot_be_read_or_parsed_is_a_fault_without_its_text() {
    let told = faults(load(&[("config", "gone.toml")], &[], None));
    assert!(told[0].starts_with("SLIPSTREAM_CONFIG (--config): got \"gone.toml\""), "{told:#?}");
    assert!(told[0].ends_with("no such file"), "{told:#?}");
    let long = format!("{}/gone.toml", "a-folder/".repeat(30));
    let told = faults(load(&[("config", &long)], &[], None));
    assert!(told[0].contains(&format!("{long:?}")), "a part of a path leads nowhere: {told:#?}");
    let told = faults(load(&[], &[], Some("window = 5\nadmin_token = \"hush\" x\n")));
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("slipstream.toml") && told[0].contains("line 2"), "{told:#?}");
    assert!(!told[0].contains("hush"), "{told:#?}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_text() {
    let read = |bytes: &[u8]| super::read_text(bytes).map_err(|error| error.to_string());
    assert_eq!(read("\u{feff}window = 5".as_bytes()).as_deref(), Ok("window = 5"));
    assert!(read(b"\xff\xfew\0").expect_err("refused").contains("UTF-16"));
    assert_eq!(read(b"a\nb\n\xe4\n").expect_err("refused"), "it is not UTF-8 from line 3 on");
    let config = environment(&[("URL_CONFIG", "\u{feff}[{\"url\":\"WS://a\"}]")]).expect("a JSON text");
    assert_eq!(config.peers.len(), 1);
    let encoded = general_purpose::STANDARD.encode("\u{feff}[{\"url\":\"ws://a\"}]");
    assert_eq!(environment(&[("URL_CONFIG", &encoded)]).expect("a JSON text").peers.len(), 1);
}

#[test]
fn without_any_engine_the_default_is_a_fault_and_otherwise_the_first() {
    let load = |engines: &[Engine]| {
        Config::load(&Sources { flags: &[], environment: &[], read_file: &super::read_file, engines })
    };
    let engines = [EmbeddedEngine::Redb, EmbeddedEngine::Sled].map(Engine::from);
    assert_eq!(load(&engines).expect("no fault").store, engines[0]);
    assert!(faults(load(&[]))[0].contains("cargo feature `sqlite`; compiled in: none"));
}

#[test]
fn a_variable_that_is_not_text_is_a_fault() {
    use std::os::unix::ffi::OsStringExt as _;
    let told = faults(Config::load(&Sources {
        flags: &[],
        environment: &[
            ("SLIPSTREAM_TAGS".into(), OsString::from_vec(vec![0xff])),
            (OsString::from_vec(vec![0xfe]), "x".into()),
        ],
        read_file: &super::read_file,
        engines: &[Engine::Embedded(EmbeddedEngine::Sqlite)],
    }));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].ends_with("expected UTF-8 text"), "{told:#?}");
}

#[test]
fn names_follow_from_the_variable() {
    let mut seen = BTreeSet::new();
    for setting in SETTINGS {
        let bare = setting.variable.strip_prefix("SLIPSTREAM_").unwrap_or(setting.variable);
        assert_eq!(setting.key, bare.to_lowercase());
        assert!(seen.insert(setting.key), "{} stands twice", setting.key);
        assert!(setting.help.ends_with('.'), "{}", setting.variable);
    }
}

#[test]
fn the_documentation_lists_every_setting_with_its_default_and_no_other() {
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", setting.default) };
        let flag = if setting.is_token() { "none".to_owned() } else { format!("`--{}`", setting.flag()) };
        let row = format!("| `{}` | {flag} | {default} |", setting.variable);
        assert!(DOCUMENTATION.contains(&row), "docs/configuration.md wants a row that begins with\n{row}");
    }
    let rows = DOCUMENTATION
        .lines()
        .filter(|line| line.starts_with("| `") && (line.contains("| `--") || line.contains("` | none | none |")))
        .count();
    assert_eq!(rows, SETTINGS.len());
}

#[test]
fn the_example_of_the_documentation_sets_everything() {
    let section = DOCUMENTATION.split("## A complete file\n").nth(1).expect("a section");
    let example = section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let config = load(&[], &[], Some(example)).expect("the example is no fault");
    for setting in SETTINGS.iter().filter(|setting| setting.key != "config") {
        assert_eq!(config.origin(setting), Origin::File, "the example wants {}", setting.key);
    }
}

#[test]
fn durations_and_sizes_at_their_edges() {
    let duration = |text| value::duration(text, value::INSTANT);
    for bad in [
        "",
        "0",
        "0ms",
        "-1s",
        "1.5s",
        "5 s",
        "5S",
        "s",
        "1w",
        "3651d",
        "18446744073709551615d",
        "99999999999999999999",
    ] {
        assert!(duration(bad).is_err(), "{bad}");
    }
    assert_eq!(duration("3650d"), Ok(Duration::from_secs(3650 * 86_400)));
    assert_eq!(value::duration("0", Duration::ZERO), Ok(Duration::ZERO));
    let size = |text| value::size::<u64>(text, 1, 256);
    for bad in ["", "0", "-1", "1MB", "1.5MiB", "257MiB", "18446744073709551615GiB", "1 MiB", "mib"] {
        assert!(size(bad).is_err(), "{bad}");
    }
    assert_eq!(size("256MiB"), Ok(256 << 20));
    assert_eq!(size("17B"), Ok(17));
}

proptest! {
    #[test]
    fn what_is_written_as_a_duration_is_read_as_it(number in 1_u64..100_000, unit in 0_usize..5) {
        let (unit, millis) = [("ms", 1), ("s", 1000), ("", 1000), ("m", 60_000), ("h", 3_600_000)][unit];
        let expected = Duration::from_millis(number * millis);
        let read = value::duration(&format!("{number}{unit}"), value::INSTANT);
        prop_assert_eq!(read.ok(), (expected <= Duration::from_secs(3650 * 86_400)).then_some(expected));
    }

    #[test]
    fn what_is_written_as_a_size_is_read_as_it(number in 1_u64..100_000, unit in 0_usize..4) {
        let (unit, shift) = [("", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30)][unit];
        let expected = number << shift;
        let read = value::size::<u64>(&format!("{number}{unit}"), 1, 1 << 20);
        prop_assert_eq!(read.ok(), (expected <= 1 << 40).then_some(expected));
    }

    #[test]
    fn no_text_panics_in_any_setting(text in "\\PC{0,12}", pick in 0..SETTINGS.len()) {
        let setting = &SETTINGS[pick];
        let _ = load(&[(setting.key, &text)], &[], None).map_err(|faults| faults.to_string());
    }
}
