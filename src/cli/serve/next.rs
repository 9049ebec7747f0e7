//! What to try next with a relay that has started: commands that work, as far as the configuration tells. What it does not
//! tell, such as a token, stands there in capitals.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::Config;

/// What to try with a relay that takes links there.
pub(super) fn to_try(config: &Config, links: SocketAddr) -> Vec<String> {
    let speaks_tls = config.listener_tls().is_some();
    let shows_certificates = config.tls_client_ca.is_some();
    let mut flags = format!("--to {}", url(links, speaks_tls));
    if speaks_tls {
        flags += " --tls-ca CA.pem";
    }
    if shows_certificates {
        flags += " --tls-cert APP.pem --tls-key APP.key";
    }
    let [receiver, sender] = match (&config.auth_file, shows_certificates) {
        (None, _) => [" --id app-1", ""],
        (Some(_), true) => [" --id ID", " --id OTHER-ID"],
        (Some(_), false) => [" --token-file TOKEN --id ID", " --token-file OTHER-TOKEN --id OTHER-ID"],
    };
    let is_known = !speaks_tls && config.auth_file.is_none();
    let capitals = if is_known { "" } else { "; docs/security.md says what belongs where there are capitals" };
    vec![
        format!("try, in two other terminals{capitals}:"),
        format!("  slipstream listen {flags}{receiver}"),
        format!("  slipstream send {flags}{sender} order:123 '{{\"total\":100}}'"),
    ]
}

/// Where the relay is reached from its own machine. Which of its names a certificate has is not known here.
fn url(links: SocketAddr, speaks_tls: bool) -> String {
    let port = links.port();
    let ip = match links.ip() {
        ip if ip.is_unspecified() && speaks_tls => return format!("wss://HOST:{port}/"),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{}://{}/", if speaks_tls { "wss" } else { "ws" }, SocketAddr::new(ip, port))
}
