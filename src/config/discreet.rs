//! What may be repeated of a text that is not what it should be. It may be a secret that was put in the wrong place.

use std::borrow::Cow;

use crate::tls;

/// A value as a fault repeats it: nothing of what belongs into a file of keys, and of a URL what [`url`] leaves.
pub(super) fn discreet(value: &str) -> Cow<'_, str> {
    if tls::is_contents(value) {
        Cow::Borrowed("…")
    } else if value.contains("://") {
        Cow::Owned(url(value))
    } else {
        Cow::Borrowed(value)
    }
}

/// A text that should have been a URL, without what stands where a URL has a password or a query.
pub(crate) fn url(text: &str) -> String {
    let (url, query) = text.split_once('?').map_or((text, ""), |(url, _)| (url, "?…"));
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("…@{host}"));
    let slashes = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{slashes}{host}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_passwords_and_queries_are_not_repeated() {
        for (value, shown) in [
            ("sqlight", "sqlight"),
            ("/var/lib/slipstream/relay-aws/and/a/very/long/path/that/has/no/dots/at/all/until/its/end/in.pem", ""),
            ("-----BEGIN PRIVATE KEY-----", "…"),
            ("[[credential]]\ntoken = 5", "…"),
            ("MC4CAQAwBQYDK2VwBCIEIHxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "…"),
            ("postgres://me:hush@db.example/slipstream", "postgres://…@db.example/slipstream"),
            ("ws://host/path?key=hush", "ws://host/path?…"),
        ] {
            assert_eq!(discreet(value), if shown.is_empty() { value } else { shown });
        }
    }
}
