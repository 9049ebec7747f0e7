//! The API under `/api/v1/`: JSON in, JSON out.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::body;
use super::pages::Pages;
use super::response::{HttpResponse, error, json};
use crate::logging::{Level, SwitchChange};

/// What is to be logged, and what is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LoggingBody {
    message_logs: Option<bool>,
    level: Option<Level>,
}

pub(super) async fn logging(pages: &Pages) -> HttpResponse {
    switch(pages, SwitchChange::default())
}

pub(super) async fn change_logging(pages: &Pages, request: Request<Incoming>) -> HttpResponse {
    match body::json(request).await {
        Ok(LoggingBody { message_logs, level }) => switch(pages, SwitchChange { messages: message_logs, level }),
        Err(refusal) => refusal,
    }
}

fn switch(pages: &Pages, change: SwitchChange) -> HttpResponse {
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

pub(super) async fn last_backup(pages: &Pages) -> HttpResponse {
    let Some(backups) = &pages.backups else { return not_open() };
    match backups.last() {
        Some(last) => json(StatusCode::OK, &last),
        None => error(StatusCode::NOT_FOUND, "not_found", "no backup was begun since the start"),
    }
}

pub(super) async fn begin_backup(pages: &Pages, request: Request<Incoming>) -> HttpResponse {
    let Some(backups) = &pages.backups else { return not_open() };
    let begun = match body::json(request).await {
        Ok(BackupBody { name }) => backups.begin(&name),
        Err(refusal) => return refusal,
    };
    match begun {
        Ok(begun) => json(StatusCode::ACCEPTED, &begun),
        Err((status, code, message)) => error(status, code, &message),
    }
}

fn not_open() -> HttpResponse {
    error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the store is being opened; ask again later")
}
