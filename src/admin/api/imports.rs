//! `/api/v1/dead-letters/import`: dead letters that were exported, put back.

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use slipstream_store::{Identity, InvalidId};
use utoipa::ToSchema;

use super::times::from_rfc3339;
use crate::admin::access::Caller;
use crate::admin::error::ApiError;
use crate::admin::pages::Pages;
use crate::admin::request::Json;
use crate::admin::response::json;
use crate::relay::{ExportedDeadLetter, Import};

/// Most dead letters that one request imports.
pub const MAX_IMPORTS: usize = 500;

/// Room in a body beside the longest message, in bytes.
const BODY_ROOM: usize = 1 << 20;

/// Dead letters that are to be imported.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Imports {
    /// The dead letters, as an export has them.
    #[schema(max_items = 500)]
    pub items: Vec<ExportedItem>,
}

/// A dead letter, as an export has it. What else an export has is not looked at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedItem {
    /// Whose delivery it was.
    peer: String,
    /// The message's id.
    message_id: String,
    /// The message's cluster group.
    cluster_group_id: String,
    /// The message's type.
    #[serde(rename = "type")]
    message_type: String,
    /// The message's key.
    #[serde(default)]
    key: Option<String>,
    /// Why it was given up.
    reason: String,
    /// How often it was republished.
    #[schema(minimum = 0, maximum = 4_294_967_295_u64)]
    attempts: u32,
    /// When it was given up.
    dead_at: String,
    /// The whole message, as it went out: an object, or its text as a string.
    #[schema(value_type = Value)]
    message: Box<RawValue>,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// How many are there now that were not before.
    pub imported: u64,
    /// How many were there already.
    pub skipped: u64,
    /// Those that no relay exported, or not like this. The others are imported nevertheless.
    pub refused: Vec<RefusedItem>,
}

/// A dead letter that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedItem {
    /// Its place among the items, from 0 on.
    pub index: u64,
    /// Why.
    pub reason: String,
}

/// Puts dead letters back that were exported, by this relay or another. Nothing is delivered by it; redrive does that. One
/// that is there already is skipped, so that it can be done again. The body may be twice as long as the longest message,
/// and 1 MiB.
#[utoipa::path(post, path = "/api/v1/dead-letters/import", tag = "dead letters", request_body = Imports,
    responses((status = OK, body = Imported)))]
pub(super) async fn import(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let operator = &pages.running()?.operator;
    // A message that is given as a string has each of its bytes escaped at the most.
    let limit = operator.max_import_bytes().saturating_mul(2).saturating_add(BODY_ROOM);
    let Json(Imports { items }) = Json::within(limit, request).await?;
    if items.len() > MAX_IMPORTS {
        return Err(ApiError::invalid(format!("items: expected at most {MAX_IMPORTS}, got {}", items.len())));
    }
    let what = format!("{} dead letters", items.len());
    let (mut letters, mut places, mut refused) = (Vec::with_capacity(items.len()), Vec::new(), Vec::new());
    for (index, item) in (0..).zip(items) {
        match item.read() {
            Ok(letter) => {
                letters.push(letter);
                places.push(index);
            }
            Err(reason) => refused.push(RefusedItem { index, reason }),
        }
    }
    let imports = operator.import_each(letters).await;
    let imports = imports.inspect_err(|error| caller.acted("dead_letters.import", &what, error))?;
    let (mut imported, mut skipped) = (0, 0);
    for (import, index) in imports.into_iter().zip(places) {
        match import {
            Import::Imported(_) => imported += 1,
            Import::Skipped => skipped += 1,
            Import::Refused(reason) => refused.push(RefusedItem { index, reason }),
        }
    }
    refused.sort_unstable_by_key(|refused| refused.index);
    let outcome = format!("{imported} imported, {skipped} there already, {} refused", refused.len());
    caller.acted("dead_letters.import", &what, &outcome);
    Ok(json(StatusCode::OK, &Imported { imported, skipped, refused }))
}

impl ExportedItem {
    /// The dead letter that this says; in words why it says none.
    fn read(self) -> Result<ExportedDeadLetter, String> {
        let bad = |what: &'static str| move |invalid: InvalidId| format!("{what}: {}", invalid.problem());
        let text = self.message.get();
        Ok(ExportedDeadLetter {
            peer: self.peer.parse().map_err(bad("peer"))?,
            identity: Identity {
                group: self.cluster_group_id.parse().map_err(bad("clusterGroupId"))?,
                id: self.message_id.parse().map_err(bad("messageId"))?,
            },
            message_type: self.message_type.parse().map_err(bad("type"))?,
            key: self.key.as_deref().map(str::parse).transpose().map_err(bad("key"))?,
            reason: self.reason.as_str().into(),
            attempts: self.attempts,
            dead_at: from_rfc3339(&self.dead_at).ok_or("deadAt: expected a time as RFC 3339 has it, since 1970")?,
            text: match serde_json::from_str::<String>(text) {
                Ok(text) => Bytes::from(text),
                Err(_) => Bytes::copy_from_slice(text.as_bytes()),
            },
        })
    }
}
