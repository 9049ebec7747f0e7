//! The proxies that are trusted.

use super::{Config, environment, faults, load};

fn trusts(config: &Config, addresses: [&str; 3]) -> [bool; 3] {
    addresses.map(|address| config.trusted_proxies.contains(address.parse().expect("an address")))
}

#[test]
fn proxies_are_addresses_and_networks_in_a_text_or_an_array() {
    let list = "10.0.0.0/8, fd00::/8,::ffff:192.0.2.7";
    let of_variable = environment(&[("SLIPSTREAM_TRUSTED_PROXIES", list)]).expect("no fault");
    let of_file = load(&[], &[], Some("trusted_proxies = ['10.0.0.0/8', 'fd00::/8', '192.0.2.7']")).expect("no fault");
    assert_eq!(of_variable.trusted_proxies, of_file.trusted_proxies);
    assert_eq!(trusts(&of_file, ["10.1.2.3", "fd00::7", "192.0.2.7"]), [true; 3]);
    assert_eq!(trusts(&of_file, ["11.1.2.3", "fe00::7", "192.0.2.8"]), [false; 3]);
}

#[test]
fn what_is_no_proxy_is_told_with_what_was_expected() {
    for list in ["proxy.example", "10.0.0.1/8", "10.0.0.0/8,", "10.0.0.0/33"] {
        let told = faults(environment(&[("SLIPSTREAM_TRUSTED_PROXIES", list)]));
        let expected =
            format!("SLIPSTREAM_TRUSTED_PROXIES (environment): got {list:?}, expected up to 256 IP addresses");
        assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:#?}");
    }
    let told = faults(environment(&[("SLIPSTREAM_MAX_CONNECTIONS_PER_ADDRESS", "-1")]));
    assert!(told[0].contains("expected a whole number from 0 to 1000000"), "{told:#?}");
}

#[test]
fn no_limit_is_written_as_0() {
    let config = environment(&[("SLIPSTREAM_MAX_CONNECTIONS_PER_ADDRESS", "0")]).expect("no fault");
    assert_eq!(config.max_connections_per_address, None);
}

#[test]
fn to_trust_everyone_is_doubted() {
    let warnings = |list| environment(&[("SLIPSTREAM_TRUSTED_PROXIES", list)]).expect("no fault").warnings();
    assert!(warnings("10.0.0.0/8").is_empty());
    assert!(warnings("::/0")[0].contains("SLIPSTREAM_TRUSTED_PROXIES trusts every address"));
}
