//! What this end has shown the server that it dialled, and that nobody else may see. Servers repeat in their answers what
//! they were asked: `Cannot GET /events?key=…`.

use std::sync::Arc;

use super::handshake::Secret;

/// The shortest text that can be a secret. Replacing a shorter one, such as `shard=3`, would spoil what it stands in.
const SHORTEST: usize = 6;

/// The token and the query with which a server was asked for a link.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<[Secret]>);

impl Shown {
    /// What a request for this path and query shows, with this token.
    pub(super) fn of(target: &str, token: Option<&Secret>) -> Self {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let written = query.split('&').map(|field| field.split_once('=').map_or(field, |(_, value)| value));
        let meant = form_urlencoded::parse(query.as_bytes()).flat_map(|(name, value)| [name, value]);
        let texts = written.map(str::to_owned).chain(meant.map(Into::into));
        let texts = texts.chain(token.map(|token| token.expose().to_owned()));
        let mut texts: Vec<String> = texts.filter(|text| text.len() >= SHORTEST).collect();
        // One may be a part of another.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts.into_iter().map(Secret::new).collect())
    }

    /// A text that came from there, without any of it.
    pub(super) fn hidden_in(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| match text.contains(secret.expose()) {
            true => text.replace(secret.expose(), "…"),
            false => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_repeats_is_hidden() {
        let token = Secret::new("hush-hush-token".to_owned());
        let shown = Shown::of("/events?key=hush%20hush%21&shard=3&hushhush", Some(&token));
        for (text, left) in [
            ("Cannot GET /events?key=hush%20hush%21&amp;shard=3", "Cannot GET /events?key=…&amp;shard=3"),
            ("no such key: hush hush!", "no such key: …"),
            ("expected no hushhush in shard 3", "expected no … in shard 3"),
            ("Bearer hush-hush-token is no token", "Bearer … is no token"),
            ("come back later", "come back later"),
        ] {
            assert_eq!(shown.hidden_in(text.to_owned()), left);
        }
        assert_eq!(Shown::of("/?shard=3", None).hidden_in("error 503, shard 3".to_owned()), "error 503, shard 3");
    }
}
