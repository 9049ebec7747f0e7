//! `slipstream tls`: files for a trial of mutual TLS.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use slipstream_store::PeerId;
use time::{Duration, OffsetDateTime};

use super::output;
use crate::tls::is_server_name;

pub(super) const EXAMPLE: &str = "\
Example:
  slipstream tls demo ./demo
  slipstream serve --tls-cert demo/relay-aws.pem --tls-key demo/relay-aws.key --tls-client-ca demo/ca.pem \\
    --auth-file demo/auth.toml
  slipstream send --to wss://localhost:7171/ --tls-ca demo/ca.pem --tls-cert demo/app.pem --tls-key demo/app.key key 1

This is no PKI: the key of the authority is thrown away, nothing can be renewed or revoked, and after 90 days all of it has
expired. docs/security.md shows how certificates are made that last.";

/// How long the certificates are valid.
const VALID: Duration = Duration::days(90);

/// Whose certificate is that of the applications, and whose that of the authority.
const APPLICATION: &str = "app";
const AUTHORITY: &str = "ca";

/// Files for TLS.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Makes the files for a trial of mutual TLS: an authority, a certificate for each relay and for applications, and an
    /// auth file.
    #[command(after_help = EXAMPLE)]
    Demo(Demo),
}

/// `tls demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// The folder that they are written into. It is made; one that has something in it is refused.
    folder: PathBuf,
    /// The ids of the relays, each of which gets a certificate.
    #[arg(long, value_delimiter = ',', default_value = "relay-aws,relay-azure,relay-gcp")]
    relays: Vec<PeerId>,
    /// Names and addresses under which each relay may be dialled, besides its id.
    #[arg(long, value_delimiter = ',', default_value = "localhost,127.0.0.1,::1", value_parser = host)]
    hosts: Vec<String>,
}

/// Runs the command.
pub(super) fn run(Command::Demo(demo): &Command) -> ExitCode {
    if let Some(fault) = fault(demo) {
        return output::fail(output::MISUSED, &fault);
    }
    match write(demo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::fail(output::FAILED, &format!("{error:#}")),
    }
}

fn host(text: &str) -> Result<String, &'static str> {
    let expected = "expected a name such as `relay.example`, or an address such as `10.0.1.1`; no `*`, port or URL";
    is_server_name(text).then(|| text.to_owned()).ok_or(expected)
}

/// What is wrong with the ids of the relays, each of which is the name of two files.
fn fault(Demo { relays, .. }: &Demo) -> Option<String> {
    for (at, id) in relays.iter().enumerate() {
        if [APPLICATION, AUTHORITY].contains(&id.as_str()) {
            return Some(format!("--relays: got {id}, which is the name of another certificate; expected another id"));
        }
        if relays[..at].contains(id) {
            return Some(format!("--relays: got {id} twice; expected each id once"));
        }
    }
    None
}

fn write(Demo { folder, relays, hosts }: &Demo) -> anyhow::Result<()> {
    let place = || folder.display().to_string();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(place)?;
    if fs::read_dir(folder).with_context(place)?.next().is_some() {
        bail!("{}: it is not empty; expected a new folder", place());
    }
    let authority = authority()?;
    save(folder, &format!("{AUTHORITY}.pem"), &authority.pem)?;
    for id in relays {
        let id = id.as_str();
        // An id need not be a name that can be dialled.
        let own = is_server_name(id).then(|| id.to_owned());
        issue(folder, id, own.into_iter().chain(hosts.iter().cloned()).collect(), &authority.issuer)?;
    }
    issue(folder, APPLICATION, vec![APPLICATION.to_owned()], &authority.issuer)?;
    save(folder, "auth.toml", &credentials(relays))?;
    output::line(&format!(
        "{}: ca.pem, auth.toml, and NAME.pem with NAME.key for {} and {APPLICATION}. For a trial only: no PKI, valid for {} \
         days",
        place(),
        relays.iter().map(PeerId::as_str).collect::<Vec<_>>().join(", "),
        VALID.whole_days()
    ))?;
    Ok(())
}

/// The auth file: a relay is itself alone, and an application may have any other id.
fn credentials(relays: &[PeerId]) -> String {
    let mut text =
        "# For a trial only. An application is whoever shows app.pem, under any id but those of the relays.\n"
            .to_owned();
    for id in relays {
        text +=
            &format!("\n[[credential]]\ncertificate_subject = \"{id}\"\nid = \"{id}\"\ntags = [\"*\"]\nrelay = true\n");
    }
    text + &format!("\n[[credential]]\ncertificate_subject = \"{APPLICATION}\"\nid = \"*\"\ntags = [\"*\"]\n")
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> anyhow::Result<Authority> {
    let mut params = params(Vec::new(), "slipstream tls demo (no PKI)")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok(Authority { pem, issuer: Issuer::new(params, key) })
}

/// Each is a server's and a client's: a relay is dialled, and dials.
fn issue(folder: &Path, name: &str, names: Vec<String>, issuer: &Issuer<'_, KeyPair>) -> anyhow::Result<()> {
    let mut params = params(names, name)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    save(folder, &format!("{name}.pem"), &params.signed_by(&key, issuer)?.pem())?;
    save(folder, &format!("{name}.key"), &key.serialize_pem())
}

fn params(names: Vec<String>, common_name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    // A machine whose clock is a little late takes them, too.
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = OffsetDateTime::now_utc() + VALID;
    Ok(params)
}

/// Only the user may read it.
fn save(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())
    };
    written().with_context(|| path.display().to_string())
}
