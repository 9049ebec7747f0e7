//! What is answered instead of what was asked for. Every path has the same form.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;
use slipstream_store::StoreError;
use utoipa::ToSchema;

use super::response::json;

/// Why a request is not answered as it wishes: the status, and the code and the message of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// What was wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: Reason,
}

#[derive(Debug, Serialize, ToSchema)]
struct Reason {
    /// One of few words, for programs.
    #[schema(example = "not_found")]
    code: &'static str,
    /// What is wrong, for people.
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// What was asked for cannot be asked for like this.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// What a path names is not there.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// It stands in the way how things are now.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// Not now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// A defect, or something that nobody can help from outside.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::unavailable("the relay is shutting down"),
            error if error.is_transient() => Self::unavailable(error.to_string()),
            error => Self::internal(error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        let mut answer = json(status, &ErrorBody { error: Reason { code, message } });
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1.
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}
