//! The body of a request.

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::response::{HttpResponse, error};

/// Largest body.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// Reads a body that is one JSON object.
///
/// # Errors
/// The answer to give: 415 where it is not declared as JSON, which no page of another site can do unasked; 413 where it
/// is too large; 400 where it is not what is expected.
pub(super) async fn json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, HttpResponse> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "expected the header Content-Type: application/json";
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let invalid = |message: &str| error(StatusCode::BAD_REQUEST, "invalid_request", message);
    let body = match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(problem) if problem.is::<LengthLimitError>() => {
            let message = format!("expected a body of at most {MAX_BODY_BYTES} bytes");
            return Err(error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &message));
        }
        Err(problem) => return Err(invalid(&format!("the body could not be read: {problem}"))),
    };
    // Otherwise an array would do for a struct too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(invalid("expected a JSON object"));
    }
    serde_json::from_slice(&body).map_err(|problem| invalid(&problem.to_string()))
}
