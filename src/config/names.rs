//! Names that mean nothing to this version: what to do instead, and what Kubernetes puts there unasked.

use super::fault::Fault;
use super::nearest::{PREFIX, bare, hint, nearest};
use super::setting::Setting;
use super::table::{SETTINGS, SUBSCRIBERS, URL_CONFIG};

/// Tables of the file, each with the setting that it stands for.
pub(super) const TABLES: [(&str, &Setting); 2] = [("peer", &URL_CONFIG), ("subscriber", &SUBSCRIBERS)];

/// Where the commands find a running relay if no flag says so: its links, and its admin port.
pub(crate) const RELAY_URL: &str = "SLIPSTREAM_URL";
pub(crate) const ADMIN_URL: &str = "SLIPSTREAM_ADMIN_URL";

/// Where `trace --follow` finds the admin ports of other relays.
pub(crate) const ADMIN_URLS: &str = "SLIPSTREAM_ADMIN_URLS";

/// What the commands show a relay that asks who calls.
pub(crate) const TOKEN: &str = "SLIPSTREAM_TOKEN";

/// What they show its admin port. It is the setting of the relay too.
pub(crate) const ADMIN_TOKEN: &str = "SLIPSTREAM_ADMIN_TOKEN";

/// Variables that other commands read. A relay that is started beside them has no use for them.
const OF_COMMANDS: &[&str] = &[RELAY_URL, ADMIN_URL, ADMIN_URLS, TOKEN];

/// What an environment variable that is no setting is to this version.
pub(super) enum Stranger {
    /// Of no concern to it.
    Foreign,
    /// Put there by Kubernetes for a Service.
    ServiceLink,
    /// Meant for it, and wrong.
    Wrong(Fault),
}

/// Judges an environment variable that is no setting.
pub(super) fn stranger(variable: &str, value: &str) -> Stranger {
    if OF_COMMANDS.contains(&variable) {
        return Stranger::Foreign;
    }
    let place = || format!("{variable} (environment)");
    match variable.strip_prefix(PREFIX) {
        None => Stranger::Foreign,
        Some(_) if is_service_link(variable, value) => Stranger::ServiceLink,
        Some(bare) => {
            let tables = TABLES.map(|(table, setting)| (table, setting.variable.to_owned()));
            let settings = SETTINGS.iter().map(|setting| (setting.key, setting.variable.to_owned()));
            Stranger::Wrong(unknown(place(), bare, settings.chain(tables)))
        }
    }
}

/// Judges a key of the file that is no setting.
pub(super) fn strange_key(place: String, key: &str) -> Fault {
    let of = |variables: &[&str]| variables.iter().any(|variable| bare(variable) == bare(key));
    if of(OF_COMMANDS) {
        return Fault::new(place, "other commands than serve read this, and from the environment only; take it out");
    }
    let tables = TABLES.map(|(table, _)| (table, format!("[[{table}]]")));
    let settings = SETTINGS.iter().map(|setting| (setting.key, setting.key.to_owned()));
    unknown(place, key, settings.chain(tables))
}

// The values of names that this version does not know are never repeated: they may be secrets.

/// A name among names that it is none of, each of which has its key and how it is written.
fn unknown(place: String, name: &str, known: impl Iterator<Item = (&'static str, String)>) -> Fault {
    let known: Vec<_> = known.collect();
    let near = nearest(name, known.iter().map(|(key, _)| *key));
    let written = known.iter().find(|(key, _)| Some(*key) == near).map(|(_, written)| written);
    Fault::new(place, format!("there is no such setting{}", hint(written.map(String::as_str))))
}

/// Whether Kubernetes puts this variable into a container for a Service, as Docker once did for a link: for one that is
/// named `slipstream` or begins with that, or, as with METRICS_PORT, whose name happens to make that of a setting.
pub(super) fn is_service_link(variable: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_url = || {
        let mut urls = PROTOCOLS.iter().map(|protocol| protocol.to_ascii_lowercase() + "://");
        urls.any(|scheme| value.starts_with(&scheme))
    };
    if variable.ends_with("_SERVICE_HOST") || variable.ends_with("_SERVICE_PORT") || variable.contains("_SERVICE_PORT_")
    {
        return true;
    }
    if variable.ends_with("_PORT") && is_url() {
        return true;
    }
    // NAME_PORT_7171_TCP, and the same with _PROTO, _PORT and _ADDR.
    let Some((_, port)) = variable.rsplit_once("_PORT_") else { return false };
    let mut parts = port.split('_');
    let (number, protocol, part) = (parts.next(), parts.next(), parts.next());
    number.is_some_and(is_number)
        && protocol.is_some_and(|protocol| PROTOCOLS.contains(&protocol))
        && matches!(part, None | Some("PROTO" | "PORT" | "ADDR"))
        && parts.next().is_none()
}
