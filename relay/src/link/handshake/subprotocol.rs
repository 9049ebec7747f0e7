//! The subprotocols that a client may name (RFC 6455, section 1.9). Pure.
//!
//! There is one, which a client need not name. Beside it a browser, which cannot set headers, can bring a credential;
//! that is not a subprotocol, so it is never echoed. Of several that a client offers the relay picks its own, as
//! servers do.

use hyper::header::{self, HeaderMap};

use super::refusal::Refusal;
use super::secret::Secret;

/// The subprotocol.
pub(super) const SLIPSTREAM: &str = "slipstream.v1";

/// What a credential begins with.
const BEARER: &str = "slipstream.bearer.";

/// What a client named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// The subprotocol of the link, which the answer must name.
    pub(super) chosen: Option<&'static str>,
    /// The credential, where it brought one.
    pub(super) token: Option<Secret>,
}

impl Named {
    /// Reads what a client offers.
    ///
    /// # Errors
    /// A 400 where it offers something and nothing of it is spoken here, or two credentials.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut named = Self::default();
        let mut others = false;
        for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
            let list = value.to_str().map_err(|_| refused("expected visible ASCII characters"))?;
            for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                if name == SLIPSTREAM {
                    named.chosen = Some(SLIPSTREAM);
                } else if let Some(token) = name.strip_prefix(BEARER) {
                    if named.token.replace(Secret::new(token.to_owned())).is_some() {
                        return Err(refused(&format!("{BEARER} is given twice")));
                    }
                } else {
                    others = true;
                }
            }
        }
        match named.chosen {
            // What was offered is not repeated: it may be a credential that was mistyped.
            None if others => Err(refused(&format!("expected {SLIPSTREAM}, or none, got another"))),
            None if named.token.is_some() => Err(refused(&format!("expected {SLIPSTREAM} beside the credential"))),
            _ => Ok(named),
        }
    }
}

fn refused(what: &str) -> Refusal {
    Refusal::bad_request(format!("Sec-WebSocket-Protocol: {what}"))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Result<Named, String> {
        let lines = lines
            .iter()
            .map(|line| (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_bytes(line.as_bytes()).expect("a header")));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        Named::read(&headers).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn our_own_is_picked_from_whatever_is_offered() {
        assert_eq!(read(&[]), Ok(Named::default()));
        assert_eq!(read(&["", " , "]), Ok(Named::default()));
        for offer in [&["slipstream.v1"][..], &["mqtt, slipstream.v1"], &["mqtt", "slipstream.v1,soap"]] {
            assert_eq!(read(offer), Ok(Named { chosen: Some("slipstream.v1"), token: None }), "{offer:?}");
        }
        for offer in [&["slipstream.v1, slipstream.bearer.s3cret"][..], &["slipstream.bearer.s3cret", "slipstream.v1"]]
        {
            let token = Some(Secret::new("s3cret".to_owned()));
            assert_eq!(read(offer), Ok(Named { chosen: Some("slipstream.v1"), token }), "{offer:?}");
        }
    }

    #[test]
    fn what_is_not_spoken_here_is_refused() {
        for (offer, part) in [
            ("mqtt", "400: Sec-WebSocket-Protocol: expected slipstream.v1, or none, got another"),
            ("slipstream.v2, mqtt", "got another"),
            ("Slipstream.V1", "got another"),
            ("\u{e9}", "visible ASCII"),
            ("slipstream.v1, slipstream.bearer.a, slipstream.bearer.b", "twice"),
        ] {
            let refusal = read(&[offer]).expect_err("refused");
            assert!(refusal.contains(part), "{offer}: {refusal}");
        }
    }

    #[test]
    fn a_credential_is_never_repeated() {
        for offer in ["slipstream.bearer.s3cret", "mqtt, slipstream.bearer.s3cret", "slipstream.baerer.s3cret"] {
            let refusal = read(&[offer]).expect_err("refused");
            assert!(refusal.contains("slipstream.v1") && !refusal.contains("s3cret"), "{offer}: {refusal}");
        }
        let named = read(&["slipstream.v1, slipstream.bearer.s3cret"]);
        assert!(!format!("{named:?}").contains("s3cret"));
    }
}
