//! The first bytes of a connection from a proxy.

use std::net::{IpAddr, SocketAddr};

use slipstream::listen::proxy_header::{Beginning, Header, InvalidHeader, MOST_BYTES, is_begun, read};
use slipstream::listen::{Listener, ProxyListener, TrustedProxies};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::link::{Once, REMOTE, alone};
use crate::scripted::{Pieces, Scripted, Then};
use crate::told::assert_short;

/// Longest text that says what is wrong with a header.
const MOST_TOLD: usize = 256;

/// Reads the first bytes of a connection: the first byte says how they come in pieces.
///
/// - What the bytes so far say stays, whatever follows, and a header is no longer than its limit.
/// - A header that is written anew for the client that was read, in either version, names the same client.
/// - A trusted proxy's header is taken off and nothing else; however the bytes come in pieces. Anybody else's is refused.
pub fn proxy_header(input: &[u8]) {
    let Some((&pieces, bytes)) = input.split_first() else { return };
    let told = told(bytes);
    if let Some(Ok(Beginning::Header(Header { client: Some(client), length }))) = told {
        assert!(length <= MOST_BYTES.min(bytes.len()), "{length} bytes");
        for header in written(client) {
            let expected = Header { client: Some(client), length: header.len() };
            let with_request = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(read(&with_request), Ok(Beginning::Header(expected)), "{client}");
        }
    }
    let trusted: TrustedProxies = "10.0.0.0/8".parse().unwrap_or_default();
    let whole = listened(bytes, Pieces::WHOLE, &trusted);
    assert_eq!(listened(bytes, Pieces(pieces), &trusted), whole);
    match told {
        Some(Ok(Beginning::Header(Header { client, length }))) => {
            assert_eq!(whole, Ok((client.unwrap_or(REMOTE), bytes[length..].to_vec())));
        }
        Some(Ok(Beginning::NoHeader | Beginning::Incomplete)) | None => assert_eq!(whole, Ok((REMOTE, bytes.to_vec()))),
        Some(Err(error)) => {
            let refused = whole.is_err_and(|told| told.contains(&error.to_string()));
            assert!(refused, "{error} is not told");
        }
    }
    let from_anyone = listened(bytes, Pieces(pieces), &TrustedProxies::default());
    match is_begun(bytes) {
        Some(true) => assert!(from_anyone.is_err(), "a header of one who is not trusted is taken"),
        _ => assert_eq!(from_anyone, Ok((REMOTE, bytes.to_vec()))),
    }
}

/// What is said of the bytes as they come one by one, as soon as something is.
fn told(bytes: &[u8]) -> Option<Result<Beginning, InvalidHeader>> {
    let mut told = None;
    // A long header says nothing new in its middle.
    let lengths = (0..bytes.len().min(300)).chain([bytes.len()]);
    for length in lengths {
        let now = read(&bytes[..length]);
        match (&told, now) {
            (Some(before), now) => assert_eq!(now, *before, "after {length} bytes"),
            (None, Ok(Beginning::Incomplete)) => {
                assert_ne!(is_begun(&bytes[..length]), Some(false));
                assert!(length < MOST_BYTES, "{length} bytes tell nothing");
            }
            (None, now) => told = Some(now),
        }
    }
    told
}

/// The header of either version that names this client.
fn written(client: SocketAddr) -> [Vec<u8>; 2] {
    let (ip, port) = (client.ip(), client.port());
    let (name, family, octets) = match ip {
        IpAddr::V4(ip) => ("TCP4", 0x11, ip.octets().to_vec()),
        IpAddr::V6(ip) => ("TCP6", 0x21, ip.octets().to_vec()),
    };
    let addresses = [&octets[..], &octets, &port.to_be_bytes(), &[1, 187]].concat();
    let length = u16::try_from(addresses.len()).unwrap_or_default();
    let fixed = [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &length.to_be_bytes()].concat();
    [format!("PROXY {name} {ip} {ip} {port} 443\r\n").into_bytes(), [fixed, addresses].concat()]
}

/// Whom a listener takes for the client, and what is left to read; or what it says is wrong.
fn listened(bytes: &[u8], pieces: Pieces, trusted: &TrustedProxies) -> Result<(SocketAddr, Vec<u8>), String> {
    let (stream, left) = Scripted::new(bytes, pieces, Then::End);
    let listener = ProxyListener::new(Once::new(stream), trusted.clone());
    let settled = alone(async {
        let (stream, info) = listener.accept().await?.handshake().await?;
        let (mut read, mut write) = stream.halves();
        let mut rest = Vec::new();
        read.read_to_end(&mut rest).await?;
        write.shutdown().await?;
        std::io::Result::Ok((info.remote, rest))
    });
    settled.map_err(|error| {
        assert_short(&error.to_string(), MOST_TOLD);
        assert!(left.written().starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "nothing is told");
        error.to_string()
    })
}
