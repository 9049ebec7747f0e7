//! The API under `/api/v1/`: JSON in, JSON out.

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::Pages;
use super::answer::{Answer, error, json};
use super::body;
use super::route::Endpoint;
use crate::logging::{Level, SwitchChange};

/// Answers a request that may use the API, with a method that the endpoint takes.
pub(super) async fn answer(pages: &Pages, endpoint: Endpoint, request: Request<Incoming>) -> Answer {
    match endpoint {
        Endpoint::Logging => logging(pages, request).await,
        Endpoint::Backup => backup(pages, request).await,
    }
}

/// What is to be logged, and what is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LoggingBody {
    message_logs: Option<bool>,
    level: Option<Level>,
}

async fn logging(pages: &Pages, request: Request<Incoming>) -> Answer {
    let mut change = SwitchChange::default();
    if *request.method() == Method::PUT {
        change = match body::json(request).await {
            Ok(LoggingBody { message_logs, level }) => SwitchChange { messages: message_logs, level },
            Err(refusal) => return refusal,
        };
    }
    match (pages.logging)(change) {
        Ok(now) => json(StatusCode::OK, &LoggingBody { message_logs: Some(now.messages), level: Some(now.level) }),
        Err(problem) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &problem),
    }
}

/// What a backup is to be called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupBody {
    name: String,
}

async fn backup(pages: &Pages, request: Request<Incoming>) -> Answer {
    let Some(backups) = &pages.backups else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the store is being opened; ask again later");
    };
    if *request.method() != Method::POST {
        return match backups.last() {
            Some(last) => json(StatusCode::OK, &last),
            None => error(StatusCode::NOT_FOUND, "not_found", "no backup was begun since the start"),
        };
    }
    let begun = match body::json(request).await {
        Ok(BackupBody { name }) => backups.begin(&name),
        Err(refusal) => return refusal,
    };
    match begun {
        Ok(begun) => json(StatusCode::ACCEPTED, &begun),
        Err((status, code, message)) => error(status, code, &message),
    }
}
