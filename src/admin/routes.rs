//! The table of what can be asked for, and what becomes of what cannot.

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::StatusCode;
use tokio::sync::watch;

use super::error::ApiError;
use super::pages::{Pages, Shown};
use super::response::json;
use super::{access, api, health};

/// Everything that the admin port answers, with the pages as they are when it is asked.
pub(super) fn router(pages: watch::Receiver<Pages>) -> Router {
    let shown = Shown(pages);
    let (api, description) = api::router().split_for_parts();
    let description = api::describe(description);
    Router::new()
        .merge(api)
        .route("/api/v1/openapi.json", get(async move || json(StatusCode::OK, &description)))
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(shown.clone(), access::guard))
        .with_state(shown)
}

async fn nothing(request: Request) -> Response {
    ApiError::not_found(format!("there is nothing at {}", request.uri().path())).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let message = format!("{} does not take {}; Allow says what it takes", request.uri().path(), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
}
