//! The dashboard at `/`: a page that asks the API, and the files that it is made of. Nothing in it is secret, so everyone
//! who reaches the port may have it; what it shows comes from the API, which asks who calls.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};

use super::error::ApiError;
use super::response::page;

/// What the page may do: load what this port serves, and nothing else. No inline script or style, no frame around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files of the page, each with its type.
macro_rules! files {
    ($($name:literal: $kind:ident),+ $(,)?) => {
        const FILES: &[(&str, &str, &[u8])] = &[$(($name, $kind, include_bytes!($name))),+];
    };
}

files! {
    "icon.svg": SVG,
    "style.css": CSS,
    "main.js": SCRIPT,
    "api.js": SCRIPT,
    "chart.js": SCRIPT,
    "dead_letters.js": SCRIPT,
    "dialog.js": SCRIPT,
    "dom.js": SCRIPT,
    "format.js": SCRIPT,
    "mesh.js": SCRIPT,
    "peers.js": SCRIPT,
    "rates.js": SCRIPT,
    "trace.js": SCRIPT,
}

/// The page.
pub(super) async fn index() -> Response {
    guarded(HTML, include_bytes!("index.html"))
}

/// One of its files.
pub(super) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, content)) => guarded(kind, content),
        None => ApiError::not_found(format!("the dashboard has no file {name}")).into_response(),
    }
}

fn guarded(kind: &'static str, content: &'static [u8]) -> Response {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    let mut answer = page(StatusCode::OK, HeaderValue::from_static(kind), content);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    ] {
        answer.headers_mut().insert(name, value);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most bytes of the page with all its files, as they go over the wire.
    const MAX_BYTES: usize = 150_000;

    #[test]
    fn the_page_is_small_and_whole() {
        let index = include_str!("index.html");
        let all: usize = FILES.iter().map(|(.., content)| content.len()).sum::<usize>() + index.len();
        assert!(all < MAX_BYTES, "{all} bytes");
        let folder =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/dashboard")).expect("the folder");
        for entry in folder {
            let name = entry.expect("an entry").file_name().into_string().expect("a name");
            let served = name == "mod.rs" || name == "index.html" || FILES.iter().any(|(known, ..)| *known == name);
            assert!(served, "{name} is in the folder, and not served");
        }
        let texts = FILES.iter().map(|(.., content)| std::str::from_utf8(content).expect("text"));
        for text in texts.chain([index]) {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http:") && !text.contains("https:"), "something is elsewhere: {text}");
        }
    }
}
