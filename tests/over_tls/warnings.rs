//! What is said of certificates that can be used, though an operator should know something: by `config check`, before any
//! link.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use time::{Duration, OffsetDateTime};

use super::words::{checked, pair, refused};
use crate::support::{Files, HOST, assert_has};

#[test]
fn what_others_refuse_or_will_is_a_warning() {
    let files = Files::usual();
    files.issue("ca", "bare", "basicConstraints=CA:FALSE", 90);
    files.issue("ca", "soon", HOST, 20);
    files.issue("ca", "late", HOST, -1);
    files.issue_from("ca", "early", HOST, OffsetDateTime::now_utc() + Duration::days(2), 90);
    files.key("default");
    files.openssl(
        "req -x509 -key default.key -out default.pem -days 90 -subj /CN=localhost -addext subjectAltName=DNS:localhost",
    );
    for (name, part) in [
        ("bare", "no subjectAltName"),
        ("default", "CA:TRUE"),
        ("soon", "expires in 19 days"),
        ("late", "has expired"),
        ("early", "is not valid yet, only from"),
    ] {
        let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
        let (code, told) = checked(&files, &pair(&pem, &key));
        assert_eq!(code, 0, "{told}");
        assert_has(&told, ["warning", &pem, part]);
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_key_that_others_may_read_is_a_warning_and_used() {
    let files = Files::usual();
    let key = files.path("relay.key");
    let peers = format!(
        r#"[{{"url":"wss://host/","cert":"{}","key":"{}"}}]"#,
        files.text("relay.pem"),
        files.text("relay.key")
    );
    for flags in [&pair("relay.pem", "relay.key")[..], &["--url-config", &peers]] {
        for (mode, is_open) in [(0o600, false), (0o400, false), (0o640, true), (0o644, true)] {
            fs::set_permissions(&key, Permissions::from_mode(mode)).expect("it is ours");
            let (code, told) = checked(&files, flags);
            assert_eq!((code, told.lines().count()), (0, usize::from(is_open)), "{mode:o}: {told}");
            if is_open {
                let command = told.split('`').nth(1).expect("a command").to_owned();
                assert_has(
                    &told,
                    ["warning", "relay.key: this key is open to others than its owner", "defaultMode: 0400"],
                );
                let mended = Command::new("sh").args(["-c", &command]).current_dir(files.folder()).status();
                assert!(mended.expect("sh runs").success(), "{command}");
                assert_eq!(checked(&files, flags), (0, String::new()), "{command}");
            }
        }
    }
}

#[test]
fn an_authority_of_clients_that_is_none_or_has_expired_is_a_warning() {
    let files = Files::usual();
    files.expired_authority("old");
    files.key("own");
    let own = "req -x509 -key own.key -out own.pem -days 90 -subj /CN=own -addext basicConstraints=critical,CA:FALSE";
    files.openssl(own);
    let told = |authorities: &'static str| {
        let (code, told) =
            checked(&files, &[&pair("relay.pem", "relay.key")[..], &["--tls-client-ca", authorities]].concat());
        assert_eq!(code, 0, "{told}");
        told
    };
    assert_eq!(told("ca.pem"), "");
    files.write("several.pem", files.read("ca.pem") + &files.read("old.pem") + &files.read("machine-7.pem"));
    let several = told("several.pem");
    assert_eq!(several.lines().count(), 2, "{several}");
    assert_has(&several, ["warning: several.pem: the authority CN=old has expired", "are taken all the same"]);
    assert_has(
        &several,
        ["warning: several.pem: CN=machine-7 is not an authority", "no client of its issuer, CN=ca, is"],
    );
    let own = told("own.pem");
    assert_has(&own, ["warning: own.pem: CN=own is not an authority", "whoever has its key can certify clients:"]);
}

#[test]
fn lists_of_revoked_certificates_say_whom_they_leave_out() {
    let files = Files::usual();
    files.authority("other");
    files.write("both.pem", files.read("ca.pem") + &files.read("other.pem"));
    files.revoke("ca", &["machine-7"], 30);
    let flags = |list: &'static str, authorities: &'static str| {
        [&pair("relay.pem", "relay.key")[..], &["--tls-client-ca", authorities, "--tls-client-crl", list]].concat()
    };
    assert_eq!(checked(&files, &flags("ca.crl", "ca.pem")), (0, String::new()));
    let (_, told) = checked(&files, &flags("ca.crl", "both.pem"));
    assert_has(&told, ["warning", "ca.crl", "no list of CN=other"]);
    let namesake = Files::usual();
    files.write("namesakes.pem", files.read("ca.pem") + &namesake.read("ca.pem"));
    let (_, told) = checked(&files, &flags("ca.crl", "namesakes.pem"));
    assert_has(&told, ["warning", "ca.crl", "CN=ca is the name of more than one authority"]);
    files.revoke("ca", &[], -1);
    let (_, told) = checked(&files, &flags("ca.crl", "ca.pem"));
    assert_has(&told, ["warning", "ca.crl", "CN=ca is out of date"]);
    refused(&files, &flags("relay.pem", "ca.pem"), &["relay.pem", "X509 CRL"]);
}
