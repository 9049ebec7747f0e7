//! `/api/v1/backup`: backups of the running relay's store.

use axum::extract::{Extension, State};
use axum::response::Response;
use hyper::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::access::Caller;
use crate::admin::backup::Backup;
use crate::admin::error::ApiError;
use crate::admin::pages::Pages;
use crate::admin::request::Json;
use crate::admin::response::json;

/// What a backup is to be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupBody {
    /// Its name in the folder of SLIPSTREAM_BACKUP_PATH.
    #[schema(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$")]
    name: String,
}

/// The backup that was begun last.
#[utoipa::path(get, path = "/api/v1/backup", tag = "relay", responses((status = OK, body = Backup)))]
pub(super) async fn last(State(pages): State<Pages>) -> Result<Response, ApiError> {
    match pages.running()?.backups.last() {
        Some(last) => Ok(json(StatusCode::OK, &last)),
        None => Err(ApiError::not_found("no backup was begun since the start")),
    }
}

/// Begins a backup; `GET` tells how far it is.
#[utoipa::path(post, path = "/api/v1/backup", tag = "relay", request_body = BackupBody,
    responses((status = ACCEPTED, body = Backup)))]
pub(super) async fn begin(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Json(BackupBody { name }): Json<BackupBody>,
) -> Result<Response, ApiError> {
    let begun = pages.running()?.backups.begin(&name);
    let outcome = begun.as_ref().map_or_else(|refusal| refusal.code, |_| "begun");
    caller.acted("backup.begin", &format_args!("{name:?}"), &outcome);
    Ok(json(StatusCode::ACCEPTED, &begun?))
}
