//! What counts as one address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Whoever has one IPv4 address, or one IPv6 network of 64 bits: in such a network anybody has addresses without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::listen) struct Source(IpAddr);

/// The bits of an IPv6 address that name its network.
const NETWORK: u128 = !(u64::MAX as u128);

impl Source {
    pub(in crate::listen) fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into(),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => write!(f, "{ip}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_address() {
        let source = |text: &str| Source::of(text.parse().expect("an address")).to_string();
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(source(address), expected);
        }
    }
}
