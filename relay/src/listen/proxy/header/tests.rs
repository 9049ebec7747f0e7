//! Headers as proxies write them, headers that are none, and requests that must not be taken for one.

use proptest::prelude::*;

use super::*;

/// A header of version 2, with what follows its fixed part.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("it fits");
    [V2_SIGNATURE, &[command, family], &length.to_be_bytes(), block].concat()
}

fn addresses_v4() -> Vec<u8> {
    [&[192, 0, 2, 7][..], &[10, 0, 0, 1], &56_324_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat()
}

fn addresses_v6(source: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<Ipv6Addr>().expect(text).octets();
    [&octets(source)[..], &octets("fd00::1"), &56_324_u16.to_be_bytes(), &443_u16.to_be_bytes()].concat()
}

/// The client that a whole header names, with a request after it.
fn client(header: &[u8]) -> Option<String> {
    let with_request = [header, b"GET / HTTP/1.1\r\n"].concat();
    match read(&with_request) {
        Ok(Beginning::Header(Header { client, length })) => {
            assert_eq!(length, header.len(), "what follows is not the header's");
            client.map(|client| client.to_string())
        }
        other => panic!("{other:?} for {:?}", header.escape_ascii().to_string()),
    }
}

#[test]
fn version_1_names_the_client() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n", Some("192.0.2.7:56324")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::7 fd00::1 56324 443\r\n", Some("[2001:db8::7]:56324")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:10.0.0.1 0 0\r\n", Some("192.0.2.7:0")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    ] {
        assert_eq!(client(line.as_bytes()).as_deref(), expected, "{line}");
    }
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MOST_BYTES - 16));
    assert_eq!((longest.len(), client(longest.as_bytes())), (V1_MOST_BYTES, None));
}

#[test]
fn version_2_names_the_client() {
    let unix = [0; 216];
    for (header, expected) in [
        (v2(0x21, 0x11, &addresses_v4()), Some("192.0.2.7:56324")),
        (v2(0x21, 0x12, &addresses_v4()), Some("192.0.2.7:56324")),
        (v2(0x21, 0x21, &addresses_v6("2001:db8::7")), Some("[2001:db8::7]:56324")),
        (v2(0x21, 0x21, &addresses_v6("::ffff:192.0.2.7")), Some("192.0.2.7:56324")),
        // What follows the addresses is skipped, whatever it is.
        (v2(0x21, 0x11, &[&addresses_v4()[..], &[0x04, 0, 1, 0]].concat()), Some("192.0.2.7:56324")),
        (v2(0x21, 0x11, &[&addresses_v4()[..], &[0xff; 9000]].concat()), Some("192.0.2.7:56324")),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x21, 0x31, &unix), None),
        (v2(0x21, 0x32, &unix), None),
        (v2(0x20, 0x00, &[]), None),
        (v2(0x20, 0x11, &addresses_v4()), None),
        (v2(0x20, 0xff, &[1, 2, 3]), None),
    ] {
        assert_eq!(client(&header).as_deref(), expected, "{}", header.escape_ascii());
    }
}

#[test]
fn what_begins_as_a_header_and_is_none_is_refused() {
    let line = |text: &str| text.as_bytes().to_vec();
    for header in [
        line("PROXY \r\n"),
        line("PROXY  TCP4 192.0.2.7 10.0.0.1 56324 443\r\n"),
        line("PROXY tcp4 192.0.2.7 10.0.0.1 56324 443\r\n"),
        line("PROXY / HTTP/1.1\r\n"),
        line("PROXY TCP4 192.0.2.7 10.0.0.1 56324 443 \r\n"),
        line("PROXY TCP4 192.0.2.7  10.0.0.1 56324 443\r\n"),
        line("PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n"),
        line("PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n"),
        line("PROXY TCP4 192.0.2.7 10.0.0.1 +5 443\r\n"),
        line("PROXY TCP4 192.0.2.7 10.0.0.1 5 \r\n"),
        line("PROXY TCP4 192.0.2.7 elsewhere 5 443\r\n"),
        line("PROXY TCP4 2001:db8::7 fd00::1 5 443\r\n"),
        line("PROXY TCP6 192.0.2.7 10.0.0.1 5 443\r\n"),
        line("PROXY UDP4 192.0.2.7 10.0.0.1 5 443\r\n"),
        [b"PROXY \xff", &b"\r\n"[..]].concat(),
        line(&format!("PROXY UNKNOWN {}", "x".repeat(V1_MOST_BYTES))),
        line(&format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_MOST_BYTES - 15))),
        v2(0x11, 0x11, &addresses_v4()),
        v2(0x22, 0x11, &addresses_v4()),
        v2(0x21, 0x13, &addresses_v4()),
        v2(0x21, 0x41, &addresses_v4()),
        v2(0x21, 0x01, &addresses_v4()),
        v2(0x21, 0x11, &addresses_v4()[..11]),
        v2(0x21, 0x21, &addresses_v4()),
        v2(0x21, 0x00, &vec![0; MOST_BYTES]),
    ] {
        assert!(read(&header).is_err(), "{}", header.escape_ascii());
    }
}

#[test]
fn requests_and_tls_are_no_header() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PUT / HTTP/1.1\r\n",
        b"PROPFIND / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXYING / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.7 10.0.0.1 5 443\r\n",
        b"\r\nGET / HTTP/1.1\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
        b"\0",
    ] {
        assert_eq!(read(bytes), Ok(Beginning::NoHeader), "{}", bytes.escape_ascii());
        assert_eq!(is_begun(bytes), Some(false), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_header_that_comes_byte_by_byte_is_read_when_it_is_whole() {
    let v1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n".to_vec();
    for header in [v1, v2(0x21, 0x11, &[&addresses_v4()[..], &[0; 500]].concat())] {
        for length in 0..header.len() {
            assert_eq!(read(&header[..length]), Ok(Beginning::Incomplete), "{length} bytes");
        }
        client(&header);
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_without_a_panic_and_what_was_told_stays(
        start in prop_oneof![Just(V1_SIGNATURE), Just(V2_SIGNATURE), Just(&b"PROXY TCP4 "[..]), Just(&b""[..])],
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, &rest].concat();
        let mut told = None;
        for length in 0..=bytes.len() {
            let now = read(&bytes[..length]);
            match told {
                // Nothing that comes later changes what was told.
                Some(before) => prop_assert_eq!(now, before),
                None if now == Ok(Beginning::Incomplete) => prop_assert_ne!(is_begun(&bytes[..length]), Some(false)),
                None => told = Some(now),
            }
            if let Ok(Beginning::Header(header)) = now {
                prop_assert!(header.length <= length && header.length <= MOST_BYTES);
            }
        }
        prop_assert!(told.is_some() || bytes.len() < V1_MOST_BYTES || bytes.starts_with(V2_SIGNATURE), "it is told at last");
    }

    #[test]
    fn every_client_comes_through(ip in any::<IpAddr>(), port in any::<u16>()) {
        let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {ip} {ip} {port} 443\r\n");
        let (code, octets) = match ip {
            IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
            IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
        };
        let binary = v2(0x21, code, &[&octets[..], &octets, &port.to_be_bytes(), &[1, 187]].concat());
        let expected = Some(SocketAddr::new(ip.to_canonical(), port).to_string());
        prop_assert_eq!(&client(line.as_bytes()), &expected);
        prop_assert_eq!(client(&binary), expected);
    }
}
