//! Contradictions: settings that can each be read and do not go together.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use slipstream_embedded::resolved;
use slipstream_store::PeerId;

use super::fault::Fault;
use super::setting::{Origin, Setting};
use super::table::Config;
use super::value::{Engine, Listen};
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
    Rule { between: &["backup_path", "storage_path"], broken: backups_are_in_the_store },
    Rule { between: &["listen", "allow_insecure", "auth_file", "tls_client_ca"], broken: listener_is_open },
    Rule { between: &["tls_cert", "tls_key"], broken: listener_has_half_a_pair },
    Rule { between: &["metrics_tls_cert", "metrics_tls_key"], broken: admin_has_half_a_pair },
    Rule { between: &["tls_client_ca", "tls_cert", "tls_key"], broken: clients_are_not_asked },
    Rule { between: &["tls_client_crl", "tls_client_ca"], broken: lists_have_no_authority },
    Rule { between: &["admin_read_token", "admin_token"], broken: nobody_may_act },
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
fn asks_who_calls(config: &Config) -> bool {
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

/// What can be run and is hardly what was meant.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.listen == Listen::Off && config.peers.is_empty() {
        warnings.push("SLIPSTREAM_LISTEN is off and there are no peers to dial: no message can come or go".to_owned());
    }
    if config.listen == Listen::Off && !config.subscribers.is_empty() {
        warnings
            .push("SLIPSTREAM_LISTEN is off: no subscriber can link, and what is held for them only grows".to_owned());
    }
    let policy_given = Setting::by_key("backlog_policy").is_some_and(|it| config.origin(it) != Origin::Default);
    if config.max_backlog.is_none() && policy_given {
        warnings.push("SLIPSTREAM_BACKLOG_POLICY has no effect without SLIPSTREAM_MAX_BACKLOG".to_owned());
    }
    if config.trusted_proxies.trusts_everyone() {
        warnings.push(
            "SLIPSTREAM_TRUSTED_PROXIES trusts every address: whoever reaches the listener may say to be anybody"
                .to_owned(),
        );
    }
    let last = last_republish(config);
    if last > config.dedup_window {
        warnings.push(format!(
            "with SLIPSTREAM_ACK_TIMEOUT and MAX_MESSAGE_REPUBLISH_ATTEMPTS a message may be sent again after {last:?}, \
             when its receiver may have forgotten it: that is longer than SLIPSTREAM_DEDUP_WINDOW, {:?}",
            config.dedup_window
        ));
    }
    if let [first, ..] = config.service_links() {
        let count = config.service_links().len();
        warnings.push(format!(
            "Kubernetes put {count} variables of a Service into the environment, such as {first}; they count for nothing. To \
             keep them out set enableServiceLinks: false in the pod's spec, or give the Service another name"
        ));
    }
    if let Listen::At(address) = config.listen
        && config.auth_file.is_some()
        && config.listener_tls().is_none()
        && !address.ip().to_canonical().is_loopback()
    {
        warnings.push(format!(
            "SLIPSTREAM_LISTEN, {address}: tokens cross the network in clear text, since the listener speaks no TLS; expected \
             SLIPSTREAM_TLS_CERT and SLIPSTREAM_TLS_KEY, or a proxy or tunnel before it that does"
        ));
    }
    if config.tls_end_at_expiry && config.tls_client_ca.is_none() {
        warnings.push("SLIPSTREAM_TLS_END_AT_EXPIRY has no effect without SLIPSTREAM_TLS_CLIENT_CA".to_owned());
    }
    let admin = SocketAddr::new(config.metrics_host, config.metrics_port);
    if config.admin_token.is_some() && config.metrics_tls_cert.is_none() && !admin.ip().to_canonical().is_loopback() {
        warnings.push(format!(
            "SLIPSTREAM_ADMIN_TOKEN crosses the network to {admin} in clear text, since the admin port speaks no TLS; \
             expected METRICS_TLS_CERT and METRICS_TLS_KEY, or a proxy or tunnel before it that does"
        ));
    }
    for (variable, token) in
        [("SLIPSTREAM_ADMIN_TOKEN", &config.admin_token), ("SLIPSTREAM_ADMIN_READ_TOKEN", &config.admin_read_token)]
    {
        if token.as_ref().is_some_and(|token| token.expose().len() < SAFE_TOKEN) {
            warnings.push(format!(
                "{variable} is shorter than {SAFE_TOKEN} characters, so it can be guessed; `slipstream token` makes one"
            ));
        }
    }
    let unverified = config.unverified_peers().map(|peer| (&peer.alias, &peer.target));
    warnings.extend(unverified.map(|(alias, target)| {
        format!(
            "rejectUnauthorized is false for {alias}: whoever stands between this relay and {target} can read and change \
             everything; expected the peer's authority as `ca` instead"
        )
    }));
    let open = config.peers.iter().filter(|peer| peer.token.is_some() && peer.target.tls().is_none());
    for peer in open.filter(|peer| !peer.target.address().is_some_and(|ip| ip.is_loopback())) {
        let (alias, target) = (&peer.alias, &peer.target);
        warnings.push(format!("the token for {alias} crosses the network to {target} in clear text: ws:// has no TLS"));
    }
    warnings
}

/// Shorter tokens of the API can be guessed by whoever reaches its port.
const SAFE_TOKEN: usize = 20;

/// How long after its first sending a delivery may be republished for the last time, apart from jitter.
fn last_republish(config: &Config) -> Duration {
    let timeouts = 2_u32.saturating_pow(config.max_message_republish_attempts).saturating_sub(1);
    config.ack_timeout.saturating_mul(timeouts)
}
