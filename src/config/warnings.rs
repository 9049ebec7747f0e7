//! What can be run and is hardly what was meant: each a sentence for the operator.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::rules::asks_who_calls;
use super::setting::{Origin, Setting};
use super::table::Config;
use super::value::Listen;
use crate::link::Secret;

/// Shorter tokens can be guessed by whoever reaches the port.
const SAFE_TOKEN: usize = 20;

/// All that an operator should know of a configuration that can be run.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = of_settings(config);
    warnings.extend(of_ports(config));
    warnings.extend(of_peers(config));
    warnings
}

fn is_beyond_loopback(ip: IpAddr) -> bool {
    !ip.to_canonical().is_loopback()
}

fn of_settings(config: &Config) -> Vec<String> {
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
    if config.tls_end_at_expiry && config.tls_client_ca.is_none() {
        warnings.push("SLIPSTREAM_TLS_END_AT_EXPIRY has no effect without SLIPSTREAM_TLS_CLIENT_CA".to_owned());
    }
    warnings.extend(of_the_collector(config));
    warnings
}

fn of_the_collector(config: &Config) -> Option<String> {
    config.otlp_headers.as_ref()?;
    let Some(collector) = &config.otlp_endpoint else {
        return Some("SLIPSTREAM_OTLP_HEADERS has no effect without SLIPSTREAM_OTLP_ENDPOINT".to_owned());
    };
    let is_open = collector.tls().is_none() && !collector.address().is_some_and(|ip| ip.is_loopback());
    is_open.then(|| {
        format!("SLIPSTREAM_OTLP_HEADERS crosses the network to {collector} in clear text: http:// has no TLS")
    })
}

/// What whoever reaches a port may do there, though nobody may have meant it.
fn of_ports(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let beyond = match config.listen {
        Listen::At(address) if is_beyond_loopback(address.ip()) => Some(address),
        _ => None,
    };
    if let Some(address) = beyond.filter(|_| !asks_who_calls(config)) {
        warnings.push(format!(
            "SLIPSTREAM_LISTEN, {address}, is beyond loopback and listens only because of SLIPSTREAM_ALLOW_INSECURE: whoever \
             reaches it may send any message, and get what is kept under any id; expected SLIPSTREAM_AUTH_FILE or \
             SLIPSTREAM_TLS_CLIENT_CA"
        ));
    }
    if let Some(address) = beyond.filter(|_| config.auth_file.is_some() && config.listener_tls().is_none()) {
        warnings.push(format!(
            "SLIPSTREAM_LISTEN, {address}: tokens cross the network in clear text, since the listener speaks no TLS; expected \
             SLIPSTREAM_TLS_CERT and SLIPSTREAM_TLS_KEY, or a proxy or tunnel before it that does"
        ));
    }
    let admin = SocketAddr::new(config.metrics_host, config.metrics_port);
    if is_beyond_loopback(admin.ip()) && config.admin_token.is_some() && config.admin_tls().is_none() {
        warnings.push(format!(
            "SLIPSTREAM_ADMIN_TOKEN crosses the network to METRICS_HOST and METRICS_PORT, {admin}, in clear text, since that \
             port speaks no TLS; expected METRICS_TLS_CERT and METRICS_TLS_KEY, or a proxy or tunnel before it that does"
        ));
    }
    if is_beyond_loopback(admin.ip()) && config.admin_token.is_none() && config.allow_insecure {
        warnings.push(format!(
            "METRICS_HOST and METRICS_PORT, {admin}, are beyond loopback and have the API only because of \
             SLIPSTREAM_ALLOW_INSECURE: whoever reaches it may change the log, make backups, forget peers and what they are \
             owed; expected SLIPSTREAM_ADMIN_TOKEN"
        ));
    }
    let tokens =
        [("SLIPSTREAM_ADMIN_TOKEN", &config.admin_token), ("SLIPSTREAM_ADMIN_READ_TOKEN", &config.admin_read_token)];
    let is_short = |token: &Option<Secret>| token.as_ref().is_some_and(|token| token.expose().len() < SAFE_TOKEN);
    warnings.extend(tokens.into_iter().filter(|(_, token)| is_short(token)).map(|(variable, _)| {
        format!(
            "{variable} is shorter than {SAFE_TOKEN} characters, so it can be guessed; `slipstream token` makes one"
        )
    }));
    warnings
}

fn of_peers(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
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

/// How long after its first sending a delivery may be republished for the last time, apart from jitter.
fn last_republish(config: &Config) -> Duration {
    let timeouts = 2_u32.saturating_pow(config.max_message_republish_attempts).saturating_sub(1);
    config.ack_timeout.saturating_mul(timeouts)
}
