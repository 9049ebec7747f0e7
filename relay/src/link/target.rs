//! What an end that dials is pointed at.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use hyper::Uri;

use crate::tls::ClientTls;

/// What a link runs over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Transport {
    /// TCP as it is (`ws://`).
    #[default]
    Tcp,
    /// TLS (`wss://`).
    Tls(ClientTls),
}

/// Where the URL of a WebSocket leads.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// What the link runs over.
    pub transport: Transport,
    /// Name or address, an IPv6 one without its brackets.
    pub host: String,
    /// The port; where the URL has none, 80 or, with TLS, 443.
    pub port: u16,
    /// Host and port as they stand in the URL.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Target {
    /// Reads `ws://HOST:PORT/PATH?QUERY`, or the same with `wss://`.
    ///
    /// # Errors
    /// In words what was expected.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "expected a URL like ws://127.0.0.1:7171/")?;
        // A scheme is the same in any case.
        let (transport, default_port) = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws") => (Transport::Tcp, 80),
            Some("wss") => (Transport::Tls(ClientTls::default()), 443),
            _ => return Err("expected a URL that begins with ws:// or wss://"),
        };
        let authority = uri.authority().ok_or("expected a host after ws://")?;
        if authority.as_str().contains('@') {
            return Err("expected no user name in the URL: a credential is a token");
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err("expected a host after ws://");
        }
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => default_port,
            _ => authority.port_u16().filter(|port| *port > 0).ok_or("expected a port from 1 to 65535")?,
        };
        Ok(Self {
            transport,
            host: bare.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// The same target, with these certificates if it is reached over TLS.
    #[must_use]
    pub fn secured_with(mut self, tls: ClientTls) -> Self {
        if let Transport::Tls(current) = &mut self.transport {
            *current = tls;
        }
        self
    }

    /// Its certificates, if it is reached over TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&ClientTls> {
        match &self.transport {
            Transport::Tcp => None,
            Transport::Tls(tls) => Some(tls),
        }
    }

    /// The host as an address, where it is one without asking a name server.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.host.as_str() {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.parse().ok().map(|address: IpAddr| address.to_canonical()),
        }
    }
}

/// Host and port: what of a URL is never a secret.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// As it displays: what holds a target may be printed without a thought.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_somewhere_or_say_what_is_wrong() {
        let target = |host: &str, port, authority: &str, path: &str| {
            Ok(Target {
                transport: Transport::Tcp,
                host: host.to_owned(),
                port,
                authority: authority.to_owned(),
                path: path.to_owned(),
            })
        };
        assert_eq!(Target::parse("ws://host"), target("host", 80, "host", "/"));
        assert_eq!(Target::parse("ws://[::1]:7171/a?b=c%20d"), target("::1", 7171, "[::1]:7171", "/a?b=c%20d"));
        assert_eq!(Target::parse("WS://host:1/Path"), target("host", 1, "host:1", "/Path"));
        assert_eq!(Target::parse("wS://host"), target("host", 80, "host", "/"));
        let sealed = |url: &str| Target::parse(url).map(|target| (target.transport, target.port));
        let system = || Transport::Tls(ClientTls::default());
        assert_eq!(sealed("wss://host/"), Ok((system(), 443)));
        assert_eq!(sealed("WSS://host:7171/"), Ok((system(), 7171)));
        let secret = Target::parse("ws://[::1]/a?token=hush").unwrap();
        assert_eq!((secret.to_string(), format!("{secret:?}")), ("[::1]:80".to_owned(), "[::1]:80".to_owned()));
        for (url, part) in [
            ("http://host/", "ws://"),
            ("host:80", "ws://"),
            ("ws://me:secret@host/", "user name"),
            ("ws://", "ws://"),
            ("ws://host:99999/", "port"),
            ("ws://host:0/", "port"),
            ("ws://host:/", "port"),
        ] {
            let expected = Target::parse(url).unwrap_err();
            assert!(expected.contains(part), "{url}: {expected}");
        }
    }

    #[test]
    fn an_address_is_known_without_a_name_server_or_not_at_all() {
        let address = |url| Target::parse(url).unwrap().address().map(|address| address.to_string());
        assert_eq!(address("ws://localhost/").as_deref(), Some("127.0.0.1"));
        assert_eq!(address("ws://[::ffff:127.0.0.1]:1/").as_deref(), Some("127.0.0.1"));
        assert_eq!(address("ws://[::1]/").as_deref(), Some("::1"));
        assert_eq!(address("ws://relay.example/"), None);
    }
}
