//! `/api/v1/dead-letters`: what was given up, and what is done with it.

use std::num::NonZeroU32;

use axum::extract::{Extension, State};
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use slipstream_store::{DeadLetter, DeadLetterCursor, DeadLetterFilter, PageLimit, PeerId, Sequence};
use utoipa::{IntoParams, ToSchema};

use super::named;
use super::sweeps::{Meant, Order, Ordered, Sweep, SweepAction, SweepState};
use super::times::rfc3339;
use crate::admin::access::Caller;
use crate::admin::error::ApiError;
use crate::admin::pages::Pages;
use crate::admin::request::{Path, Query, Wish, name, page_limit};
use crate::admin::response::json;

/// A page of dead letters.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetters {
    /// The dead letters, in the order of their sequences.
    pub items: Vec<DeadLetterItem>,
    /// What goes into `after` for the next page. Null on the last one.
    #[schema(required)]
    pub next: Option<String>,
}

/// A delivery that was given up.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterItem {
    /// Its sequence. With the peer it names the dead letter.
    pub sequence: u64,
    /// Whose delivery it was.
    pub peer: String,
    /// The message's id.
    pub message_id: String,
    /// The message's cluster group.
    pub cluster_group_id: String,
    /// The message's type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// The message's key.
    #[schema(required)]
    pub key: Option<String>,
    /// Why it was given up.
    pub reason: String,
    /// How often it was republished.
    pub attempts: u32,
    /// When it was given up.
    #[schema(format = DateTime)]
    pub dead_at: String,
    /// The whole message as it would go out, if it was asked for.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<Box<RawValue>>,
}

/// Dead letters by peer and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterGroups {
    /// One entry for each peer and reason, the most first.
    pub items: Vec<DeadLetterGroup>,
}

/// Dead letters of one peer that were given up for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterGroup {
    /// Whose.
    pub peer: String,
    /// Why: `unacknowledged`, `too_large`, `backlog`, `poison`, `rejected`, or `other`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct PageOfDeadLetters {
    /// Those of this peer.
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    peer: Option<String>,
    /// Those with this reason, the whole or the part before its first colon.
    reason: Option<String>,
    /// Those of messages with this id.
    #[param(pattern = "^[!-~]{1,128}$")]
    message_id: Option<String>,
    /// The `next` of the page before.
    #[param(pattern = "^[1-9][0-9]{0,17}:[A-Za-z0-9._:-]{1,128}$")]
    after: Option<String>,
    /// Most dead letters.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Whether each comes with its message.
    payload: Option<bool>,
}

/// The dead letters.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", params(PageOfDeadLetters),
    responses((status = OK, body = DeadLetters)))]
pub(super) async fn list(
    State(pages): State<Pages>,
    Query(wish): Query<PageOfDeadLetters>,
) -> Result<Response, ApiError> {
    let items = page_limit(wish.limit)?;
    let filter = named::filter(wish.peer.as_deref(), wish.reason.as_deref(), wish.message_id.as_deref())?;
    let after = wish.after.as_deref().map(cursor).transpose()?;
    let page = pages.running()?.observer.dead_letters(&filter, after, PageLimit::items(items)).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| format!("{}:{}", last.sequence.get(), last.peer));
    let with_payload = wish.payload.unwrap_or(false);
    let items = page.items.iter().map(|dead| item(dead, with_payload)).collect();
    Ok(json(StatusCode::OK, &DeadLetters { items, next }))
}

/// How many dead letters there are, by peer and reason.
#[utoipa::path(get, path = "/api/v1/dead-letters/groups", tag = "dead letters",
    responses((status = OK, body = DeadLetterGroups)))]
pub(super) async fn groups(State(pages): State<Pages>) -> Result<Response, ApiError> {
    let counts = pages.running()?.observer.dead_letter_counts().await?;
    let mut items: Vec<_> = counts
        .into_iter()
        .map(|group| DeadLetterGroup {
            peer: group.peer.to_string(),
            reason: group.reason.to_owned(),
            count: group.count,
        })
        .collect();
    items.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.peer.cmp(&other.peer)));
    Ok(json(StatusCode::OK, &DeadLetterGroups { items }))
}

/// One dead letter, with its message.
#[utoipa::path(get, path = "/api/v1/dead-letters/{peer}/{sequence}", tag = "dead letters",
    params(("peer" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$"),
        ("sequence" = u64, Path, minimum = 1, maximum = 9_223_372_036_854_775_807_u64)),
    responses((status = OK, body = DeadLetterItem)))]
