//! The two ports of a relay. One that cannot be had is told with its setting, the value, the cause and the remedy.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::anyhow;
use tokio::net::TcpListener as AdminListener;

use crate::config::{Config, Listen};
use crate::listen::{Listener, ProxyListener, TcpListener, TlsListener};
use crate::tls::ServerTls;

/// The admin port.
pub(super) async fn admin(config: &Config) -> anyhow::Result<AdminListener> {
    let address = SocketAddr::new(config.metrics_host, config.metrics_port);
    AdminListener::bind(address).await.map_err(|error| refused("METRICS_HOST and METRICS_PORT", address, &error))
}

/// The port for links, unless there is to be none. It speaks TLS if there is any.
pub(super) fn links(config: &Config, tls: Option<&Arc<ServerTls>>) -> anyhow::Result<Option<Box<dyn Listener>>> {
    let Listen::At(address) = config.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).map_err(|error| refused("SLIPSTREAM_LISTEN", address, &error))?;
    let listener = ProxyListener::new(listener, config.trusted_proxies.clone());
    Ok(Some(match tls {
        Some(tls) => Box::new(TlsListener::new(listener, Arc::clone(tls))),
        None => Box::new(listener),
    }))
}

fn refused(settings: &str, address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let (cause, expected) = match error.kind() {
        ErrorKind::AddrInUse => ("another program has this port", "a free port (0 takes any), or that the other ends"),
        ErrorKind::PermissionDenied => (
            "this user may not have this port",
            "a port from 1024 up, or the capability CAP_NET_BIND_SERVICE (in systemd AmbientCapabilities=)",
        ),
        ErrorKind::AddrNotAvailable if address.is_ipv6() => {
            ("this machine has no such address", "one of its own, `::1` for itself or `::` for all")
        }
        ErrorKind::AddrNotAvailable => {
            ("this machine has no such address", "one of its own, `127.0.0.1` for itself or `0.0.0.0` for all")
        }
        // The kernel was started without the family.
        _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            ("this machine has no such kind of address", "an IPv4 address such as `127.0.0.1` or `0.0.0.0`")
        }
        _ => ("it cannot be listened on", "an address and a port that can"),
    };
    anyhow!("{settings}: {address}: {cause} ({error}); expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_told_with_cause_and_remedy() {
        for (errno, address, parts) in [
            (rustix::io::Errno::ADDRINUSE, "127.0.0.1:7171", ["another program", "free port"]),
            (rustix::io::Errno::ACCESS, "127.0.0.1:80", ["may not", "CAP_NET_BIND_SERVICE"]),
            (rustix::io::Errno::ADDRNOTAVAIL, "[fd00::1]:7171", ["no such address", "`::1`"]),
            (rustix::io::Errno::ADDRNOTAVAIL, "192.0.2.1:7171", ["no such address", "`127.0.0.1`"]),
            (rustix::io::Errno::AFNOSUPPORT, "[::1]:7171", ["no such kind", "`127.0.0.1`"]),
        ] {
            let told = refused("SLIPSTREAM_LISTEN", address.parse().expect("an address"), &errno.into()).to_string();
            for part in ["SLIPSTREAM_LISTEN", address, "os error", "expected"].into_iter().chain(parts) {
                assert!(told.contains(part), "{part} in {told}");
            }
        }
    }
}
