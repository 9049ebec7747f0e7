//! What answers are made of.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;

pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(super) const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn page(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response {
    let mut answer = Response::new(Body::from(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

pub(super) fn json(status: StatusCode, shown: &impl Serialize) -> Response {
    match serde_json::to_vec(shown) {
        Ok(body) => page(status, JSON, body),
        Err(_) => page(StatusCode::INTERNAL_SERVER_ERROR, JSON, r#"{"error":{"code":"internal","message":""}}"#),
    }
}
