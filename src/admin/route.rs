//! The table of what can be asked for, and what becomes of a request.

use std::pin::Pin;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, StatusCode};

use super::pages::Pages;
use super::response::{HttpResponse, error};
use super::{api, health};

/// What answers a request.
type Responder = for<'a> fn(&'a Pages, Request<Incoming>) -> Pin<Box<dyn Future<Output = HttpResponse> + Send + 'a>>;

struct Route {
    /// GET stands for HEAD too.
    method: Method,
    path: &'static str,
    /// Whether it is for everyone who reaches the port, also beyond loopback. The rest is for whom
    /// [`ApiAccess`](super::ApiAccess) lets in.
    open: bool,
    answer: Responder,
}

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    Route { method: Method::GET, path: "/metrics", open: true, answer: |pages, _| Box::pin(health::metrics(pages)) },
    Route { method: Method::GET, path: "/healthz", open: true, answer: |_, _| Box::pin(health::alive()) },
    Route { method: Method::GET, path: "/readyz", open: true, answer: |pages, _| Box::pin(health::ready(pages)) },
    Route { method: Method::GET, path: "/api/v1/logging", open: false, answer: |pages, _| Box::pin(api::logging(pages)) },
    Route { method: Method::PUT, path: "/api/v1/logging", open: false, answer: |pages, put| Box::pin(api::change_logging(pages, put)) },
    Route { method: Method::GET, path: "/api/v1/backup", open: false, answer: |pages, _| Box::pin(api::last_backup(pages)) },
    Route { method: Method::POST, path: "/api/v1/backup", open: false, answer: |pages, post| Box::pin(api::begin_backup(pages, post)) },
];

impl Route {
    fn takes(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }
}

/// Answers a request.
pub(super) async fn answer(pages: &Pages, request: Request<Incoming>) -> HttpResponse {
    let path = request.uri().path();
    let routes: Vec<&Route> = ROUTES.iter().filter(|route| route.path == path).collect();
    if !is_open(path, &routes)
        && let Err((code, message)) = pages.api.check(request.headers())
    {
        return error(StatusCode::FORBIDDEN, code, message);
    }
    if routes.is_empty() {
        return error(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {path}"));
    }
    match routes.iter().find(|route| route.takes(request.method())) {
        Some(route) => (route.answer)(pages, request).await,
        None => wrong_method(&request, &routes),
    }
}

/// Whether everyone may ask for a path. Under `/api` nobody learns unasked what there is not.
fn is_open(path: &str, routes: &[&Route]) -> bool {
    let below = path.strip_prefix("/api");
    let is_api = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if routes.is_empty() { !is_api } else { routes.iter().all(|route| route.open) }
}

fn wrong_method(request: &Request<Incoming>, routes: &[&Route]) -> HttpResponse {
    let methods =
        routes.iter().map(|route| if route.method == Method::GET { "GET, HEAD" } else { route.method.as_str() });
    let allowed = methods.collect::<Vec<_>>().join(", ");
    let message = format!("{} takes {allowed}, not {}", request.uri().path(), request.method());
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}
