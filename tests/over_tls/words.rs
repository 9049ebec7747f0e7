//! What is said of certificates that cannot be used: by `config check`, before any link.

use std::process::{Command, Output};

use crate::support::{CLIENT, Files, HOST, assert_has};

/// What `config check` says of a listener with these files, and how it ends.
pub(super) fn checked(files: &Files, flags: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipstream"));
    command.args(["config", "check"]).args(flags).current_dir(files.folder()).env_clear();
    let Output { status, stderr, .. } = command.output().expect("slipstream runs");
    (status.code().expect("it ends by itself"), String::from_utf8(stderr).expect("UTF-8"))
}

pub(super) fn pair<'a>(certificate: &'a str, key: &'a str) -> [&'a str; 4] {
    ["--tls-cert", certificate, "--tls-key", key]
}

pub(super) fn refused(files: &Files, flags: &[&str], parts: &[&str]) {
    let (code, told) = checked(files, flags);
    assert_eq!(code, 2, "{told}");
    assert_has(&told, parts.iter().copied());
    assert!(!told.contains("peer"), "it is the operator's own: {told}");
    assert!(!told.contains("-----BEGIN PRIVATE"), "a key is not repeated: {told}");
}

#[test]
fn a_usual_pair_is_taken_without_a_word() {
    let files = Files::usual();
    let (code, told) = checked(&files, &pair("relay.pem", "relay.key"));
    assert_eq!((code, told.as_str()), (0, ""));
    let chain = files.read("relay.pem") + &files.read("ca.pem");
    files.write("chain.pem", chain.replace('\n', "\r\n"));
    assert_eq!(
        checked(&files, &pair("chain.pem", "relay.key")),
        (0, String::new()),
        "a chain, and lines as Windows has them"
    );
}

