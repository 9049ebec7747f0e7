//! `X-Forwarded-For`: the addresses that a request came through, as the proxies on its way say. Pure.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName};

use super::networks::TrustedProxies;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client behind `near`: the right-most one that is no trusted proxy.
///
/// Each proxy appends whom it got the request from, so what stands left of an address that is not trusted, or that
/// cannot be read, is only somebody's word. A client without a port has port 0.
pub(in crate::listen) fn client(headers: &HeaderMap, near: SocketAddr, trusted: &TrustedProxies) -> SocketAddr {
    let mut client = near;
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut items = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    while trusted.contains(client.ip()) {
        let Some(next) = items.next().and_then(read) else { break };
        client = next;
    }
    client
}

/// Reads `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7` or `[2001:db8::7]:80`.
fn read(item: &[u8]) -> Option<SocketAddr> {
    let item = std::str::from_utf8(item).ok()?.trim();
    let bare = item.strip_prefix('[').and_then(|item| item.strip_suffix(']')).unwrap_or(item);
    let address = item.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, 0)))?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn client_of(near: &str, lines: &[&str]) -> String {
        let trusted = "10.0.0.0/8,fd00::/8".parse().expect("a list");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).expect("a value"));
        }
        client(&headers, near.parse().expect("an address"), &trusted).to_string()
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_last_who_is_none() {
        for (lines, expected) in [
            (&["192.0.2.7"][..], "192.0.2.7:0"),
            (&["203.0.113.9, 192.0.2.7"], "192.0.2.7:0"),
            (&["203.0.113.9", "192.0.2.7"], "192.0.2.7:0"),
            (&["192.0.2.7, 10.0.0.2,10.0.0.3"], "192.0.2.7:0"),
            (&["192.0.2.7", "10.0.0.2", "fd00::3"], "192.0.2.7:0"),
            (&["192.0.2.7:4711"], "192.0.2.7:4711"),
            (&["2001:db8::7"], "[2001:db8::7]:0"),
            (&["[2001:db8::7]"], "[2001:db8::7]:0"),
            (&["[2001:db8::7]:4711"], "[2001:db8::7]:4711"),
            (&["::ffff:192.0.2.7"], "192.0.2.7:0"),
            (&["::ffff:10.0.0.2"], "10.0.0.2:0"),
            // Nobody but proxies is named.
            (&["10.0.0.2, 10.0.0.3"], "10.0.0.2:0"),
            (&[], "10.0.0.1:5000"),
            // What cannot be read ends the search, and what stands left of it is a claim.
            (&["192.0.2.7, unknown"], "10.0.0.1:5000"),
            (&["192.0.2.7, , 10.0.0.2"], "10.0.0.2:0"),
            (&["192.0.2.7, evil:evil"], "10.0.0.1:5000"),
            (&[""], "10.0.0.1:5000"),
        ] {
            assert_eq!(client_of("10.0.0.1:5000", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn who_is_no_trusted_proxy_names_nobody() {
        assert_eq!(client_of("192.0.2.1:5000", &["203.0.113.9"]), "192.0.2.1:5000");
    }
}
