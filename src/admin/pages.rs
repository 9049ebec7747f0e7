//! What each path answers.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Whether the relay takes messages, and what its ACK is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Why it does not; it is ready where there is no reason.
    pub reasons: Vec<String>,
    /// The engine of the store.
    pub store: String,
    /// The guarantee in force, as a sentence.
    pub guarantee: String,
}

impl Readiness {
    /// Whether the relay takes messages.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Where the pages get what they show. [`render`](Self::render) is called on a thread that may block;
/// [`readiness`](Self::readiness) must answer at once and wait for nothing.
#[derive(Clone)]
pub struct Pages {
    /// Makes the metrics page.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
    /// Tells how the relay is.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

pub(super) type Answer = Response<Full<Bytes>>;

impl Pages {
    /// Answers a request. Its body is not looked at.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Answer {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return error(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {path}"));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let message = format!("{path} takes GET, not {}", request.method());
            let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            "/metrics" => self.metrics().await,
            "/readyz" => self.ready(),
            _ => page(StatusCode::OK, TEXT, "ok\n"),
        }
    }

    async fn metrics(&self) -> Answer {
        let render = Arc::clone(&self.render);
        match tokio::task::spawn_blocking(move || render()).await {
            Ok(text) => page(StatusCode::OK, PROMETHEUS, text),
            Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics page could not be made"),
        }
    }

    fn ready(&self) -> Answer {
        #[derive(Serialize)]
        struct Shown<'a> {
            ready: bool,
            reasons: &'a [String],
            store: &'a str,
            guarantee: &'a str,
        }
        let readiness = (self.readiness)();
        let ready = readiness.is_ready();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(
            status,
            &Shown { ready, reasons: &readiness.reasons, store: &readiness.store, guarantee: &readiness.guarantee },
        )
    }
}

fn page(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn json(status: StatusCode, shown: &impl Serialize) -> Answer {
    match serde_json::to_vec(shown) {
        Ok(body) => page(status, JSON, body),
        Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR, JSON, r#"{"error":{"code":"internal","message":""}}"#),
    }
}

/// An error as every path answers it.
fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    json(status, &serde_json::json!({"error": {"code": code, "message": message}}))
}