pub(super) async fn show(
    State(pages): State<Pages>,
    Path((peer, sequence)): Path<(String, u64)>,
) -> Result<Response, ApiError> {
    let peer: PeerId = name(&peer)?;
    let wanted = named::sequence(sequence)?;
    let before = named::just_before(&peer, wanted);
    let of_peer = DeadLetterFilter { peer: Some(peer.clone()), ..DeadLetterFilter::default() };
    let one = PageLimit::items(NonZeroU32::MIN);
    let page = pages.running()?.observer.dead_letters(&of_peer, before, one).await?;
    match page.items.first().filter(|dead| dead.sequence == wanted) {
        Some(dead) => Ok(json(StatusCode::OK, &item(dead, true))),
        None => Err(ApiError::not_found(format!("{peer} has no dead letter {sequence}"))),
    }
}

/// Has the dead letters that are meant delivered again, in their order. Those whose peer nobody remembers stay.
///
/// It takes as long as it takes: if that is longer than a few seconds, the answer has the state `running`, and
/// `GET /api/v1/dead-letters/sweep` tells how far it is.
#[utoipa::path(post, path = "/api/v1/dead-letters/redrive", tag = "dead letters", params(Order),
    request_body = Option<Order>,
    responses((status = OK, body = Sweep), (status = ACCEPTED, body = Sweep)))]
pub(super) async fn redrive(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Wish(order): Wish<Order>,
) -> Result<Response, ApiError> {
    begin(&pages, caller, SweepAction::Redrive, order).await
}

/// Removes the dead letters that are meant, for good.
#[utoipa::path(delete, path = "/api/v1/dead-letters", tag = "dead letters", params(Order),
    request_body = Option<Order>,
    responses((status = OK, body = Sweep), (status = ACCEPTED, body = Sweep)))]
pub(super) async fn purge(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Wish(order): Wish<Order>,
) -> Result<Response, ApiError> {
    begin(&pages, caller, SweepAction::Purge, order).await
}

async fn begin(pages: &Pages, caller: Caller, action: SweepAction, order: Order) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let meant = Meant::of(&order)?;
    let what = serde_json::to_string(&order).unwrap_or_default();
    let begun = running.sweeps.begin(
        running.observer.clone(),
        running.operator.clone(),
        Ordered { action, caller, what: what.clone() },
        meant,
    );
    let began = begun.as_ref().map_or_else(|refusal| refusal.code, |()| "begun");
    caller.acted(action.name(), &what, &began);
    begun?;
    let sweep = running.sweeps.ended_soon().await.ok_or_else(|| ApiError::internal("the sweep is gone"))?;
    let status = if sweep.state == SweepState::Running { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(json(status, &sweep))
}

/// How far the last redrive or purge is.
#[utoipa::path(get, path = "/api/v1/dead-letters/sweep", tag = "dead letters", responses((status = OK, body = Sweep)))]
pub(super) async fn sweep(State(pages): State<Pages>) -> Result<Response, ApiError> {
    match pages.running()?.sweeps.last() {
        Some(last) => Ok(json(StatusCode::OK, &last)),
        None => Err(ApiError::not_found("nothing was redriven or purged since the start")),
    }
}

/// Stops the redrive or purge that runs. What it has done stays done.
#[utoipa::path(delete, path = "/api/v1/dead-letters/sweep", tag = "dead letters", responses((status = OK, body = Sweep)))]
pub(super) async fn cancel(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let sweeps = &pages.running()?.sweeps;
    let was_running = sweeps.cancel();
    caller.acted("dead_letters.cancel", &"the sweep", if was_running { &"done" } else { &"none runs" });
    match sweeps.ended_soon().await {
        Some(sweep) if was_running => Ok(json(StatusCode::OK, &sweep)),
        _ => Err(ApiError::conflict("nothing is being redriven or purged")),
    }
}

/// Reads a place in the list, as `next` has it.
fn cursor(text: &str) -> Result<DeadLetterCursor, ApiError> {
    let cursor = text.split_once(':').and_then(|(sequence, peer)| {
        let sequence = Sequence::new(sequence.parse().ok()?)?;
        Some(DeadLetterCursor { sequence, peer: peer.parse().ok()? })
    });
    cursor.ok_or_else(|| ApiError::invalid("after: expected the `next` of a page"))
}

fn item(dead: &DeadLetter, with_payload: bool) -> DeadLetterItem {
    DeadLetterItem {
        sequence: dead.sequence.get(),
        peer: dead.peer.to_string(),
        message_id: dead.identity.id.to_string(),
        cluster_group_id: dead.identity.group.to_string(),
        message_type: dead.message_type.to_string(),
        key: dead.key.as_ref().map(ToString::to_string),
        reason: dead.reason.to_string(),
        attempts: dead.attempts,
        dead_at: rfc3339(dead.dead_at),
        message: with_payload.then(|| payload(&dead.text)).flatten(),
    }
}

/// The message as JSON, or if it is none, which no relay of this version stores, as a text.
fn payload(text: &[u8]) -> Option<Box<RawValue>> {
    let json = serde_json::from_slice(text).ok();
    json.or_else(|| serde_json::value::to_raw_value(&String::from_utf8_lossy(text)).ok())
}
