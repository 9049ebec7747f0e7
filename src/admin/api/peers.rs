//! `/api/v1/peers`: who is there, and what an operator does with them.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use slipstream_store::{ClusterGroup, PeerId, PeerKind, Tag, Timestamp};
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::times::rfc3339;
use crate::admin::access::Caller;
use crate::admin::error::ApiError;
use crate::admin::pages::{Pages, Running};
use crate::admin::request::{Json, Path, Query, name, page_limit};
use crate::admin::response::json;
use crate::relay::{Declared, DialObservation, DialState, Forgotten, PeerObservation};

/// Most tags of a peer.
const MAX_TAGS: usize = 64;

/// A page of peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// The peers, in the order of their ids.
    pub items: Vec<PeerItem>,
    /// What goes into `after` for the next page. Null on the last one.
    #[schema(required)]
    pub next: Option<String>,
}

/// A peer at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerItem {
    /// Its id.
    pub id: String,
    /// The id under which the configuration dials it, if that is another.
    #[schema(required)]
    pub alias: Option<String>,
    /// `application` or `relay`.
    pub kind: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its cluster group.
    pub cluster_group_id: String,
    /// `up`, `down`, `dialing`, or `circuit_open`. It is `up` also if another process has the link that shares the store.
    pub link: String,
    /// Where its link comes from, or was dialled to, if this process has it.
    #[schema(required)]
    pub address: Option<String>,
    /// Whether its deliveries are paused.
    pub paused: bool,
    /// Whether messages are held for it while it is away.
    pub durable: bool,
    /// Whether the configuration names it, so that it is never forgotten.
    pub configured: bool,
    /// Deliveries that it is owed, in flight ones included.
    pub backlog: u64,
    /// Deliveries that were sent to it and are not settled.
    pub in_flight: u64,
    /// How long ago the oldest message was received that it is owed. Null if it is owed none, or the store does not tell.
    #[schema(required)]
    pub oldest_age_seconds: Option<f64>,
    /// Deliveries to it that were given up. Null if the store does not tell.
    #[schema(required)]
    pub dead_letters: Option<u64>,
    /// Deliveries that were republished to it since the start of the relay.
    pub republishes: u64,
    /// Messages that were taken in from it since the start of the relay, or since it was remembered.
    pub received: u64,
    /// Deliveries that it acknowledged since then.
    pub delivered: u64,
    /// Why the last dial failed, until the peer has a link again.
    #[schema(required)]
    pub last_error: Option<String>,
    /// When it was last seen.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageOfPeers {
    /// The `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    after: Option<String>,
    /// Most peers.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Which peer.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct OnePeer {
    /// Its id.
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    id: String,
}

/// What a peer is declared to be.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Declaration {
    /// Its tags.
    #[schema(schema_with = tags_schema)]
    tags: Vec<String>,
    /// Its cluster group, `singleton` unless said otherwise.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    cluster_group_id: Option<String>,
}

fn tags_schema() -> Array {
    let tag = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9._:-]{1,64}$"));
    ArrayBuilder::new().items(tag).max_items(Some(MAX_TAGS)).build()
}

/// What forgetting came to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ForgottenBody {
    /// Whom.
    id: String,
    /// How many deliveries it was owed, which are gone.
    forgotten: u64,
}

/// The remembered peers.
#[utoipa::path(get, path = "/api/v1/peers", tag = "peers", params(PageOfPeers), responses((status = OK, body = Peers)))]
pub(super) async fn list(
    State(pages): State<Pages>,
    Query(PageOfPeers { after, limit }): Query<PageOfPeers>,
) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let after: Option<PeerId> = after.as_deref().map(name).transpose()?;
    let page = running.observer.peers(after.as_ref(), page_limit(limit)?).await;
    let around = Around::of(running).await;
    let items: Vec<_> = page.items.iter().map(|peer| around.item(peer)).collect();
    let next = items.last().filter(|_| page.more).map(|last| last.id.clone());
    Ok(json(StatusCode::OK, &Peers { items, next }))
}

/// One peer.
#[utoipa::path(get, path = "/api/v1/peers/{id}", tag = "peers",
    params(OnePeer),
    responses((status = OK, body = PeerItem)))]
