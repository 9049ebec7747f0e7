//! Certificates, keys and lists, made by openssl in a folder of the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// Extensions of a host's certificate, for the names that the tests dial.
pub const HOST: &str = "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1,DNS:localhost";
/// Extensions of a client's certificate.
pub const CLIENT: &str = "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\nsubjectAltName=DNS:machine-7";

/// A folder of them: `NAME.pem` is a certificate, `NAME.key` its key.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// With an authority `ca`, and what it has issued: a host `relay` and a client `machine-7`.
    pub fn usual() -> Self {
        let files = Self::new();
        files.authority("ca");
        files.issue("ca", "relay", HOST, 90);
        files.issue("ca", "machine-7", CLIENT, 90);
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path of UTF-8").to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).expect(name);
    }

    /// Runs openssl in the folder.
    pub fn openssl(&self, arguments: &str) {
        let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(self.0.path()).output();
        let ran = ran.expect("openssl runs; tests/run installs it");
        assert!(ran.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    pub fn key(&self, name: &str) {
        self.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
    }

    /// Makes an authority.
    pub fn authority(&self, name: &str) {
        self.key(name);
        self.openssl(&format!(
            "req -x509 -key {name}.key -out {name}.pem -days 90 -subj /CN={name} -addext keyUsage=critical,keyCertSign,cRLSign"
        ));
    }

    /// Makes an authority that has expired.
    pub fn expired_authority(&self, name: &str) {
        self.key(name);
        self.request(name, "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign");
        self.openssl(&format!(
            "x509 -req -in {name}.csr -signkey {name}.key -days -1 -extfile {name}.ext -out {name}.pem"
        ));
    }

    /// Has an authority issue a certificate with these extensions, for a key of its own.
    pub fn issue(&self, authority: &str, name: &str, extensions: &str, days: i32) {
        self.key(name);
        self.issue_for_key(authority, name, extensions, days);
    }

    /// The same for a key that is there.
    pub fn issue_for_key(&self, authority: &str, name: &str, extensions: &str, days: i32) {
        self.request(name, extensions);
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days {days} -extfile \
             {name}.ext -out {name}.pem"
        ));
    }

    /// Has it issue one that ends at this moment, for a key of its own.
    pub fn issue_until(&self, authority: &str, name: &str, extensions: &str, end: OffsetDateTime) {
        self.issue_dated(authority, name, extensions, &format!("-enddate {}", date(end)));
    }

    /// Has it issue one that begins at this moment and lasts for so many days, for a key of its own.
    pub fn issue_from(&self, authority: &str, name: &str, extensions: &str, begin: OffsetDateTime, days: i64) {
        let end = begin + Duration::days(days);
        self.issue_dated(authority, name, extensions, &format!("-startdate {} -enddate {}", date(begin), date(end)));
    }

    fn issue_dated(&self, authority: &str, name: &str, extensions: &str, dates: &str) {
        self.key(name);
        self.request(name, extensions);
        let by = self.registry(authority);
        self.openssl(&format!("ca {by} -batch -notext -in {name}.csr -extfile {name}.ext {dates} -out {name}.pem"));
    }

    fn request(&self, name: &str, extensions: &str) {
        self.write(&format!("{name}.ext"), extensions);
        self.openssl(&format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
    }

    /// Makes an empty registry for an authority, and returns what names both to openssl.
    fn registry(&self, authority: &str) -> String {
        self.write(
            "ca.cnf",
            format!(
                "[ca]\ndefault_ca=here\n[here]\ndatabase={0}/{authority}.txt\ncrlnumber={0}/{authority}.number\n\
                 new_certs_dir={0}\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n",
                self.folder().display()
            ),
        );
        self.write(&format!("{authority}.txt"), "");
        self.write(&format!("{authority}.number"), "01");
        format!("-config ca.cnf -keyfile {authority}.key -cert {authority}.pem")
    }

    /// The authority's list of revoked certificates, `NAME.crl`, with these on it. It is up to date for so many days.
    pub fn revoke(&self, authority: &str, revoked: &[&str], days: i32) {
        let by = self.registry(authority);
        for name in revoked {
            self.openssl(&format!("ca {by} -revoke {name}.pem"));
        }
        let until = if days < 0 {
            "-crl_nextupdate 20200102000000Z -crl_lastupdate 20200101000000Z".to_owned()
        } else {
            format!("-crldays {days}")
        };
        self.openssl(&format!("ca {by} -gencrl {until} -out {authority}.crl"));
    }

    /// The flags of a listener that shows `name`.
    pub fn listener(&self, name: &str) -> Vec<String> {
        vec![
            "--tls-cert".to_owned(),
            self.text(&format!("{name}.pem")),
            "--tls-key".to_owned(),
            self.text(&format!("{name}.key")),
        ]
    }

    /// The same, which takes the clients of `ca` alone.
    pub fn mutual(&self, name: &str) -> Vec<String> {
        let mut flags = self.listener(name);
        flags.extend(["--tls-client-ca".to_owned(), self.text("ca.pem")]);
        flags
    }

    /// The flags of a command that takes the servers of `ca`, and shows `name` if there is one.
    pub fn client(&self, name: Option<&str>) -> Vec<String> {
        let own = name.map_or_else(Vec::new, |name| self.listener(name));
        [vec!["--tls-ca".to_owned(), self.text("ca.pem")], own].concat()
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }
}

/// A moment as openssl takes it.
fn date(moment: OffsetDateTime) -> String {
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    format!("{year}{:02}{day:02}{hour:02}{minute:02}{second:02}Z", u8::from(month))
}

/// Flags as a relay or a command takes them.
pub fn each(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}
