//! The table of settings: the one place where a setting is named, explained, given a default and limited.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use slipstream_store::{ClusterGroup, Durability, PeerId, Tag};

use super::value::{self, Engine, INSTANT, Listen, LogFormat};
use super::{Origin, sources::Gathered};

/// One setting, as far as it is text: what it is called, and what an operator is told about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub variable: &'static str,
    /// The key in the TOML file; with `-` for `_` the flag.
    pub key: &'static str,
    /// What stands where nobody gives a value, as it would be written; empty where it stands for none.
    pub default: &'static str,
    /// What kind of value it takes, as help shows it.
    pub kind: &'static str,
    /// What it means.
    pub help: &'static str,
}

impl Setting {
    /// The name of its flag, without the leading dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Whether it is an on-off switch, whose flag may stand without a value.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.kind == "BOOL"
    }

    /// The setting with this file key.
    #[must_use]
    pub fn by_key(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:ident: $type:ty = $variable:literal, $default:literal, $kind:literal, $read:expr;)+) => {
        /// Every setting, in the order in which help shows them.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            variable: $variable,
            key: stringify!($key),
            default: $default,
            kind: $kind,
            help: concat!($($help),+).trim_ascii_start(),
        },)+];

        /// The settings in force, each checked by itself and against the others.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $help])+ pub $key: $type,)+
            origins: BTreeMap<&'static str, Origin>,
        }

        impl Config {
            /// Reads each setting. What cannot be read is noted in `gathered`, and a weaker source stands in for it.
            pub(super) fn take(gathered: &mut Gathered) -> Option<Self> {
                $(let $key = gathered.take(stringify!($key), $read);)+
                Some(Self { $($key: $key?,)+ origins: gathered.origins() })
            }
        }
    };
}

impl Config {
    /// Where the value of a setting came from.
    #[must_use]
    pub fn origin(&self, setting: &Setting) -> Origin {
        self.origins.get(setting.key).copied().unwrap_or(Origin::Default)
    }
}

settings! {
    /// TOML file of settings; it is named by flag or environment only.
    config: Option<PathBuf> = "SLIPSTREAM_CONFIG", "", "PATH", |text| value::optional(text, value::path);

    /// WebSocket listener, or `off`. Port 0 is any free port, printed at start.
    listen: Listen = "SLIPSTREAM_LISTEN", "127.0.0.1:7171", "ADDRESS", value::listen;

    /// Permits a listener beyond loopback although whoever reaches it may send and receive.
    allow_insecure: bool = "SLIPSTREAM_ALLOW_INSECURE", "false", "BOOL", value::switch;

    /// Id of this relay. Without it one is made once (`relay-` and a ULID) and kept in the store.
    instance_id: Option<PeerId> = "SLIPSTREAM_INSTANCE_ID", "", "ID", |text| value::optional(text, value::name);

    /// Tags that this relay announces, separated by commas.
    tags: Vec<Tag> = "SLIPSTREAM_TAGS", "", "TAGS", value::tags;

    /// Cluster group that this relay announces.
    cluster_group_id: ClusterGroup = "SLIPSTREAM_CLUSTER_GROUP_ID", "singleton", "ID", value::name;

    /// Folder of the store, made with mode 0700. A path that ends in `.db`, `.sqlite` or `.sqlite3` is the SQLite file itself.
    storage_path: PathBuf = "SLIPSTREAM_STORAGE_PATH", "./slipstream-data", "PATH", value::path;

    /// Engine of the store. Without it the first of sqlite, redb, lmdb, sled that is compiled in.
    store: Engine = "SLIPSTREAM_STORE", "sqlite", "ENGINE", value::engine;

    /// What an ACK survives: `full` a power cut, `relaxed` the end of the process but not of the machine.
    durability: Durability = "SLIPSTREAM_DURABILITY", "full", "LEVEL", value::durability;

    /// How many deliveries to one peer may be in flight.
    window: NonZeroU32 = "SLIPSTREAM_WINDOW", "1024", "NUMBER",
        |text| value::number(text, NonZeroU32::MIN, const { NonZeroU32::new(65_536).unwrap() });

    /// How long the identity of a message is remembered to know a duplicate.
    dedup_window: Duration = "SLIPSTREAM_DEDUP_WINDOW", "1h", "DURATION", |text| value::duration(text, INSTANT);

    /// How many identities are remembered at most; the newest stay.
    dedup_max: NonZeroU64 = "SLIPSTREAM_DEDUP_MAX", "1000000", "NUMBER",
        |text| value::number(text, NonZeroU64::MIN, const { NonZeroU64::new(100_000_000).unwrap() });

    /// How long messages are held for a peer that is away.
    peer_ttl: Duration = "SLIPSTREAM_PEER_TTL", "7d", "DURATION", |text| value::duration(text, INSTANT);

    /// How long a settled message can still be traced.
    trace_retention: Duration = "SLIPSTREAM_TRACE_RETENTION", "24h", "DURATION",
        |text| value::duration(text, Duration::ZERO);

    /// How much room traces may take; the oldest go first.
    trace_max_bytes: u64 = "SLIPSTREAM_TRACE_MAX_BYTES", "1GiB", "SIZE", |text| value::size(text, 0, 1 << 30);

    /// Largest message, as text on the wire. A larger one closes its link.
    max_message_bytes: usize = "SLIPSTREAM_MAX_MESSAGE_BYTES", "1MiB", "SIZE", |text| value::size(text, 1, 256);

    /// How many links may be open at once.
    max_connections: NonZeroUsize = "SLIPSTREAM_MAX_CONNECTIONS", "10000", "NUMBER",
        |text| value::number(text, NonZeroUsize::MIN, const { NonZeroUsize::new(1_000_000).unwrap() });

    /// After how long a silent link is pinged.
    heartbeat: Duration = "SLIPSTREAM_HEARTBEAT", "15s", "DURATION", |text| value::duration(text, INSTANT);

    /// After how long a link on which nothing came is dropped.
    idle_timeout: Duration = "SLIPSTREAM_IDLE_TIMEOUT", "45s", "DURATION", |text| value::duration(text, INSTANT);

    /// How long a client may take from connecting to the end of its upgrade request.
    handshake_timeout: Duration = "SLIPSTREAM_HANDSHAKE_TIMEOUT", "10s", "DURATION", |text| value::duration(text, INSTANT);

    /// How long the relay drains at SIGTERM or SIGINT. A second signal ends it at once.
    shutdown_timeout: Duration = "SLIPSTREAM_SHUTDOWN_TIMEOUT", "10s", "DURATION",
        |text| value::duration(text, Duration::ZERO);

    /// Address of the HTTP server for metrics and health.
    metrics_host: IpAddr = "METRICS_HOST", "127.0.0.1", "ADDRESS", value::host;

    /// Port of the HTTP server for metrics and health. 0 is any free port, printed at start.
    metrics_port: u16 = "METRICS_PORT", "8080", "PORT", |text| value::number(text, 0, u16::MAX);

    /// Writes one log line a message.
    enable_message_logs: bool = "ENABLE_MESSAGE_LOGS", "true", "BOOL", value::switch;

    /// Logs at debug level instead of info.
    enable_debug_logs: bool = "ENABLE_DEBUG_LOGS", "false", "BOOL", value::switch;

    /// How log lines look: `human` or `json`.
    log_format: LogFormat = "SLIPSTREAM_LOG_FORMAT", "human", "FORMAT", value::log_format;
}