pub(super) async fn show(
    State(pages): State<Pages>,
    Path(OnePeer { id }): Path<OnePeer>,
) -> Result<Response, ApiError> {
    shown(pages.running()?, &name(&id)?, StatusCode::OK).await
}

/// Remembers an application before it has linked: messages that match are held for it from now on. Of one that is known
/// and has no link it changes tags and group. What a peer says of itself when it links holds instead.
#[utoipa::path(put, path = "/api/v1/peers/{id}", tag = "peers",
    params(OnePeer), request_body = Declaration,
    responses((status = OK, body = PeerItem), (status = CREATED, body = PeerItem)))]
pub(super) async fn declare(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Path(OnePeer { id }): Path<OnePeer>,
    Json(Declaration { tags, cluster_group_id }): Json<Declaration>,
) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let id: PeerId = name(&id)?;
    if tags.len() > MAX_TAGS {
        return Err(ApiError::invalid(format!("tags: expected at most {MAX_TAGS}, got {}", tags.len())));
    }
    let tags: Arc<[Tag]> = tags.iter().map(|tag| name(tag)).collect::<Result<_, _>>()?;
    let group = cluster_group_id.as_deref().map_or_else(|| Ok(ClusterGroup::default()), name)?;
    let declared = running.operator.declare(id.clone(), tags, group).await?;
    caller.acted("peer.declare", &id, &declared);
    match declared {
        Declared::New => shown(running, &id, StatusCode::CREATED).await,
        Declared::Changed => shown(running, &id, StatusCode::OK).await,
        Declared::Linked => Err(ApiError::conflict(format!("{id} has a link, and says itself what it is"))),
        Declared::Relay => Err(ApiError::conflict(format!("{id} is a relay, and says itself what it is"))),
        Declared::Configured => Err(ApiError::conflict(format!("the configuration says what {id} is"))),
    }
}

/// Forgets a peer that has no link, with all that it is owed. Its dead letters stay.
#[utoipa::path(delete, path = "/api/v1/peers/{id}", tag = "peers",
    params(OnePeer),
    responses((status = OK, body = ForgottenBody)))]
pub(super) async fn forget(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Path(OnePeer { id }): Path<OnePeer>,
) -> Result<Response, ApiError> {
    let id: PeerId = name(&id)?;
    let forgotten = pages.running()?.operator.forget(&id).await?;
    caller.acted("peer.forget", &id, &forgotten);
    match forgotten {
        Forgotten::Forgotten { owed } => {
            Ok(json(StatusCode::OK, &ForgottenBody { id: id.to_string(), forgotten: owed }))
        }
        Forgotten::Unknown => Err(unknown(&id)),
        Forgotten::Linked => Err(ApiError::conflict(format!("{id} has a link; disconnect it first, and keep it away"))),
        Forgotten::Configured => Err(ApiError::conflict(format!(
            "the configuration names {id}: it would be remembered again at the next start"
        ))),
    }
}

/// Has nothing be delivered to a peer until it is resumed, also across restarts. What it is owed is held.
#[utoipa::path(post, path = "/api/v1/peers/{id}/pause", tag = "peers",
    params(OnePeer),
    responses((status = OK, body = PeerItem)))]
pub(super) async fn pause(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Path(OnePeer { id }): Path<OnePeer>,
) -> Result<Response, ApiError> {
    steer(&pages, caller, &id, true).await
}

/// Has the deliveries of a paused peer go on, in order.
#[utoipa::path(post, path = "/api/v1/peers/{id}/resume", tag = "peers",
    params(OnePeer),
    responses((status = OK, body = PeerItem)))]
pub(super) async fn resume(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Path(OnePeer { id }): Path<OnePeer>,
) -> Result<Response, ApiError> {
    steer(&pages, caller, &id, false).await
}

async fn steer(pages: &Pages, caller: Caller, id: &str, pause: bool) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let id: PeerId = name(id)?;
    let operator = &running.operator;
    let known = if pause { operator.pause(&id).await? } else { operator.resume(&id).await? };
    caller.acted(if pause { "peer.pause" } else { "peer.resume" }, &id, if known { &"done" } else { &"no such peer" });
    if known { shown(running, &id, StatusCode::OK).await } else { Err(unknown(&id)) }
}

