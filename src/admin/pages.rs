//! What each path answers.

use std::fmt;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::{Request, StatusCode};
use serde::Serialize;

use super::access::ApiAccess;
use super::answer::{Answer, PROMETHEUS, TEXT, error, json, page};
use super::api;
use super::backup::Backups;
use super::route::{Route, is_api};
use crate::logging::{SwitchChange, Switches};

/// Whether the relay takes messages, and what its ACK is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Why it does not; it is ready where there is no reason.
    pub reasons: Vec<String>,
    /// The dialled peers that do not answer for so long that their circuit is open. They make nothing unready: others
    /// are served, and what these are owed is kept.
    pub open_circuits: Vec<String>,
    /// The engine of the store.
    pub store: String,
    /// The guarantee in force, as a sentence. None is while the store is being opened.
    pub guarantee: Option<String>,
}

impl Readiness {
    /// Whether the relay takes messages.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Where the pages get what they show. [`render`](Self::render) is called on a thread that may block; the others must
/// answer at once and wait for nothing.
#[derive(Clone)]
pub struct Pages {
    /// Makes the metrics page.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
    /// Tells how the relay is.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// Changes what is logged, where it is asked to, and tells what is logged then, or in words why that failed.
    pub logging: Arc<dyn Fn(SwitchChange) -> Result<Switches, String> + Send + Sync>,
    /// Makes backups of the store, once it is open.
    pub backups: Option<Backups>,
    /// Who may use the API.
    pub api: ApiAccess,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

impl Pages {
    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if is_api(path)
            && let Err((code, message)) = self.api.check(request.headers())
        {
            return error(StatusCode::FORBIDDEN, code, message);
        }
        let Some(route) = Route::at(path) else {
            return error(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {path}"));
        };
        if !route.takes(request.method()) {
            let allowed = route.allowed();
            let message = format!("{path} takes {}, not {}", allowed.to_str().unwrap_or_default(), request.method());
            let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        }
        match route {
            Route::Metrics => self.metrics().await,
            Route::Alive => page(StatusCode::OK, TEXT, "ok\n"),
            Route::Ready => self.ready(),
            Route::Api(endpoint) => api::answer(self, endpoint, request).await,
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
        let readiness = (self.readiness)();
        let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &ReadinessBody { ready: readiness.is_ready(), readiness: &readiness })
    }
}

#[derive(Serialize)]
struct ReadinessBody<'a> {
    ready: bool,
    #[serde(flatten)]
    readiness: &'a Readiness,
}
