//! Contradictions: settings that can each be read and do not go together.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use slipstream_embedded::resolved;
use slipstream_store::{Durability, PeerId};

use super::engine::Engine;
use super::fault::Fault;
use super::setting::Setting;
use super::table::Config;
use super::value::{Listen, Required};
use crate::dial::DialledPeer;

/// A rule between settings. It is not asked where one of them could not be read.
struct Rule {
    /// The keys of the settings; a fault names the variable of the first.
    between: &'static [&'static str],
    /// What is wrong, if anything.
    broken: fn(&Config, &[Engine]) -> Option<String>,
}

const RULES: &[Rule] = &[
    Rule { between: &["store"], broken: engine_is_missing },
    Rule { between: &["store_url", "store"], broken: address_is_not_the_stores },
    Rule { between: &["require", "store", "durability"], broken: nothing_keeps_what_is_required },
    Rule { between: &["backup_path", "storage_path"], broken: backups_are_in_the_store },
    Rule { between: &["listen", "allow_insecure", "auth_file", "tls_client_ca"], broken: listener_is_open },
    Rule { between: &["tls_cert", "tls_key"], broken: listener_has_half_a_pair },
    Rule { between: &["metrics_tls_cert", "metrics_tls_key"], broken: admin_has_half_a_pair },
    Rule { between: &["tls_client_ca", "tls_cert", "tls_key"], broken: clients_are_not_asked },
    Rule { between: &["tls_client_crl", "tls_client_ca"], broken: lists_have_no_authority },
    Rule { between: &["admin_read_token", "admin_token"], broken: nobody_may_act },
    Rule { between: &["otlp_endpoint"], broken: exporter_is_missing },
    Rule { between: &["listen", "metrics_host", "metrics_port"], broken: listeners_collide },
    Rule { between: &["heartbeat", "idle_timeout"], broken: heartbeat_is_late },
    Rule { between: &["url_config", "instance_id"], broken: peer_has_the_own_id },
    Rule { between: &["url_config", "listen"], broken: peer_is_the_own_listener },
    Rule { between: &["subscribers", "instance_id"], broken: subscriber_has_the_own_id },
    Rule { between: &["subscribers", "url_config"], broken: subscriber_is_dialled },
];

/// The rules that `config` breaks, without those that touch an unreadable setting.
pub(super) fn broken(config: &Config, engines: &[Engine], unreadable: &BTreeSet<&str>) -> Vec<Fault> {
    RULES
        .iter()
        .filter(|rule| !rule.between.iter().any(|key| unreadable.contains(key)))
        .filter_map(|rule| {
            let variable = rule.between.first().and_then(|key| Setting::by_key(key))?.variable;
            (rule.broken)(config, engines).map(|problem| Fault::new(variable, problem))
        })
        .collect()
}

fn engine_is_missing(config: &Config, engines: &[Engine]) -> Option<String> {
    let engine = config.store;
    if engines.contains(&engine) {
        return None;
    }
    let present: Vec<_> = engines.iter().map(|engine| engine.name()).collect();
    let present = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
    Some(format!("{}; compiled in: {present}", engine.not_compiled_in()))
}

fn address_is_not_the_stores(config: &Config, _: &[Engine]) -> Option<String> {
    match (config.store, &config.store_url) {
        (Engine::Postgres, None) => Some(
            "it is missing, and SLIPSTREAM_STORE is `postgres`; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                .to_owned(),
        ),
        (Engine::Embedded(engine), Some(_)) => {
            Some(format!("it is given, and SLIPSTREAM_STORE is `{engine}`, which has no address; expected `postgres`"))
        }
        _ => None,
    }
}

fn nothing_keeps_what_is_required(config: &Config, _: &[Engine]) -> Option<String> {
    let Required::Standby = config.require?;
    match (config.store, config.durability) {
        (Engine::Embedded(engine), _) => Some(format!(
            "`standby` is required, and SLIPSTREAM_STORE is `{engine}`, which keeps one copy; expected `postgres`"
        )),
        (Engine::Postgres, Durability::Relaxed) => Some(
            "`standby` is required, and SLIPSTREAM_DURABILITY is `relaxed`, which waits for no disk; expected `full`"
                .to_owned(),
        ),
        (Engine::Postgres, Durability::Full) => None,
    }
}

fn backups_are_in_the_store(config: &Config, _: &[Engine]) -> Option<String> {
    let store = resolved(&config.storage_path);
    let backups = config.backup_path.as_ref().filter(|path| resolved(path).starts_with(&store))?;
    let (backups, store) = (backups.display(), config.storage_path.display());
    Some(format!("{backups} is in the store's folder, SLIPSTREAM_STORAGE_PATH, {store}; expected a folder elsewhere"))
}

fn listener_is_open(config: &Config, _: &[Engine]) -> Option<String> {
    let Listen::At(address) = config.listen else { return None };
    let is_closed = address.ip().to_canonical().is_loopback() || asks_who_calls(config);
    (!is_closed && !config.allow_insecure).then(|| {
        format!(
            "{address} is beyond loopback and open to whoever reaches it; expected a loopback address, credentials in \
             SLIPSTREAM_AUTH_FILE, the authority of the clients in SLIPSTREAM_TLS_CLIENT_CA, or \
             SLIPSTREAM_ALLOW_INSECURE=true if that is meant"
        )
    })
}

