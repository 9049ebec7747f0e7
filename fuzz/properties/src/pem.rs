//! Certificates, keys and lists of revoked ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slipstream::tls::{
    Certificate, ClientAuthorities, ClientTls, ClientTlsOptions, OwnCertificate, OwnFiles, Pem, PemFault, PemSource,
    Roots, ServerTls, ServerTlsOptions,
};
use slipstream_store::Timestamp;

use crate::told::{assert_no_secret, assert_short};

/// Longest text of a fault.
const MOST_TOLD: usize = 1_024;

/// Loads text in PEM as everything that a setting of TLS may name. The first byte says whether the rest is that text, or
/// what stands in one as a certificate, a list of revoked ones, or a key.
///
/// - What is wrong is told in a short line that repeats nothing of the text but labels and names of certificates.
/// - What a certificate says is the same however it is written, and certificates are read as many as there are.
pub fn pem(input: &[u8]) {
    let Some((&kind, rest)) = input.split_first() else { return };
    let text = match kind % 4 {
        0 => rest.to_vec(),
        1 => section("CERTIFICATE", rest),
        2 => section("X509 CRL", rest),
        _ => section("PRIVATE KEY", rest),
    };
    let pem = Pem::new("the text", text.clone());
    let words = String::from_utf8_lossy(&text);
    let mut names = String::new();
    if let Some(ders) = taken(pem.certificates(), &words, "") {
        assert!(!ders.is_empty(), "no certificate was read, and that is no fault");
        for der in &ders {
            let again = taken(Pem::new("again", section("CERTIFICATE", der)).certificates(), "", "");
            assert_eq!(again.as_deref(), Some(&[der.clone()][..]));
            if let Some(certificate) = Certificate::read(der) {
                names += &format!("{certificate:?}");
            }
        }
    }
    if let Some(lists) = taken(pem.revocation_lists(), &words, &names) {
        for list in &lists {
            names += &String::from_utf8_lossy(list);
        }
    }
    taken(pem.key(), &words, &names);
    if let Some(own) = taken(OwnCertificate::new(&pem, &pem), &words, &names) {
        own.warnings(Timestamp::ZERO).iter().for_each(|warning| assert!(!warning.contains(char::is_control)));
    }
    let source = || PemSource::Text(pem.clone());
    let own = OwnFiles { certificate: source(), key: source() };
    let clients = ClientAuthorities { authorities: source(), revoked: Some(source()) };
    taken(ServerTls::load(ServerTlsOptions { own: own.clone(), clients: Some(clients) }), &words, &names);
    let client = ClientTls::new(ClientTlsOptions { roots: Roots::Authorities(source()), own: Some(own) });
    taken(client.load(), &words, &names);
    assert!(!format!("{client:?} {pem:?}").contains("BEGIN"), "the text is printed");
}

/// A section of PEM.
fn section(label: &str, der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)).into_bytes()
}

fn taken<T>(read: Result<T, PemFault>, text: &str, names: &str) -> Option<T> {
    let fault = match read {
        Ok(taken) => return Some(taken),
        Err(fault) => fault.to_string(),
    };
    assert_short(&fault, MOST_TOLD);
    let labels: String = text.lines().filter(|line| line.contains("-----BEGIN")).collect();
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    assert_no_secret(&fault, words, &(labels + names));
    None
}
