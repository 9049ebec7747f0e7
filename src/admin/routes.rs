//! The table of what can be asked for, and what becomes of what cannot.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::access::{Caller, Right};
use super::error::ApiError;
use super::live::Live;
use super::pages::{Pages, Shown};
use super::response::json;
use super::{api, dashboard, health};
use crate::listen::ConnectInfo;

/// Everything that the admin port answers, with the pages as they are when it is asked.
pub(super) fn router(pages: watch::Receiver<Pages>, live: Arc<Live>) -> Router {
    let shown = Shown { pages, refusals: Arc::default(), live };
    let (api, description) = api::router().split_for_parts();
    let description = api::describe(description);
    Router::new()
        .merge(api)
        .route("/api/v1/openapi.json", get(async move || json(StatusCode::OK, &description)))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/monitor", get(api::monitor))
        .route("/", get(dashboard::index))
        .route("/dashboard/{file}", get(dashboard::file))
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(shown.clone(), guard))
        .with_state(shown)
}

/// Lets pass who may use the API, and notes who it is. Under `/api` nobody learns unasked what there is not.
async fn guard(State(shown): State<Shown>, mut request: Request, next: Next) -> Response {
    let below = request.uri().path().strip_prefix("/api");
    if below.is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        return next.run(request).await;
    }
    let right = match *request.method() {
        Method::GET | Method::HEAD => Right::Read,
        _ => Right::Act,
    };
    let remote = request.extensions().get::<ConnectInfo>().map(|info| info.remote);
    let checked = shown.pages.borrow().api.check(request.headers(), right);
    match checked {
        Ok(who) => {
            request.extensions_mut().insert(Caller { who, remote });
            next.run(request).await
        }
        Err(refusal) => {
            let remote = remote.map(|remote| remote.ip().to_canonical().to_string());
            if let Some(left_out) = shown.refusals.due(refusal.code, Instant::now()) {
                let (method, why) = (request.method(), &refusal.message);
                warn!(%method, remote, code = refusal.code, left_out, "a call of the admin API is refused: {why}");
            }
            refusal.into_response()
        }
    }
}

async fn nothing(request: Request) -> Response {
    ApiError::not_found(format!("there is nothing at {}", request.uri().path())).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let message = format!("{} does not take {}; Allow says what it takes", request.uri().path(), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
}
