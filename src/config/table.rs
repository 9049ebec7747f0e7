//! The table of settings: the one place where a setting is named, explained, given a default and limited.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderName;
use slipstream_store::{ClusterGroup, Durability, PeerId, Tag};

use super::engine::{self, Engine};
use super::gathered::{Found, Gathered};
use super::lists;
use super::setting::{Origin, Setting};
use super::value::{self, INSTANT, Listen, LogFormat, MAX_REDIAL_PAUSE, Required};
use crate::dial::DialledPeer;
use crate::link::{Secret, Target};
use crate::listen::{InvalidNetworks, TrustedProxies};
use crate::relay::{BacklogPolicy, Subscriber};

impl Setting {
    /// The setting with this file key.
    #[must_use]
    pub fn by_key(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// The peers to dial. They are read by rules of their own, which live in `lists/`; the file has `[[peer]]` tables for
/// them too.
pub(super) const URL_CONFIG: Setting = Setting {
    variable: "URL_CONFIG",
    key: "url_config",
    default: "",
    kind: "PEERS",
    help: "Peers to dial: a JSON array, or its base64. In the file they may be [[peer]] tables instead.",
};

/// The applications that are held for from the start. They are read as the peers are, and have `[[subscriber]]` tables.
pub(super) const SUBSCRIBERS: Setting = Setting {
    variable: "SLIPSTREAM_SUBSCRIBERS",
    key: "subscribers",
    default: "",
    kind: "SUBSCRIBERS",
    help: "Applications that messages are held for before they ever link: a JSON array, or its base64. In the file they may \
           be [[subscriber]] tables instead.",
};

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:ident: $type:ty = $variable:literal, $default:literal, $kind:literal, $read:expr;)+) => {
        /// Every setting, in the order in which help shows them.
        pub const SETTINGS: &[Setting] = &[URL_CONFIG, SUBSCRIBERS, $(Setting {
            variable: $variable,
            key: stringify!($key),
            default: $default,
            kind: $kind,
            help: concat!($($help),+).trim_ascii_start(),
        },)+];

        /// The settings in force, each checked by itself and against the others.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            /// The peers to dial; no two have the same alias.
            pub peers: Vec<DialledPeer>,
            /// The applications that are held for from the start; no two have the same id.
            pub subscribers: Vec<Subscriber>,
            $($(#[doc = $help])+ pub $key: $type,)+
            found: BTreeMap<&'static str, Found>,
            service_links: Vec<String>,
        }

        impl Config {
            /// Reads each setting. What cannot be read is noted in `gathered`, and a weaker source stands in for it.
            pub(super) fn take(gathered: &mut Gathered) -> Option<Self> {
                let peers = gathered.take_list(&URL_CONFIG, &lists::PEERS);
                let subscribers = gathered.take_list(&SUBSCRIBERS, &lists::SUBSCRIBERS);
                $(let $key = gathered.take(stringify!($key), $read);)+
                let (found, service_links) = (gathered.found().clone(), gathered.service_links().to_vec());
                Some(Self { peers: peers?, subscribers: subscribers?, $($key: $key?,)+ found, service_links })
            }

            /// The settings that come to something else in another configuration.
            pub fn differences(&self, other: &Self) -> impl Iterator<Item = &'static Setting> {
                let differs = [self.peers != other.peers, self.subscribers != other.subscribers, $(self.$key != other.$key),+];
                SETTINGS.iter().zip(differs).filter(|(_, differs)| *differs).map(|(setting, _)| setting)
            }
        }
    };
}

impl Config {
    /// Where the value of a setting came from.
    #[must_use]
    pub fn origin(&self, setting: &Setting) -> Origin {
        self.found.get(setting.key).map_or(Origin::Default, |found| found.origin)
    }

    /// The variables of the environment that Kubernetes made for a Service. They count for nothing.
    #[must_use]
    pub fn service_links(&self) -> &[String] {
        &self.service_links
    }
}

