//! Who may use the API: whether anyone may at all, and that no web page of another site does it through a browser.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may use the API. The metrics and the health pages are for everyone who reaches the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiAccess {
    /// Whoever runs a program on this machine: the port is on loopback.
    Machine,
    /// Whoever reaches the port.
    Anyone,
    /// Nobody: the port is beyond loopback, and nothing asks who calls.
    Nobody,
}

/// Why a request may not use the API: the code and the message of the answer.
pub(super) type Forbidden = (&'static str, &'static str);

impl ApiAccess {
    /// Looks at who asks. A browser says itself which site a page is from that asks.
    pub(super) fn check(self, headers: &HeaderMap) -> Result<(), Forbidden> {
        if self == Self::Nobody {
            return Err((
                "forbidden",
                "METRICS_HOST is beyond loopback and nothing asks who calls, so the API is closed; SLIPSTREAM_ALLOW_INSECURE=true opens it",
            ));
        }
        // A page whose name was made to lead to this machine looks like its own site to the browser.
        if self == Self::Machine && !host(headers)?.is_none_or(|host| is_here(host.host())) {
            return Err(("cross_site", "expected a Host that is localhost or an address"));
        }
        let site = text(headers, &SEC_FETCH_SITE)?;
        if !matches!(site, None | Some("same-origin" | "none"))
            || !is_own(text(headers, &ORIGIN)?, host(headers)?.as_ref())
        {
            return Err(("cross_site", "a page of another site may not use the API"));
        }
        Ok(())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Forbidden> {
    let value = headers.get(name).map(|value| value.to_str()).transpose();
    value.map_err(|_| ("cross_site", "expected headers of visible ASCII characters"))
}

fn host(headers: &HeaderMap) -> Result<Option<Authority>, Forbidden> {
    let host = text(headers, &HOST)?.map(str::parse).transpose();
    host.map_err(|_| ("cross_site", "expected a Host that is a name or an address, and a port"))
}

/// Whether a host cannot be a name that somebody else gives to this machine.
fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

/// Whether the origin of a page, if it is one, is what it asks.
fn is_own(origin: Option<&str>, host: Option<&Authority>) -> bool {
    let Some(origin) = origin else { return true };
    let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    // Authorities compare without regard to case.
    place.and_then(|place| place.parse().ok()).is_some_and(|place: Authority| Some(&place) == host)
}
