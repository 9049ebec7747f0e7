//! `/api/v1/logging`: what is logged, and what is to be.

use axum::extract::{Extension, State};
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::access::Caller;
use crate::admin::error::ApiError;
use crate::admin::pages::Pages;
use crate::admin::request::Json;
use crate::admin::response::json;
use crate::logging::{Level, SwitchChange};

/// What is to be logged, and what is. What is left out of a change stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoggingBody {
    /// One line a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_logs: Option<bool>,
    /// The level of everything else.
    #[schema(value_type = Option<String>, pattern = "^(error|warn|info|debug|trace)$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// What is logged.
#[utoipa::path(get, path = "/api/v1/logging", tag = "relay", responses((status = OK, body = LoggingBody)))]
pub(super) async fn show(State(pages): State<Pages>) -> Result<Response, ApiError> {
    switch(&pages, SwitchChange::default())
}

/// Changes what is logged, until the next change or start.
#[utoipa::path(put, path = "/api/v1/logging", tag = "relay", request_body = LoggingBody,
    responses((status = OK, body = LoggingBody)))]
pub(super) async fn change(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Json(LoggingBody { message_logs, level }): Json<LoggingBody>,
) -> Result<Response, ApiError> {
    let answer = switch(&pages, SwitchChange { messages: message_logs, level })?;
    let wish = LoggingBody { message_logs, level };
    caller.acted("logging.change", &serde_json::to_string(&wish).unwrap_or_default(), &"done");
    Ok(answer)
}

fn switch(pages: &Pages, change: SwitchChange) -> Result<Response, ApiError> {
    let now = (pages.logging)(change).map_err(ApiError::internal)?;
    Ok(json(StatusCode::OK, &LoggingBody { message_logs: Some(now.messages), level: Some(now.level) }))
}
