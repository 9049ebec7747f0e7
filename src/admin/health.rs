//! The pages for everyone who reaches the port: the metrics, and whether the process is alive and ready.

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde::Serialize;

use super::error::ApiError;
use super::pages::{Pages, Readiness};
use super::response::{PROMETHEUS, TEXT, json, page};

pub(super) async fn metrics(State(pages): State<Pages>) -> Result<Response, ApiError> {
    let text = pages.metrics.get().await;
    let text = text.map_err(|_| ApiError::internal("the metrics page could not be made"))?;
    Ok(page(StatusCode::OK, PROMETHEUS, text))
}

pub(super) async fn alive() -> Response {
    page(StatusCode::OK, TEXT, "ok\n")
}

pub(super) async fn ready(State(pages): State<Pages>) -> Response {
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
