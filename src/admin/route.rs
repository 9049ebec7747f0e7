//! Which path is what, and which methods it takes.

use hyper::Method;
use hyper::header::HeaderValue;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Metrics,
    Alive,
    Ready,
    Api(Endpoint),
}

/// What a request of the API is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Logging,
    Backup,
}

impl Route {
    /// What is at a path, if anything is.
    pub(super) fn at(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["", "metrics"] => Some(Self::Metrics),
            ["", "healthz"] => Some(Self::Alive),
            ["", "readyz"] => Some(Self::Ready),
            ["", "api", "v1", rest @ ..] => Endpoint::at(rest).map(Self::Api),
            _ => None,
        }
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Api(Endpoint::Logging) if *method == Method::PUT => true,
            Self::Api(Endpoint::Backup) if *method == Method::POST => true,
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }

    /// The methods that it takes, as the header `Allow` lists them.
    pub(super) fn allowed(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Api(Endpoint::Logging) => "GET, HEAD, PUT",
            Self::Api(Endpoint::Backup) => "GET, HEAD, POST",
            _ => "GET, HEAD",
        })
    }
}

impl Endpoint {
    /// What is at the segments of a path that follow `/api/v1/`.
    fn at(segments: &[&str]) -> Option<Self> {
        match segments {
            ["logging"] => Some(Self::Logging),
            ["backup"] => Some(Self::Backup),
            _ => None,
        }
    }
}

/// Whether a path belongs to the API, also where nothing is there.
pub(super) fn is_api(path: &str) -> bool {
    path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
