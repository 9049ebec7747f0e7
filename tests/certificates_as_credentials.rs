//! Client certificates as credentials: the program on both ends, over TLS (OPERATING: "Auth file").

#![cfg(test)]

mod support;

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use support::{Process, Relay, assert_has};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// An authority, and a folder with what it has issued.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Self { issuer, folder };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("it is written");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Issues `NAME.pem` and `NAME.key` for this common name and these alternative names.
    fn issue(&self, name: &str, alternative: &[&str]) {
        self.issue_until(name, alternative, OffsetDateTime::now_utc() + Duration::days(1));
    }

    fn issue_until(&self, name: &str, alternative: &[&str], end: OffsetDateTime) {
        let names: Vec<String> = alternative.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = end;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// The flags of a relay that wants certificates of this authority.
    fn server_flags(&self) -> Vec<String> {
        let flags = [("--tls-cert", "server.pem"), ("--tls-key", "server.key"), ("--tls-client-ca", "ca.pem")];
        flags.iter().flat_map(|(flag, name)| [(*flag).to_owned(), self.path(name)]).collect()
    }

    /// What `send` said that showed the certificate of `name`, and how it ended.
    async fn send(&self, url: &str, name: &str, id: &str) -> (Option<i32>, String) {
        self.run(name, &["send", "--to", url, "--id", id, "k", "1"]).await
    }

    /// What a command said that showed the certificate of `name`, and how it ended.
    async fn run(&self, name: &str, command: &[&str]) -> (Option<i32>, String) {
        let (ca, cert, key) =
            (self.path("ca.pem"), self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let tls = ["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key];
        let mut process = Process::spawn([command, &tls].concat(), &[]);
        let status = process.end().await;
        (status.code(), process.stderr())
    }
}

async fn start(folder: &Path, flags: &[String]) -> (Relay, String) {
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--storage-path"].map(str::to_owned);
    let store = folder.join("store").to_str().expect("UTF-8").to_owned();
    let mut process = Process::spawn(arguments.iter().chain([&store]).chain(flags), &[]);
    let url = process.printed("where it takes links", |line| {
        let at = line.find("wss://")?;
        line.trim_start().starts_with("links").then(|| line[at..].to_owned())
    });
    let url = url.await;
    let links = url.trim_start_matches("wss://").trim_end_matches('/').parse().expect("an address");
    (Relay { process, links, admin: links }, url)
}

fn authority() -> Authority {
    let authority = Authority::new();
    authority.issue("server", &["127.0.0.1"]);
    authority.issue("machine-7", &[]);
    authority.issue("some-machine", &["shop.example"]);
    authority.issue("stranger", &[]);
    authority
}

#[tokio::test]
async fn the_names_of_a_certificate_are_bound_to_ids() {
    let authority = authority();
    let file = authority.write(
        "auth.toml",
        "[[credential]]\ncertificate_subject = \"machine-7\"\nid = \"machine-7\"\n\n\
         [[credential]]\ncertificate_subject = \"shop.example\"\nid = \"shop-*\"\n",
    );
    let flags = [authority.server_flags(), vec!["--auth-file".to_owned(), file]].concat();
    let (relay, url) = start(authority.folder.path(), &flags).await;
    for (name, id) in [("machine-7", "machine-7"), ("some-machine", "shop-1")] {
        let (code, told) = authority.send(&url, name, id).await;
        assert_eq!(code, Some(0), "{name}: {told}");
    }
    for (name, id, parts) in [
        ("machine-7", "shop-1", ["403", "this credential is for machine-7, not for shop-1"]),
        ("some-machine", "machine-7", ["403", "this credential is for shop-*, not for machine-7"]),
        ("stranger", "stranger", ["401", "no credential here is for the names of this certificate: stranger"]),
    ] {
        let (code, told) = authority.send(&url, name, id).await;
        assert_eq!(code, Some(1), "{name}: {told}");
        assert_has(&told, parts);
    }
    assert_has(&relay.process.stderr(), ["principal=\"machine-7\"", "principal=\"shop.example\""]);
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn without_an_auth_file_every_certificate_of_the_authority_is_let_in() {
    let authority = authority();
    let flags = [authority.server_flags(), vec!["--tls-end-at-expiry".to_owned()]].concat();
    let (relay, url) = start(authority.folder.path(), &flags).await;
    let (code, told) = authority.send(&url, "stranger", "anything").await;
    assert_eq!(code, Some(0), "{told}");
    assert_has(&relay.process.stderr(), ["CN=stranger"]);
    let other = Authority::new();
    other.issue("stranger", &[]);
    std::fs::copy(authority.path("ca.pem"), other.path("ca.pem")).expect("it is copied");
    let (code, told) = other.send(&url, "stranger", "anything").await;
    assert_eq!(code, Some(1), "another authority has issued it: {told}");
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_link_ends_with_its_certificate_if_that_is_asked_for() {
    let authority = authority();
    let flags = [authority.server_flags(), vec!["--tls-end-at-expiry".to_owned()]].concat();
    let (relay, url) = start(authority.folder.path(), &flags).await;
    // On a slow machine the first certificates have expired before they are shown.
    for seconds in [2, 4, 8, 16, 32, 64] {
        authority.issue_until("short", &[], OffsetDateTime::now_utc() + Duration::seconds(seconds));
        let (code, told) = authority.run("short", &["listen", "--to", &url, "--id", "short", "--once"]).await;
        assert_eq!(code, Some(1));
        if told.contains("1008") {
            assert_has(&told, ["the certificate has expired"]);
            assert!(relay.stop().await.success());
            return;
        }
    }
    panic!("no link has ended with its certificate:\n{}", relay.process.stderr());
}
