//! One request to the collector, and what an operator hears of those that fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use prost::Message;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::http;
use crate::link::{Secret, Target};
use crate::listen::Seldom;

/// How long the collector may take for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Where to export to.
pub(super) struct Collector {
    target: Target,
    headers: Vec<(HeaderName, Secret)>,
    seldom: Seldom,
    failing: AtomicBool,
}

/// Why the collector did not take something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may take it later, after that time if it has named one.
    Later(Option<Duration>),
    /// It never will.
    Never,
}

impl Collector {
    pub(super) fn new(target: Target, headers: Vec<(HeaderName, Secret)>) -> Self {
        Self { target, headers, seldom: Seldom::default(), failing: AtomicBool::new(false) }
    }

    /// Sends one message to this path below the endpoint, such as `/v1/traces`, and returns the answer. What goes wrong is
    /// a warning, at most one a minute.
    pub(super) async fn send(&self, path: &'static str, message: &impl Message) -> Result<Bytes, Failure> {
        let (failure, problem) = match timeout(TIMEOUT, self.exchange(path, message)).await {
            Ok(Ok(answer)) if answer.status().is_success() => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    info!(collector = %self.target, "the collector is there again");
                }
                return Ok(answer.into_body());
            }
            Ok(Ok(answer)) => (judge(&answer), format!("it answered {}", answer.status())),
            Ok(Err(fault)) => (Failure::Later(None), fault.to_string()),
            Err(_) => (Failure::Later(None), format!("no answer within {TIMEOUT:?}")),
        };
        self.failing.store(true, Ordering::Relaxed);
        counter(path, "failed").increment(1);
        if let Some(left_out) = self.seldom.due("collector", Instant::now()) {
            warn!(collector = %self.target, path, problem, left_out, "the collector did not take what was exported");
        }
        Err(failure)
    }

    async fn exchange(&self, path: &str, message: &impl Message) -> Result<Response<Bytes>, http::Fault> {
        let path = format!("{}{path}", self.target.path.trim_end_matches('/'));
        let mut request = Request::builder().method(Method::POST).uri(path);
        request = request.header(CONTENT_TYPE, "application/x-protobuf");
        request = request.header(USER_AGENT, concat!("slipstream/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.headers {
            let mut value = HeaderValue::from_str(value.expose())?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let request = request.body(Full::new(message.encode_to_vec().into()))?;
        http::exchange(&self.target, request, MAX_ANSWER_BYTES).await
    }
}

/// How many requests failed, by the path.
pub(super) fn counter(path: &'static str, outcome: &'static str) -> metrics::Counter {
    metrics::counter!("slipstream_otlp_requests_total", "path" => path, "outcome" => outcome)
}

/// What the protocol says of a status.
fn judge(answer: &Response<Bytes>) -> Failure {
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            Failure::Later(after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs))
        }
        _ => Failure::Never,
    }
}
