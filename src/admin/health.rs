//! The pages for everyone who reaches the port: the metrics, and whether the process is alive and ready.

use hyper::StatusCode;
use serde::Serialize;

use super::pages::{Pages, Readiness};
use super::response::{HttpResponse, PROMETHEUS, TEXT, error, json, page};

pub(super) async fn metrics(pages: &Pages) -> HttpResponse {
    match pages.metrics.get().await {
        Ok(text) => page(StatusCode::OK, PROMETHEUS, text),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics page could not be made"),
    }
}

pub(super) async fn alive() -> HttpResponse {
    page(StatusCode::OK, TEXT, "ok\n")
}

pub(super) async fn ready(pages: &Pages) -> HttpResponse {
    let readiness = (pages.readiness)();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &ReadinessBody { ready: readiness.is_ready(), readiness: &readiness })
}

#[derive(Serialize)]
struct ReadinessBody<'a> {
    ready: bool,
    #[serde(flatten)]
    readiness: &'a Readiness,
}