#[test]
fn a_file_without_a_certificate_is_named_with_what_it_is() {
    let files = Files::usual();
    let certificate = files.read("relay.pem");
    files.write("empty.pem", "\n");
    files.write("mark.pem", format!("\u{feff}{certificate}"));
    files.write("wide.pem", certificate.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    files.write("indented.pem", certificate.lines().map(|line| format!("  {line}\n")).collect::<String>());
    files.write("cut.pem", &certificate[..certificate.len() - 40]);
    files.write("garbled.pem", certificate.replacen("MII", "M!!", 1));
    files.write("words.pem", "not a certificate");
    let label = |number: usize| format!("-----BEGIN NUMBER {number}-----\nAAAA\n-----END NUMBER {number}-----\n");
    files.write("labels.pem", (1..500).map(label).collect::<String>());
    files.openssl("x509 -in relay.pem -trustout -out trusted.pem");
    files.openssl("x509 -in relay.pem -outform DER -out der.pem");
    for (name, part) in [
        ("empty.pem", "it is empty"),
        ("mark.pem", "byte order mark"),
        ("wide.pem", "UTF-16"),
        ("indented.pem", "indented"),
        ("cut.pem", "cut"),
        ("garbled.pem", "base64"),
        ("words.pem", "no line begins with -----BEGIN"),
        ("labels.pem", "NUMBER 7, NUMBER 8\n"),
        ("trusted.pem", "TRUSTED CERTIFICATE"),
        ("der.pem", "openssl x509 -inform DER"),
        ("relay.key", "PRIVATE KEY"),
        ("missing.pem", "cannot be opened"),
        (".", "it cannot be read"),
    ] {
        refused(&files, &pair(name, "relay.key"), &["SLIPSTREAM_TLS_CERT", name, part]);
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named_with_the_remedy() {
    let files = Files::usual();
    files.openssl("pkey -in relay.key -aes256 -passout pass:secret -out encrypted.key");
    files.openssl("ec -in relay.key -aes256 -passout pass:secret -out traditional.key");
    for name in ["encrypted.key", "traditional.key"] {
        refused(&files, &pair("relay.pem", name), &[name, "encrypted", "openssl pkey -in FILE -out OTHER"]);
    }
    refused(
        &files,
        &pair("relay.pem", "machine-7.key"),
        &["machine-7.key", "not the key of the first certificate", "relay.pem"],
    );
    files.write("two.key", files.read("relay.key") + &files.read("machine-7.key"));
    refused(&files, &pair("relay.pem", "two.key"), &["two.key", "expected one private key, got 2"]);
}

#[test]
fn a_key_type_that_cannot_sign_is_named_with_those_that_can() {
    let files = Files::usual();
    for (name, algorithm, kind) in [
        ("weak", "RSA -pkeyopt rsa_keygen_bits:1024", "RSA 1024"),
        ("huge", "RSA -pkeyopt rsa_keygen_bits:5120", "RSA 5120"),
        ("p521", "EC -pkeyopt ec_paramgen_curve:P-521", "P-521"),
        ("ed448", "ED448", "Ed448"),
    ] {
        files.openssl(&format!("genpkey -algorithm {algorithm} -out {name}.key"));
        files.issue_for_key("ca", name, HOST, 90);
        let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
        refused(
            &files,
            &pair(&pem, &key),
            &[&key, kind, "RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519"],
        );
    }
    for (name, algorithm) in [
        ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p384", "EC -pkeyopt ec_paramgen_curve:P-384"),
        ("ed25519", "ED25519"),
    ] {
        files.openssl(&format!("genpkey -algorithm {algorithm} -out {name}.key"));
        files.issue_for_key("ca", name, HOST, 90);
        assert_eq!(
            checked(&files, &pair(&format!("{name}.pem"), &format!("{name}.key"))),
            (0, String::new()),
            "{name}"
        );
    }
}

#[test]
fn a_certificate_that_no_peer_takes_is_said_to_be_the_operators_own() {
    let files = Files::usual();
    files.openssl("req -new -key relay.key -out v1.csr -subj /CN=relay");
    files.openssl("x509 -req -in v1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out v1.pem");
    refused(&files, &pair("v1.pem", "relay.key"), &["v1.pem", "X.509 version 1", "subjectAltName"]);
    files.write("reversed.pem", files.read("ca.pem") + &files.read("relay.pem"));
    refused(&files, &pair("reversed.pem", "relay.key"), &["reversed.pem", "expected the host's own certificate first"]);
}

#[test]
fn a_fault_of_a_file_names_the_setting_that_it_belongs_to() {
    let files = Files::usual();
    files.write("both.pem", files.read("relay.pem") + &files.read("relay.key"));
    files.revoke("ca", &[], 30);
    let setting = |flags: &[&str], part: &str| {
        let (code, told) = checked(&files, flags);
        assert_eq!(code, 2, "{told}");
        assert_has(&told, [part]);
        told.lines().nth(1).and_then(|fault| fault.trim().split(": ").next().map(str::to_owned)).unwrap_or(told)
    };
    assert_eq!(checked(&files, &pair("both.pem", "both.pem")).0, 0, "one file may be both");
    for (certificate, key, part, named) in [
        ("missing.pem", "relay.key", "missing.pem", "CERT"),
        ("relay.key", "relay.key", "relay.key", "CERT"),
        ("relay.pem", "missing.key", "missing.key", "KEY"),
        ("relay.pem", "relay.pem", "relay.pem", "KEY"),
        ("relay.pem", "machine-7.key", "machine-7.key", "KEY"),
    ] {
        assert_eq!(setting(&pair(certificate, key), part), format!("SLIPSTREAM_TLS_{named}"));
        let admin = ["--metrics-tls-cert", certificate, "--metrics-tls-key", key];
        assert_eq!(setting(&admin, part), format!("METRICS_TLS_{named}"));
    }
    for (authorities, lists, part, named) in [
        ("missing.pem", "ca.crl", "missing.pem", "CLIENT_CA"),
        ("relay.key", "ca.crl", "relay.key", "CLIENT_CA"),
        ("ca.pem", "missing.crl", "missing.crl", "CLIENT_CRL"),
        ("ca.pem", "ca.pem", "ca.pem", "CLIENT_CRL"),
    ] {
        let clients = ["--tls-client-ca", authorities, "--tls-client-crl", lists];
        assert_eq!(
            setting(&[pair("relay.pem", "relay.key"), clients].concat(), part),
            format!("SLIPSTREAM_TLS_{named}")
        );
    }
}

#[test]
fn settings_that_do_not_go_together_are_named() {
    let files = Files::usual();
    for (flags, parts) in [
        (vec!["--tls-cert", "relay.pem"], ["SLIPSTREAM_TLS_CERT", "SLIPSTREAM_TLS_KEY"]),
        (vec!["--tls-key", "relay.key"], ["SLIPSTREAM_TLS_CERT", "SLIPSTREAM_TLS_KEY"]),
        (vec!["--metrics-tls-cert", "relay.pem"], ["METRICS_TLS_CERT", "METRICS_TLS_KEY"]),
        (vec!["--tls-client-ca", "ca.pem"], ["SLIPSTREAM_TLS_CLIENT_CA", "SLIPSTREAM_TLS_CERT"]),
        (
            [&pair("relay.pem", "relay.key")[..], &["--tls-client-crl", "ca.crl"]].concat(),
            ["SLIPSTREAM_TLS_CLIENT_CRL", "SLIPSTREAM_TLS_CLIENT_CA"],
        ),
        (vec!["--listen", "0.0.0.0:7171"], ["SLIPSTREAM_LISTEN", "SLIPSTREAM_TLS_CLIENT_CA"]),
    ] {
        refused(&files, &flags, &parts);
    }
    let mutual =
        [&pair("relay.pem", "relay.key")[..], &["--tls-client-ca", "ca.pem", "--listen", "0.0.0.0:7171"]].concat();
    assert_eq!(checked(&files, &mutual), (0, String::new()), "with an authority of the clients it is closed");
    let open = [&pair("relay.pem", "relay.key")[..], &["--listen", "0.0.0.0:7171"]].concat();
    assert_eq!(checked(&files, &open).0, 2, "TLS alone asks nobody who they are");
}

#[test]
fn peers_name_the_field_and_the_file_at_fault() {
    let files = Files::usual();
    files.issue("ca", "weak", CLIENT, 90);
    let check =
        |fields: &str| checked(&files, &["--url-config", &format!(r#"[{{"url":"wss://localhost/",{fields}}}]"#)]);
    for (fields, parts) in [
        (r#""ca":"missing.pem""#, ["missing.pem", "cannot be opened"]),
        (r#""ca":"""#, ["ca", "expected PEM text"]),
        (r#""cert":"machine-7.pem""#, ["cert, key", "both or neither"]),
        (r#""cert":"machine-7.pem","key":"relay.key""#, ["relay.key", "not the key"]),
        (
            r#""ca":"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----""#,
            ["ca", "its certificate 1 cannot be read"],
        ),
    ] {
        let (code, told) = check(fields);
        assert_eq!(code, 2, "{fields}: {told}");
        assert_has(&told, parts.into_iter().chain(["URL_CONFIG", "localhost"]));
    }
    let (code, told) = checked(&files, &["--url-config", r#"[{"url":"ws://localhost:1/","ca":"ca.pem"}]"#]);
    assert_eq!(code, 2, "{told}");
    assert_has(&told, ["ca", "wss://"]);
    let (code, told) = check(r#""rejectUnauthorized":false"#);
    assert_eq!(code, 0, "{told}");
    assert_has(&told, ["warning", "rejectUnauthorized", "localhost:443"]);
    let text = files.read("ca.pem").replace('\n', "\\n");
    assert_eq!(check(&format!(r#""ca":"{text}","cert":"machine-7.pem","key":"machine-7.key""#)), (0, String::new()));
}
