//! What a request says, read strictly: a field that is not known, or a value that cannot be read, is refused by name.

use std::num::NonZeroU32;
use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path as AnyPath, Query as AnyQuery, Request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::Body as _;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;
use slipstream_store::InvalidId;

use super::error::ApiError;

/// Largest body.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// What stands in the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = AnyPath::from_request_parts(parts, state).await;
        path.map(|AnyPath(path)| Self(path)).map_err(|rejection| ApiError::invalid(rejection.body_text()))
    }
}

/// What stands behind the question mark.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = AnyQuery::from_request_parts(parts, state).await;
        query.map(|AnyQuery(query)| Self(query)).map_err(|rejection| ApiError::invalid(rejection.body_text()))
    }
}

/// A body that is one JSON object.
///
/// It is refused with 415 if it is not declared as JSON, which no page of another site can do unasked; with 413 if it is
/// too large; with 400 if it is not what is expected.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Self::within(MAX_BODY_BYTES, request).await
    }
}

impl<T: DeserializeOwned> Json<T> {
    /// Reads a body of at most so many bytes.
    pub(super) async fn within(limit: usize, request: Request) -> Result<Self, ApiError> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let message = "expected the header Content-Type: application/json";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
        }
        let body = match Limited::new(request.into_body(), limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(problem) if problem.is::<LengthLimitError>() => {
                let message = format!("expected a body of at most {limit} bytes");
                return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
            }
            Err(problem) => return Err(ApiError::invalid(format!("the body could not be read: {problem}"))),
        };
        // Otherwise an array would do for a struct too.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(ApiError::invalid("expected a JSON object"));
        }
        serde_json::from_slice(&body).map(Self).map_err(|problem| ApiError::invalid(problem.to_string()))
    }
}

/// A wish that stands in the query or in a JSON body, not in both.
pub(super) struct Wish<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Wish<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let has_query = request.uri().query().is_some_and(|query| !query.is_empty());
        match (has_query, request.body().is_end_stream()) {
            (true, false) => Err(ApiError::invalid("expected fields in the query or in a body, not in both")),
            (_, true) => {
                let (mut parts, _) = request.into_parts();
                Query::from_request_parts(&mut parts, state).await.map(|Query(wish)| Self(wish))
            }
            (false, false) => Json::from_request(request, state).await.map(|Json(wish)| Self(wish)),
        }
    }
}

/// Reads a name, such as a peer's id.
pub(super) fn name<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|invalid: InvalidId| ApiError::invalid(invalid.to_string()))
}

/// Entries of a page unless said otherwise, and at most.
const PAGE: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
const MAX_PAGE: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);

/// Reads how many entries a page may have.
pub(super) fn page_limit(limit: Option<u32>) -> Result<NonZeroU32, ApiError> {
    let Some(limit) = limit else { return Ok(PAGE) };
    let fits = NonZeroU32::new(limit).filter(|limit| *limit <= MAX_PAGE);
    fits.ok_or_else(|| ApiError::invalid(format!("limit: expected 1 to {MAX_PAGE}, got {limit}")))
}
