//! The addresses of the proxies that are trusted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// Most addresses and networks.
const MAX_NETWORKS: usize = 256;

/// Leading bits of the IPv6 addresses that stand for IPv4 addresses, `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

/// The proxies whose word on the address of a client counts: addresses and networks.
///
/// An IPv4 address that is written as an IPv6 address (`::ffff:192.0.2.7`) is the IPv4 address.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[Network]>);

impl TrustedProxies {
    /// Whether the proxy at this address is trusted.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(ip))
    }

    /// Whether no proxy is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every address of a family is trusted.
    #[must_use]
    pub fn trusts_everyone(&self) -> bool {
        self.0.iter().any(|network| network.bits == 0)
    }
}

impl fmt::Debug for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|network| format!("{}/{}", network.first, network.bits))).finish()
    }
}

/// The text of [`TrustedProxies`] cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidNetworks;

impl fmt::Display for InvalidNetworks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "up to {MAX_NETWORKS} IP addresses or networks, separated by commas, such as `192.0.2.7`, `10.0.0.0/8` or \
             `fd00::/8`; beyond its prefix a network has only zeros"
        )
    }
}

impl std::error::Error for InvalidNetworks {}

impl FromStr for TrustedProxies {
    type Err = InvalidNetworks;

    /// Reads a list that is separated by commas. An empty text is an empty list; an empty item is none.
    fn from_str(text: &str) -> Result<Self, InvalidNetworks> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let networks: Vec<Network> =
            text.split(',').take(MAX_NETWORKS + 1).map(|item| item.trim().parse()).collect::<Result<_, _>>()?;
        if networks.len() > MAX_NETWORKS { Err(InvalidNetworks) } else { Ok(Self(networks.into())) }
    }
}

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    /// The bits, and zeros.
    first: IpAddr,
    /// How many bits.
    bits: u8,
}

impl Network {
    fn contains(self, ip: IpAddr) -> bool {
        match (self.first, ip) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => prefix_v4(ip, self.bits) == first,
            (IpAddr::V6(first), IpAddr::V6(ip)) => prefix_v6(ip, self.bits) == first,
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetworks;

    fn from_str(text: &str) -> Result<Self, InvalidNetworks> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let written: IpAddr = address.parse().map_err(|_| InvalidNetworks)?;
        let first = written.to_canonical();
        let widths = (width(written), width(first));
        let bits = match bits {
            None => widths.1,
            Some(bits) if !bits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(InvalidNetworks),
            Some(bits) => {
                let bits: u8 = bits.parse().ok().filter(|bits| *bits <= widths.0).ok_or(InvalidNetworks)?;
                let mapped = if widths.0 == widths.1 { 0 } else { MAPPED_BITS };
                bits.checked_sub(mapped).ok_or(InvalidNetworks)?
            }
        };
        let network = Self { first, bits };
        if network.contains(first) { Ok(network) } else { Err(InvalidNetworks) }
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn prefix_v4(ip: Ipv4Addr, bits: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
    Ipv4Addr::from_bits(ip.to_bits() & mask)
}

fn prefix_v6(ip: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
    Ipv6Addr::from_bits(ip.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusts(list: &str, ip: &str) -> bool {
        list.parse::<TrustedProxies>().expect(list).contains(ip.parse().expect(ip))
    }

    #[test]
    fn an_address_is_trusted_if_it_is_named_or_in_a_network() {
        for (list, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/8, 192.0.2.128/25 ", "192.0.2.128", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
            // One address in two ways to write it.
            ("192.0.2.0/24", "::ffff:192.0.2.7", "::ffff:192.0.3.7"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::ffff:192.0.2.0/120", "192.0.2.200", "192.0.3.1"),
            ("::ffff:0:0/96", "203.0.113.9", "::1"),
        ] {
            assert!(trusts(list, inside), "{inside} is in {list}");
            assert!(!trusts(list, outside), "{outside} is not in {list}");
        }
        assert!("".parse::<TrustedProxies>().expect("no proxies").is_empty());
        assert!("10.0.0.0/8,::/0".parse::<TrustedProxies>().expect("a list").trusts_everyone());
        assert!(!"10.0.0.0/8".parse::<TrustedProxies>().expect("a list").trusts_everyone());
    }

    #[test]
    fn what_is_no_list_of_addresses_is_refused() {
        let many = vec!["192.0.2.7"; MAX_NETWORKS + 1].join(",");
        for text in [
            "proxy.example",
            "192.0.2.7,",
            "192.0.2.7 10.0.0.1",
            "192.0.2.7:80",
            "[::1]",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.1/8",
            "fd00::1/8",
            "::/129",
            "::ffff:0.0.0.0/95",
            "*",
            &many,
        ] {
            assert_eq!(text.parse::<TrustedProxies>(), Err(InvalidNetworks), "{text}");
        }
        assert!(many[10..].parse::<TrustedProxies>().is_ok(), "so many are taken");
    }
}