/// Ends the link of a peer. It may link again at once, and is dialled again if the configuration says so.
#[utoipa::path(post, path = "/api/v1/peers/{id}/disconnect", tag = "peers",
    params(OnePeer),
    responses((status = OK, body = PeerItem)))]
pub(super) async fn disconnect(
    State(pages): State<Pages>,
    Extension(caller): Extension<Caller>,
    Path(OnePeer { id }): Path<OnePeer>,
) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let id: PeerId = name(&id)?;
    let had_link = running.operator.disconnect(&id);
    caller.acted("peer.disconnect", &id, if had_link { &"done" } else { &"no link" });
    let answer = shown(running, &id, StatusCode::OK).await?;
    if had_link { Ok(answer) } else { Err(ApiError::conflict(format!("{id} has no link"))) }
}

/// The relays, and those of the other peers that are owed most, in the order of their ids.
pub(in crate::admin) async fn largest(running: &Running, limit: NonZeroU32) -> Vec<PeerItem> {
    let peers = running.observer.largest_backlogs(limit).await;
    let around = Around::of(running).await;
    peers.iter().map(|peer| around.item(peer)).collect()
}

async fn shown(running: &Running, id: &PeerId, status: StatusCode) -> Result<Response, ApiError> {
    let peer = running.observer.peer(id).await.ok_or_else(|| unknown(id))?;
    Ok(json(status, &Around::of(running).await.item(&peer)))
}

fn unknown(id: &PeerId) -> ApiError {
    ApiError::not_found(format!("nobody is remembered under the id {id}"))
}

/// Seconds from one time to another.
fn age(now: Timestamp, then: Timestamp) -> f64 {
    Duration::from_millis(now.as_millis().saturating_sub(then.as_millis())).as_secs_f64()
}

/// What is told of a peer besides what is seen of it alone.
struct Around {
    dials: Vec<DialObservation>,
    /// Nothing if the store does not tell.
    dead_letters: Option<HashMap<PeerId, u64>>,
    /// Those whose links other processes have. Nobody if the store does not tell.
    elsewhere: BTreeSet<PeerId>,
    now: Timestamp,
}

impl Around {
    async fn of(Running { observer, .. }: &Running) -> Self {
        let mut dead_letters = HashMap::new();
        let counts = observer.dead_letter_counts().await.ok().map(|counts| {
            counts.into_iter().for_each(|count| *dead_letters.entry(count.peer).or_default() += count.count);
            dead_letters
        });
        let elsewhere = observer.linked_elsewhere().await.unwrap_or_default();
        Self { dials: observer.dials(), dead_letters: counts, elsewhere, now: observer.now() }
    }

    fn item(&self, seen: &PeerObservation) -> PeerItem {
        let PeerObservation { peer, .. } = seen;
        let dial = self.dials.iter().find(|dial| dial.peer == peer.id);
        let link = match dial.map(|dial| dial.state) {
            _ if seen.linked_from.is_some() || self.elsewhere.contains(&peer.id) => "up",
            Some(DialState::CircuitOpen) => "circuit_open",
            Some(DialState::Dialing) => "dialing",
            _ => "down",
        };
        let kind = match peer.kind {
            PeerKind::Application => "application",
            PeerKind::Relay => "relay",
        };
        let oldest = seen.oldest.as_ref().ok().copied().flatten();
        PeerItem {
            id: peer.id.to_string(),
            alias: peer.alias.as_ref().map(ToString::to_string),
            kind: kind.to_owned(),
            tags: peer.tags.iter().map(ToString::to_string).collect(),
            cluster_group_id: peer.group.to_string(),
            link: link.to_owned(),
            address: seen.linked_from.map(|address| address.to_string()),
            paused: peer.paused,
            durable: peer.durable,
            configured: seen.configured,
            backlog: seen.backlog,
            in_flight: seen.in_flight as u64,
            oldest_age_seconds: oldest.map(|oldest| age(self.now, oldest)),
            dead_letters: self.dead_letters.as_ref().map(|counts| counts.get(&peer.id).copied().unwrap_or(0)),
            republishes: seen.republishes,
            received: seen.received,
            delivered: seen.delivered,
            last_error: dial.and_then(|dial| dial.last_error.clone()),
            last_seen_at: rfc3339(peer.last_seen),
        }
    }
}
