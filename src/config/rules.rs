//! Contradictions: settings that can each be read and do not go together.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::{Config, Engine, Fault, Listen, Setting};

/// A rule between settings. It is not asked where one of them could not be read.
struct Rule {
    /// The keys of the settings; a fault names the variable of the first.
    between: &'static [&'static str],
    /// What is wrong, if anything.
    broken: fn(&Config, &[Engine]) -> Option<String>,
}

const RULES: &[Rule] = &[
    Rule { between: &["store"], broken: engine_is_missing },
    Rule { between: &["listen", "allow_insecure"], broken: listener_is_open },
    Rule { between: &["listen", "metrics_host", "metrics_port"], broken: listeners_collide },
    Rule { between: &["heartbeat", "idle_timeout"], broken: heartbeat_is_late },
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
    Some(format!(
        "`{engine}` is not compiled into this program: it wants the cargo feature `{engine}`; compiled in: {present}"
    ))
}

fn listener_is_open(config: &Config, _: &[Engine]) -> Option<String> {
    match config.listen {
        Listen::At(address) if !address.ip().to_canonical().is_loopback() && !config.allow_insecure => Some(format!(
            "{address} is beyond loopback and open to whoever reaches it; expected a loopback address, or \
             SLIPSTREAM_ALLOW_INSECURE=true where that is meant"
        )),
        _ => None,
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
