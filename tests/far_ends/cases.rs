//! The cases of the options `ca`, `cert`, `key` and `rejectUnauthorized`, each with a server that is dialled and what a
//! relay says.

use serde_json::{Value, json};

use crate::support::{CLIENT, Files, HOST};

/// What a relay makes of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Link,
    /// No link, and this stands in the log.
    NoLink(&'static str),
    /// It does not start, and says this.
    NoStart(&'static str),
}

use Outcome::{Link, NoLink, NoStart};

/// An entry of `URL_CONFIG`, and a server.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The server's certificate, as `server.mjs` wants it.
    pub(super) server: &'static str,
    pub(super) host: &'static str,
    pub(super) options: Value,
    pub(super) relay: Outcome,
}

const UNKNOWN: &str = "no authority that is trusted here has issued it";
const REQUIRED: &str = "the peer requires a client certificate";
const VERSION_1: &str = "it is of X.509 version 1";
const KEYS: &str = "expected RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519";

/// Makes the certificates of the cases.
pub(super) fn files() -> Files {
    let files = Files::usual();
    let host = |extensions: &str| format!("{HOST}\n{extensions}");
    files.authority("other");
    files.issue("other", "stranger", CLIENT, 90);
    files.issue("ca", "elsewhere", "basicConstraints=CA:FALSE\nsubjectAltName=DNS:relay.example", 90);
    files.issue("ca", "late", HOST, -1);
    files.issue("ca", "client", &host("extendedKeyUsage=clientAuth"), 90);
    files.issue("ca", "localhost", "basicConstraints=CA:FALSE", 90);
    files.issue("ca", "middle", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign", 90);
    files.issue("middle", "leaf", HOST, 90);
    files.write("chain.pem", files.read("leaf.pem") + &files.read("middle.pem"));
    files.write("chain.key", files.read("leaf.key"));
    for (name, constraints) in [("self", "CA:FALSE"), ("self-authority", "CA:TRUE")] {
        files.key(name);
        files.openssl(&format!(
            "req -x509 -key {name}.key -out {name}.pem -days 90 -subj /CN={name} -addext \
             subjectAltName=IP:127.0.0.1,DNS:localhost -addext basicConstraints=critical,{constraints}"
        ));
    }
    for (name, algorithm) in [
        ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("rsa-1024", "RSA -pkeyopt rsa_keygen_bits:1024"),
        ("p384", "EC -pkeyopt ec_paramgen_curve:P-384"),
        ("p521", "EC -pkeyopt ec_paramgen_curve:P-521"),
        ("ed25519", "ED25519"),
    ] {
        files.openssl(&format!("genpkey -algorithm {algorithm} -out {name}.key"));
        files.issue_for_key("ca", name, HOST, 90);
    }
    files.key("v1");
    files.openssl("req -new -key v1.key -out v1.csr -subj /CN=localhost");
    files.openssl("x509 -req -in v1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -out v1.pem");
    files
}

/// All cases. Each certificate that a relay and `ws` judge otherwise is tried verified and not.
pub(super) fn all(files: &Files) -> Vec<Case> {
    [of_authorities(files), of_certificates(files), of_rejecting(files), of_own(files)].into_iter().flatten().collect()
}

fn case(name: &'static str, server: &'static str, options: Value, relay: Outcome) -> Case {
    Case { name, server, host: "127.0.0.1", options, relay }
}

fn by_name(case: Case) -> Case {
    Case { host: "localhost", ..case }
}

fn ca(files: &Files, name: &str) -> Value {
    json!({"ca": files.text(&format!("{name}.pem"))})
}

fn with(mut options: Value, field: &str, value: impl Into<Value>) -> Value {
    options[field] = value.into();
    options
}

fn unverified(options: Value) -> Value {
    with(options, "rejectUnauthorized", false)
}

/// `ca`
fn of_authorities(files: &Files) -> Vec<Case> {
    let ca = |name| ca(files, name);
    let both = files.read("other.pem") + &files.read("ca.pem");
    vec![
        case("the authority as a path", "relay", ca("ca"), Link),
        by_name(case("the authority, and the host by its name", "relay", ca("ca"), Link)),
        case("the authority as text", "relay", json!({"ca": files.read("ca.pem")}), Link),
        case("two authorities in one text", "relay", json!({"ca": both}), Link),
        case("an authority that is none", "relay", json!({"ca": "nonsense"}), NoStart("nonsense")),
        case("another authority", "relay", ca("other"), NoLink(UNKNOWN)),
        case("no authority", "relay", json!({}), NoLink(UNKNOWN)),
        case("the server's certificate for its authority", "relay", ca("relay"), NoLink(UNKNOWN)),
        case("a self-signed certificate", "self", ca("self"), Link),
        case("a self-signed certificate and no authority", "self", json!({}), NoLink(UNKNOWN)),
        case("a self-signed certificate of an authority", "self-authority", ca("self-authority"), NoLink("CA:TRUE")),
        case("a chain", "chain", ca("ca"), Link),
        case("a chain without its middle", "leaf", ca("ca"), NoLink(UNKNOWN)),
        case("an authority that is no root", "leaf", ca("middle"), Link),
    ]
}

/// What the server's certificate is for, its key and its version.
fn of_certificates(files: &Files) -> Vec<Case> {
    let ca = || ca(files, "ca");
    vec![
        case("another name", "elsewhere", ca(), NoLink("it is for relay.example, not for 127.0.0.1")),
        by_name(case("a common name alone", "localhost", ca(), NoLink("it has no subjectAltName"))),
        case("a certificate that has expired", "late", ca(), NoLink("it has expired")),
        case("a certificate for clients", "client", ca(), NoLink("does not allow extended key usage")),
        case("a certificate for clients and no authority", "client", json!({}), NoLink("its extendedKeyUsage")),
        case("RSA of 2048 bits", "rsa", ca(), Link),
        case("P-384", "p384", ca(), Link),
        case("Ed25519", "ed25519", ca(), Link),
        case("RSA of 1024 bits", "rsa-1024", ca(), NoLink(KEYS)),
        case("RSA of 1024 bits, unverified", "rsa-1024", unverified(json!({})), NoLink(KEYS)),
        case("P-521", "p521", ca(), NoLink(KEYS)),
        case("P-521, unverified", "p521", unverified(json!({})), NoLink(KEYS)),
        by_name(case("X.509 version 1", "v1", ca(), NoLink(VERSION_1))),
        by_name(case("X.509 version 1, unverified", "v1", unverified(json!({})), NoLink(VERSION_1))),
    ]
}

/// `rejectUnauthorized`
fn of_rejecting(files: &Files) -> Vec<Case> {
    let ca = |name| ca(files, name);
    let verified = with(json!({}), "rejectUnauthorized", true);
    vec![
        case("no authority, and rejectUnauthorized is true", "relay", verified, NoLink(UNKNOWN)),
        case("no authority, unverified", "relay", unverified(json!({})), Link),
        case("another authority, unverified", "relay", unverified(ca("other")), Link),
        case("a self-signed certificate, unverified", "self", unverified(json!({})), Link),
        case("a self-signed certificate of an authority, unverified", "self-authority", unverified(json!({})), Link),
        case("another name, unverified", "elsewhere", unverified(ca("ca")), Link),
        case("a certificate that has expired, unverified", "late", unverified(ca("ca")), Link),
        case("a certificate for clients, unverified", "client", unverified(ca("ca")), Link),
    ]
}

/// `cert` and `key`
fn of_own(files: &Files) -> Vec<Case> {
    let ca = || ca(files, "ca");
    let own = |name: &str| {
        let [cert, key] = ["pem", "key"].map(|kind| files.text(&format!("{name}.{kind}")));
        with(with(ca(), "cert", cert), "key", key)
    };
    let as_text = || with(own("machine-7"), "key", files.read("machine-7.key"));
    let wrong_key = with(own("machine-7"), "key", files.text("relay.key"));
    let half = with(ca(), "cert", files.text("machine-7.pem"));
    vec![
        case("a certificate that nobody requires", "relay", own("machine-7"), Link),
        case("the certificate that is required", "relay+", own("machine-7"), Link),
        case("its key as text", "relay+", as_text(), Link),
        case("both as text", "relay+", with(as_text(), "cert", files.read("machine-7.pem")), Link),
        case("the certificate that is required, unverified", "relay+", unverified(own("machine-7")), Link),
        case("none, and one is required", "relay+", ca(), NoLink(REQUIRED)),
        case("none, and one is required, unverified", "relay+", unverified(json!({})), NoLink(REQUIRED)),
        case("one of another authority", "relay+", own("stranger"), NoLink("that do not take the certificate")),
        case("a certificate without its key", "relay", half, NoStart("both or neither")),
        case("the key of another certificate", "relay", wrong_key, NoStart("not the key of the first certificate")),
    ]
}