settings! {
    /// TOML file of settings; it is named by flag or environment only.
    config: Option<PathBuf> = "SLIPSTREAM_CONFIG", "", "PATH", |text| value::optional(text, value::path);

    /// WebSocket listener, or `off`. Port 0 is any free port, printed at start.
    listen: Listen = "SLIPSTREAM_LISTEN", "127.0.0.1:7171", "ADDRESS", value::listen;

    /// Permits a listener, and the API, beyond loopback although nothing asks who calls.
    allow_insecure: bool = "SLIPSTREAM_ALLOW_INSECURE", "false", "BOOL", value::switch;

    /// Certificate chain (PEM) of the listener, the relay's own first. With it and its key the listener speaks TLS (wss://).
    tls_cert: Option<PathBuf> = "SLIPSTREAM_TLS_CERT", "", "PATH", |text| value::optional(text, value::path);

    /// Key (PEM) of that certificate.
    tls_key: Option<PathBuf> = "SLIPSTREAM_TLS_KEY", "", "PATH", |text| value::optional(text, value::path);

    /// Certificates (PEM) of the authorities whose clients may link. With it every client must show a certificate.
    tls_client_ca: Option<PathBuf> = "SLIPSTREAM_TLS_CLIENT_CA", "", "PATH", |text| value::optional(text, value::path);

    /// Lists (PEM) of client certificates that were revoked.
    tls_client_crl: Option<PathBuf> = "SLIPSTREAM_TLS_CLIENT_CRL", "", "PATH", |text| value::optional(text, value::path);

    /// Ends a link when the client certificate expires that it came with.
    tls_end_at_expiry: bool = "SLIPSTREAM_TLS_END_AT_EXPIRY", "false", "BOOL", value::switch;

    /// TOML file of credentials: only who brings one of them may link. It is read again when it changes.
    auth_file: Option<PathBuf> = "SLIPSTREAM_AUTH_FILE", "", "PATH", |text| value::optional(text, value::path);

    /// Id of this relay. Without it one is made once (`relay-` and a ULID) and kept in the store.
    instance_id: Option<PeerId> = "SLIPSTREAM_INSTANCE_ID", "", "ID", |text| value::optional(text, value::name);

    /// Tags that this relay announces, separated by commas.
    tags: Vec<Tag> = "SLIPSTREAM_TAGS", "", "TAGS", value::tags;

    /// Cluster group that this relay announces.
    cluster_group_id: ClusterGroup = "SLIPSTREAM_CLUSTER_GROUP_ID", "singleton", "ID", value::name;

    /// First delay before a peer is dialled again; it doubles, with jitter, up to 60 s.
    retry_in_n_seconds: Duration = "SLIPSTREAM_RETRY_IN_N_SECONDS", "5s", "DURATION",
        |text| value::duration_up_to(text, INSTANT, MAX_REDIAL_PAUSE);

    /// Failed dials in a row after which a peer is dialled only once a minute, until it answers.
    connection_retry_attempts: NonZeroU32 = "SLIPSTREAM_CONNECTION_RETRY_ATTEMPTS", "10", "NUMBER",
        |text| value::number(text, NonZeroU32::MIN, const { NonZeroU32::new(1_000_000).unwrap() });

    /// Folder of the store, made with mode 0700. A path that ends in `.db`, `.sqlite` or `.sqlite3` is the SQLite file itself.
    storage_path: PathBuf = "SLIPSTREAM_STORAGE_PATH", "./slipstream-data", "PATH", value::path;

    /// Engine of the store. Without it the first of sqlite, redb, lmdb, sled, postgres that is compiled in.
    store: Engine = "SLIPSTREAM_STORE", "sqlite", "ENGINE", engine::engine;

    /// Where a store is that has an address: postgres://USER:PASSWORD@HOST:PORT/DATABASE. It has no flag.
    store_url: Option<Secret> = "SLIPSTREAM_STORE_URL", "", "TOKEN", |text| value::optional(text, value::store_url);

    /// What must hold before anything is confirmed: with `standby` a synchronous standby has it, too.
    require: Option<Required> = "SLIPSTREAM_REQUIRE", "", "WHAT", |text| value::optional(text, value::required);

    /// Folder for backups that are asked for on the admin port. Without it they are refused.
    backup_path: Option<PathBuf> = "SLIPSTREAM_BACKUP_PATH", "", "PATH", |text| value::optional(text, value::path);

    /// What an ACK survives: `full` a power cut, `relaxed` the end of the process but not of the machine.
    durability: Durability = "SLIPSTREAM_DURABILITY", "full", "LEVEL", value::durability;

    /// How many deliveries to one peer may be in flight.
    window: NonZeroU32 = "SLIPSTREAM_WINDOW", "1024", "NUMBER",
        |text| value::number(text, NonZeroU32::MIN, const { NonZeroU32::new(65_536).unwrap() });

    /// How many bytes of deliveries to an application may be in flight, and 16 times as many to a relay. One message may
    /// always be.
    window_bytes: usize = "SLIPSTREAM_WINDOW_BYTES", "1MiB", "SIZE", |text| value::size(text, 1, 1024);

    /// How long a peer may take to acknowledge a delivery before it is sent again; it doubles each time.
    ack_timeout: Duration = "SLIPSTREAM_ACK_TIMEOUT", "30s", "DURATION", |text| value::duration(text, INSTANT);

    /// How often an unacknowledged delivery is sent again before it becomes a dead letter.
    max_message_republish_attempts: u32 = "MAX_MESSAGE_REPUBLISH_ATTEMPTS", "3", "NUMBER",
        |text| value::number(text, 0, 100);

    /// How many deliveries one peer may be owed; 0 is no limit.
    max_backlog: Option<NonZeroU64> = "SLIPSTREAM_MAX_BACKLOG", "0", "NUMBER",
        |text| value::number(text, 0, 1_000_000_000_000).map(NonZeroU64::new);

    /// What gives way at that limit: `reject` the new message of an application, `drop-oldest` the oldest delivery, as a
    /// dead letter.
    backlog_policy: BacklogPolicy = "SLIPSTREAM_BACKLOG_POLICY", "reject", "POLICY", value::backlog_policy;

    /// Below so much free disk nothing new is accepted; 0 leaves it to the store to say that the disk is full.
    min_free_disk: u64 = "SLIPSTREAM_MIN_FREE_DISK", "256MiB", "SIZE", |text| value::size(text, 0, 1 << 30);

    /// How many messages a second one peer may send; 0 is no limit.
    rate_limit: Option<NonZeroU32> = "SLIPSTREAM_RATE_LIMIT", "0", "NUMBER",
        |text| value::number(text, 0, 10_000_000).map(NonZeroU32::new);

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
    max_message_bytes: usize = "SLIPSTREAM_MAX_MESSAGE_BYTES", "983040", "SIZE", |text| value::size(text, 1, 256);

    /// How deep the objects and arrays of a message may be nested, the message itself counted.
    max_depth: NonZeroUsize = "SLIPSTREAM_MAX_DEPTH", "64", "NUMBER",
        |text| value::number(text, const { NonZeroUsize::new(3).unwrap() }, const { NonZeroUsize::new(10_000).unwrap() });

    /// How many links may be open at once.
    max_connections: NonZeroUsize = "SLIPSTREAM_MAX_CONNECTIONS", "10000", "NUMBER",
        |text| value::number(text, NonZeroUsize::MIN, const { NonZeroUsize::new(1_000_000).unwrap() });

    /// How many connections one address (or one IPv6 network of 64 bits) may have at once; 0 is no limit.
    max_connections_per_address: Option<NonZeroUsize> = "SLIPSTREAM_MAX_CONNECTIONS_PER_ADDRESS", "1000", "NUMBER",
        |text| value::number(text, 0, 1_000_000).map(NonZeroUsize::new);

    /// Addresses or networks of proxies, separated by commas, whose PROXY header or `X-Forwarded-For` names the client.
    trusted_proxies: TrustedProxies = "SLIPSTREAM_TRUSTED_PROXIES", "", "NETWORKS",
        |text| text.parse().map_err(|invalid: InvalidNetworks| invalid.to_string());

    /// After how long a silent link is pinged.
    heartbeat: Duration = "SLIPSTREAM_HEARTBEAT", "15s", "DURATION", |text| value::duration(text, INSTANT);

    /// After how long a link on which nothing came is dropped.
    idle_timeout: Duration = "SLIPSTREAM_IDLE_TIMEOUT", "45s", "DURATION", |text| value::duration(text, INSTANT);

    /// How long connecting may take, to the end of the upgrade, whichever end dials.
    handshake_timeout: Duration = "SLIPSTREAM_HANDSHAKE_TIMEOUT", "10s", "DURATION", |text| value::duration(text, INSTANT);

    /// How long the relay drains at SIGTERM or SIGINT. A second signal ends it at once.
    shutdown_timeout: Duration = "SLIPSTREAM_SHUTDOWN_TIMEOUT", "10s", "DURATION",
        |text| value::duration(text, Duration::ZERO);

    /// Address of the HTTP server for metrics and health.
    metrics_host: IpAddr = "METRICS_HOST", "127.0.0.1", "ADDRESS", value::host;

    /// Port of the HTTP server for metrics and health. 0 is any free port, printed at start.
    metrics_port: u16 = "METRICS_PORT", "8080", "PORT", |text| value::number(text, 0, u16::MAX);

    /// How many peers have series of their own on the metrics page: those that are owed the most. The rest are summed.
    metrics_peers: usize = "SLIPSTREAM_METRICS_PEERS", "100", "NUMBER", |text| value::number(text, 0, 100_000);

    /// Certificate chain (PEM) of that server. With it and its key it speaks TLS (https://).
    metrics_tls_cert: Option<PathBuf> = "METRICS_TLS_CERT", "", "PATH", |text| value::optional(text, value::path);

    /// Key (PEM) of that certificate.
    metrics_tls_key: Option<PathBuf> = "METRICS_TLS_KEY", "", "PATH", |text| value::optional(text, value::path);

    /// Whoever brings this token (`Authorization: Bearer TOKEN`) may use all of the API, and nobody else may act. It has no
    /// flag.
    admin_token: Option<Secret> = "SLIPSTREAM_ADMIN_TOKEN", "", "TOKEN", |text| value::optional(text, value::secret);

    /// Whoever brings this token may read what the API shows, and change nothing. It has no flag.
    admin_read_token: Option<Secret> = "SLIPSTREAM_ADMIN_READ_TOKEN", "", "TOKEN", |text| value::optional(text, value::secret);

    /// Collector of OpenTelemetry to which spans and metrics are sent (OTLP over HTTP), such as http://127.0.0.1:4318.
    otlp_endpoint: Option<Target> = "SLIPSTREAM_OTLP_ENDPOINT", "", "URL", |text| value::optional(text, value::http_url);

    /// Headers that the collector wants, NAME=VALUE, separated by commas, with %XX for what a value cannot have. It has no
    /// flag.
    otlp_headers: Option<Vec<(HeaderName, Secret)>> = "SLIPSTREAM_OTLP_HEADERS", "", "TOKEN",
        |text| value::optional(text, value::headers);

    /// How often metrics are sent to the collector.
    otlp_metrics_interval: Duration = "SLIPSTREAM_OTLP_METRICS_INTERVAL", "60s", "DURATION",
        |text| value::duration(text, INSTANT);

    /// Writes one log line a message.
    enable_message_logs: bool = "ENABLE_MESSAGE_LOGS", "true", "BOOL", value::switch;

    /// Logs at debug level instead of info.
    enable_debug_logs: bool = "ENABLE_DEBUG_LOGS", "false", "BOOL", value::switch;

    /// How log lines look: `human` or `json`.
    log_format: LogFormat = "SLIPSTREAM_LOG_FORMAT", "human", "FORMAT", value::log_format;
}
