//! The header of the PROXY protocol, versions 1 and 2, in which a proxy names the client: what the first bytes of a
//! connection say. Pure.
//!
//! The specification: <https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>. It is written here and not taken from
//! a crate because a header has to be told from a request and from TLS while it comes byte by byte, and because nothing of
//! the rest of a header is used.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

/// The first bytes of version 1. No method of HTTP that begins a link has them, and neither has TLS.
const V1_SIGNATURE: &[u8] = b"PROXY ";
/// The first bytes of version 2. A zero byte is in no request.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its end of line included.
const V1_MOST_BYTES: usize = 107;
/// The bytes of version 2 that stand before the addresses.
const V2_FIXED_BYTES: usize = 16;
/// The longest header that is taken, what is in it beside the addresses included.
pub const MOST_BYTES: usize = 16 << 10;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// More bytes have to come before it can be told.
    Incomplete,
    /// They are no header.
    NoHeader,
    /// They are a header.
    Header(Header),
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The client; `None` if the proxy speaks for itself, or does not know a client with an IP address.
    pub client: Option<SocketAddr>,
    /// How many bytes it takes.
    pub length: usize,
}

/// Why bytes that begin as a header are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHeader(&'static str);

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidHeader {}

/// Whether these first bytes begin a header; `None` as long as they may or may not.
#[must_use]
pub fn is_begun(bytes: &[u8]) -> Option<bool> {
    version(bytes).map(|version| version.is_some())
}

/// Reads the first bytes of a connection.
///
/// # Errors
/// They begin a header, and cannot be one, whatever follows.
pub fn read(bytes: &[u8]) -> Result<Beginning, InvalidHeader> {
    match version(bytes) {
        None => Ok(Beginning::Incomplete),
        Some(None) => Ok(Beginning::NoHeader),
        Some(Some(Version::One)) => read_v1(bytes),
        Some(Some(Version::Two)) => read_v2(bytes),
    }
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

/// The version of the header that is begun, if one is; `None` as long as that cannot be told.
fn version(bytes: &[u8]) -> Option<Option<Version>> {
    for (signature, version) in [(V1_SIGNATURE, Version::One), (V2_SIGNATURE, Version::Two)] {
        if bytes.starts_with(signature) {
            return Some(Some(version));
        }
        if signature.starts_with(bytes) {
            return None;
        }
    }
    Some(None)
}

fn read_v1(bytes: &[u8]) -> Result<Beginning, InvalidHeader> {
    let most = &bytes[..bytes.len().min(V1_MOST_BYTES)];
    let Some(end) = most.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() {
            ..V1_MOST_BYTES => Ok(Beginning::Incomplete),
            _ => Err(InvalidHeader("a header of version 1 has at most 107 bytes")),
        };
    };
    let line = most.get(V1_SIGNATURE.len()..end).and_then(|line| str::from_utf8(line).ok());
    let mut words = line.ok_or(InvalidHeader("expected a line of text"))?.split(' ');
    let client = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(client_v1::<Ipv4Addr>(words)?),
        Some("TCP6") => Some(client_v1::<Ipv6Addr>(words)?),
        _ => return Err(InvalidHeader("expected TCP4, TCP6 or UNKNOWN")),
    };
    Ok(Beginning::Header(Header { client, length: end + 2 }))
}

/// Reads the addresses and the ports of both ends.
fn client_v1<'a, A: str::FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<SocketAddr, InvalidHeader> {
    let mut address = || words.next()?.parse::<A>().ok();
    let (source, destination) = (address(), address());
    let digits = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let mut port = || words.next().filter(digits)?.parse::<u16>().ok();
    let ports = (port(), port());
    match (source, destination, ports, words.next()) {
        (Some(source), Some(_), (Some(port), Some(_)), None) => Ok(canonical(source, port)),
        _ => Err(InvalidHeader("expected two addresses of the family that is named, and two ports")),
    }
}

fn read_v2(bytes: &[u8]) -> Result<Beginning, InvalidHeader> {
    let Some(&[.., version_and_command, family, high, low]) = bytes.first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(Beginning::Incomplete);
    };
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(InvalidHeader("expected version 2, and the command LOCAL or PROXY")),
    };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_BYTES {
        return Err(InvalidHeader("a header has at most 16384 bytes here"));
    }
    let addresses = match family {
        // Who speaks for itself may name any family.
        _ if is_local => Family::None,
        // Nobody in particular, and Unix sockets of both kinds.
        0x00 | 0x31 | 0x32 => Family::None,
        0x11 | 0x12 => Family::V4,
        0x21 | 0x22 => Family::V6,
        _ => return Err(InvalidHeader("an unknown family of addresses or transport")),
    };
    let Some(whole) = bytes.get(..length) else { return Ok(Beginning::Incomplete) };
    let after = &whole[V2_FIXED_BYTES..];
    let short = InvalidHeader("the addresses are cut short");
    let client = match addresses {
        Family::None => None,
        Family::V4 => Some(client_v2::<4, 12>(after).ok_or(short)?),
        Family::V6 => Some(client_v2::<16, 36>(after).ok_or(short)?),
    };
    Ok(Beginning::Header(Header { client, length }))
}

enum Family {
    None,
    V4,
    V6,
}

/// The client in a block of source address, destination address, source port and destination port.
fn client_v2<const ADDRESS: usize, const BLOCK: usize>(bytes: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; ADDRESS]>,
{
    let block = bytes.first_chunk::<BLOCK>()?;
    let source = *block.first_chunk::<ADDRESS>()?;
    let port = *block.get(2 * ADDRESS..)?.first_chunk::<2>()?;
    Some(canonical(IpAddr::from(source), u16::from_be_bytes(port)))
}

/// An IPv4 address is one, also where it is written as an IPv6 address.
fn canonical(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into().to_canonical(), port)
}

#[cfg(test)]
mod tests;
