//! How the text of a setting is read. Each reader answers the value, or in words what it expected.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use slipstream_store::{Durability, InvalidId, Tag};

use crate::http;
use crate::link::{Secret, Target};
use crate::relay::BacklogPolicy;
use crate::tls;

/// Most tags that one peer or one message may carry.
pub(super) const MAX_TAGS: usize = 64;

/// The longest duration: ten years of 365 days. Every sum with a point in time stays in range.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// The longest pause before a peer is dialled again.
pub(super) const MAX_REDIAL_PAUSE: Duration = Duration::from_secs(60);

/// The WebSocket listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Listens there; port 0 is any free one.
    At(SocketAddr),
    /// Takes no links.
    Off,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Human,
    /// One JSON object a line.
    Json,
}

/// What must hold before anything is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// A commit waits until a standby has it, too.
    Standby,
}

/// Reads one of the given names.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    match choices.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => Ok(*value),
        None => {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            Err(names.join(" or "))
        }
    }
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("`true` or `false`".to_owned()),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    choice(text, &[("human", LogFormat::Human), ("json", LogFormat::Json)])
}

pub(crate) fn durability(text: &str) -> Result<Durability, String> {
    choice(text, &[("full", Durability::Full), ("relaxed", Durability::Relaxed)])
}

pub(super) fn required(text: &str) -> Result<Required, String> {
    choice(text, &[("standby", Required::Standby)])
}

pub(super) fn backlog_policy(text: &str) -> Result<BacklogPolicy, String> {
    choice(text, &[("reject", BacklogPolicy::Reject), ("drop-oldest", BacklogPolicy::DropOldest)])
}

/// Reads a number from `least` to `most`.
pub(super) fn number<T: FromStr + PartialOrd + Copy + fmt::Display>(
    text: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    match text.parse() {
        Ok(number) if least <= number && number <= most => Ok(number),
        _ => Err(format!("a whole number from {least} to {most}")),
    }
}

/// Splits a quantity such as `30s` into its digits and its unit.
fn quantity(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

/// Reads a duration from `least` to ten years.
pub(crate) fn duration(text: &str, least: Duration) -> Result<Duration, String> {
    duration_up_to(text, least, MAX_DURATION)
}

/// Reads a duration from `least` to `most`, which is whole seconds.
pub(super) fn duration_up_to(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let millis = quantity(text).and_then(|(number, unit)| {
        number.checked_mul(match unit {
            "ms" => 1,
            "s" | "" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return None,
        })
    });
    match millis.map(Duration::from_millis) {
        Some(duration) if (least..=most).contains(&duration) => Ok(duration),
        _ => Err(format!(
            "a duration from {} to {}, such as `500ms`, `30s`, `5m`, `1h` or `7d` (a bare number is seconds)",
            if least.is_zero() { "0" } else { "1ms" },
            if most == MAX_DURATION { "3650d".to_owned() } else { format!("{}s", most.as_secs()) },
        )),
    }
}

/// The shortest duration that is not nothing.
pub(super) const INSTANT: Duration = Duration::from_millis(1);

/// One mebibyte.
pub(super) const MIB: u64 = 1024 * 1024;

/// Reads a number of bytes from `least` to `most_mib` mebibytes.
pub(super) fn size<T: TryFrom<u64>>(text: &str, least: u64, most_mib: u64) -> Result<T, String> {
    let bytes = quantity(text).and_then(|(number, unit)| {
        number.checked_mul(match unit {
            "B" | "" => 1,
            "KiB" => 1024,
            "MiB" => MIB,
            "GiB" => 1024 * MIB,
            "TiB" => 1024 * 1024 * MIB,
            _ => return None,
        })
    });
    bytes
        .filter(|bytes| (least..=most_mib.saturating_mul(MIB)).contains(bytes))
        .and_then(|bytes| T::try_from(bytes).ok())
        .ok_or_else(|| {
            format!("a size from {least} to {most_mib}MiB, such as `512KiB`, `1MiB` or `1GiB` (a bare number is bytes)")
        })
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("a path".to_owned());
    }
    if tls::is_contents(text) {
        return Err("the path of a file, not what is in it".to_owned());
    }
    if text.contains("://") {
        return Err("a path, not a URL".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// Longest token, in bytes. It goes into a header.
pub(crate) const MAX_TOKEN: usize = 4096;

/// Reads a bearer token: 1 to [`MAX_TOKEN`] of the ASCII characters `!` to `~`.
pub(crate) fn token(text: &str) -> Option<Secret> {
    let fits = (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| Secret::new(text.to_owned()))
}

/// As [`token`], for a setting.
pub(super) fn secret(text: &str) -> Result<Secret, String> {
    token(text).ok_or_else(|| format!("1 to {MAX_TOKEN} of the ASCII characters ! to ~"))
}

/// Reads the URL of a database, or what `libpq` takes for one.
pub(super) fn store_url(text: &str) -> Result<Secret, String> {
    match text.starts_with("postgres://") || text.starts_with("postgresql://") || text.contains("host=") {
        true => Ok(Secret::new(text.to_owned())),
        false => Err("postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned()),
    }
}

/// Reads the URL of an HTTP server.
pub(super) fn http_url(text: &str) -> Result<Target, String> {
    http::target(text).map_err(ToOwned::to_owned)
}

/// Most headers for a collector.
const MAX_HEADERS: usize = 16;

/// Reads headers as OpenTelemetry writes them: `NAME=VALUE,…`, with `%XX` in values.
pub(super) fn headers(text: &str) -> Result<Vec<(HeaderName, Secret)>, String> {
    let header = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        HeaderValue::from_str(&value).ok()?;
        Some((name.trim().parse().ok()?, Secret::new(value)))
    };
    let headers: Option<Vec<_>> = text.split(',').map(header).collect();
    headers.filter(|headers| headers.len() <= MAX_HEADERS).ok_or_else(|| {
        format!("up to {MAX_HEADERS} headers, separated by commas, such as `authorization=Bearer%20TOKEN`")
    })
}

/// Longest name of a credential or of a certificate, in characters.
pub(crate) const MAX_NAME: usize = 255;

/// Whether this can be the name of a credential or of a certificate.
pub(crate) fn is_credential_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.chars().count()) && !text.contains(char::is_control) && text.trim() == text
}

pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => {
            text.parse().map_err(|_| "an IP address such as `127.0.0.1`, `0.0.0.0` or `::1`, or `localhost`".to_owned())
        }
    }
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    address.map(Listen::At).ok_or_else(|| {
        "an IP address (or `localhost`) and a port, such as `127.0.0.1:7171` or `[::1]:7171`, or `off`".to_owned()
    })
}

/// Reads an id, a cluster group or another name of the contract crate.
pub(super) fn name<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|invalid: InvalidId| invalid.expected().to_owned())
}

/// Reads what may be absent: an empty text is `None`.
pub(super) fn optional<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// Reads tags, separated by commas. An empty text is no tags.
pub(super) fn tags(text: &str) -> Result<Vec<Tag>, String> {
    let expected = || format!("up to {MAX_TAGS} tags, separated by commas, each 1 to 64 of A-Z a-z 0-9 . _ : -");
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let tags: Vec<Tag> =
        text.split(',').map(|tag| Tag::new(tag.trim())).collect::<Result<_, _>>().map_err(|_| expected())?;
    if tags.len() <= MAX_TAGS { Ok(tags) } else { Err(expected()) }
}
