//! What a URL of `libpq` may say that `tokio-postgres` does not take.

use std::borrow::Cow;

use slipstream_store::{Result, StoreError};

/// A URL that `tokio-postgres` takes, and what was in it besides.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) url: Cow<'a, str>,
    /// The contents of the file that `sslrootcert` names.
    pub(crate) root_certificates: Option<Vec<u8>>,
}

impl<'a> Address<'a> {
    /// Reads a URL. `sslmode=verify-full` and `verify-ca` are `require`, because the certificate and the name in it are
    /// always looked at; `sslrootcert=system` is what holds without it. A text that is no URL is left as it is.
    ///
    /// # Errors
    /// `Inaccessible` if the file cannot be read.
    pub(crate) fn read(url: &'a str) -> Result<Self> {
        let Some((address, query)) = url.split_once('?').filter(|(address, _)| address.contains("://")) else {
            return Ok(Self { url: Cow::Borrowed(url), root_certificates: None });
        };
        let (mut kept, mut root_certificates) = (Vec::new(), None);
        for setting in query.split('&') {
            match setting.split_once('=') {
                Some(("sslmode", "verify-full" | "verify-ca")) => kept.push("sslmode=require"),
                Some(("sslrootcert", "system" | "")) => {}
                Some(("sslrootcert", path)) => root_certificates = Some(certificates(path)?),
                _ => kept.push(setting),
            }
        }
        let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
        Ok(Self { url: Cow::Owned(format!("{address}{query}")), root_certificates })
    }
}

fn certificates(path: &str) -> Result<Vec<u8>> {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    std::fs::read(&*path).map_err(|error| {
        StoreError::Inaccessible(format!("the URL of the store: sslrootcert: {path}: {error}; expected a file in PEM"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_takes_besides_is_taken_too() {
        let read = |url| Address::read(url).unwrap().url.into_owned();
        for (url, left) in [
            ("postgres://h/d", "postgres://h/d"),
            ("postgres://h/d?sslmode=verify-full&sslrootcert=system", "postgres://h/d?sslmode=require"),
            ("postgres://h/d?sslrootcert=system", "postgres://h/d"),
            ("postgres://h/d?connect_timeout=3&sslmode=disable", "postgres://h/d?connect_timeout=3&sslmode=disable"),
            ("host=h password=a?sslmode=verify-full", "host=h password=a?sslmode=verify-full"),
        ] {
            assert_eq!(read(url), left);
        }
        let missing = Address::read("postgres://me:hunter2@h/d?sslrootcert=/no/such%20file").unwrap_err().to_string();
        assert!(missing.contains("/no/such file") && !missing.contains("hunter2"), "{missing}");
    }
}