/// Whether a peer must prove who it is before it may link.
pub(super) fn asks_who_calls(config: &Config) -> bool {
    config.auth_file.is_some() || config.tls_client_ca.is_some()
}

fn listener_has_half_a_pair(config: &Config, _: &[Engine]) -> Option<String> {
    half_a_pair(config.tls_cert.is_some(), config.tls_key.is_some(), "SLIPSTREAM_TLS_KEY")
}

fn admin_has_half_a_pair(config: &Config, _: &[Engine]) -> Option<String> {
    half_a_pair(config.metrics_tls_cert.is_some(), config.metrics_tls_key.is_some(), "METRICS_TLS_KEY")
}

fn half_a_pair(certificate: bool, key: bool, key_variable: &str) -> Option<String> {
    match (certificate, key) {
        (true, false) => Some(format!("it is given without its key; expected {key_variable} too")),
        (false, true) => Some(format!("it is missing, and {key_variable} is given; expected both or neither")),
        _ => None,
    }
}

fn clients_are_not_asked(config: &Config, _: &[Engine]) -> Option<String> {
    (config.tls_client_ca.is_some() && config.listener_tls().is_none()).then(|| {
        "the listener speaks no TLS, so no client can show a certificate; expected SLIPSTREAM_TLS_CERT and \
         SLIPSTREAM_TLS_KEY too"
            .to_owned()
    })
}

fn lists_have_no_authority(config: &Config, _: &[Engine]) -> Option<String> {
    (config.tls_client_crl.is_some() && config.tls_client_ca.is_none())
        .then(|| "no client is asked for a certificate; expected SLIPSTREAM_TLS_CLIENT_CA too".to_owned())
}

fn nobody_may_act(config: &Config, _: &[Engine]) -> Option<String> {
    let read = config.admin_read_token.as_ref()?;
    match &config.admin_token {
        None => {
            Some("it is given without a token of those who may act; expected SLIPSTREAM_ADMIN_TOKEN too".to_owned())
        }
        Some(act) if act == read => Some("it is SLIPSTREAM_ADMIN_TOKEN too; expected another token".to_owned()),
        Some(_) => None,
    }
}

fn exporter_is_missing(config: &Config, _: &[Engine]) -> Option<String> {
    (config.otlp_endpoint.is_some() && !cfg!(feature = "otlp"))
        .then(|| "the exporter is not compiled into this program: it wants the cargo feature `otlp`".to_owned())
}

fn listeners_collide(config: &Config, _: &[Engine]) -> Option<String> {
    let metrics = SocketAddr::new(config.metrics_host, config.metrics_port);
    let Listen::At(address) = config.listen else {
        return None;
    };
    let same_host = address.ip() == metrics.ip() || address.ip().is_unspecified() || metrics.ip().is_unspecified();
    (same_host && address.port() == metrics.port() && address.port() != 0).then(|| {
        format!(
            "{address} collides with METRICS_HOST and METRICS_PORT, {metrics}; expected another port for one of them"
        )
    })
}

fn heartbeat_is_late(config: &Config, _: &[Engine]) -> Option<String> {
    let (heartbeat, idle) = (config.heartbeat, config.idle_timeout);
    (heartbeat >= idle).then(|| {
        format!(
            "{heartbeat:?} is not shorter than SLIPSTREAM_IDLE_TIMEOUT, {idle:?}: a silent link would be dropped before \
             it is pinged; expected less"
        )
    })
}

fn peer_has_the_own_id(config: &Config, _: &[Engine]) -> Option<String> {
    let own = config.instance_id.as_ref()?;
    config.peers.iter().find(|peer| peer.alias == *own)?;
    Some(format!("a peer has the id {own}, which is this relay's own, SLIPSTREAM_INSTANCE_ID; expected another"))
}

fn peer_is_the_own_listener(config: &Config, _: &[Engine]) -> Option<String> {
    let Listen::At(own) = config.listen else { return None };
    let is_own = |peer: &&DialledPeer| {
        let Some(ip) = peer.target.address() else { return false };
        peer.target.port == own.port() && (ip == own.ip() || own.ip().is_unspecified() && ip.is_loopback())
    };
    let own_peers: Vec<_> = config.peers.iter().filter(is_own).map(|peer| peer.alias.as_str()).collect();
    (!own_peers.is_empty()).then(|| {
        let aliases = own_peers.join(", ");
        format!("{aliases}: this leads to the relay's own listener, SLIPSTREAM_LISTEN, {own}; expected another relay")
    })
}

fn subscriber_has_the_own_id(config: &Config, _: &[Engine]) -> Option<String> {
    let own = config.instance_id.as_ref()?;
    config.subscribers.iter().find(|subscriber| subscriber.id == *own)?;
    Some(format!("a subscriber has the id {own}, which is this relay's own, SLIPSTREAM_INSTANCE_ID; expected another"))
}

fn subscriber_is_dialled(config: &Config, _: &[Engine]) -> Option<String> {
    let aliases: BTreeSet<_> = config.peers.iter().map(|peer| &peer.alias).collect();
    let both = config.subscribers.iter().map(|subscriber| &subscriber.id).filter(|id| aliases.contains(id));
    let both: Vec<_> = both.map(PeerId::as_str).collect();
    (!both.is_empty()).then(|| {
        let ids = both.join(", ");
        format!("{ids}: a peer to dial has this id too, URL_CONFIG; it is held for as it is, so expected it in one of the two")
    })
}
