//! `/api/v1/status`: the relay as a whole.

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::error::ApiError;
use crate::admin::pages::{Pages, Running};
use crate::admin::response::json;

/// A relay at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Its id.
    pub instance_id: String,
    /// The version of the program.
    pub version: String,
    /// How long it has run.
    pub uptime_seconds: f64,
    /// Whether it takes messages.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// Why a confirmed message is worth less than it could be, though the relay takes messages.
    pub degraded: Vec<String>,
    /// Where it takes links; null if it only dials.
    #[schema(required)]
    pub listen: Option<String>,
    /// Its store.
    pub store: StatusStore,
    /// How many peers it remembers.
    pub peers: StatusPeers,
    /// Deliveries that peers are owed, in flight ones included.
    pub backlog: u64,
    /// Messages that were taken in since the start of the relay.
    pub received: u64,
    /// Deliveries that were acknowledged since then.
    pub delivered: u64,
    /// Deliveries that were given up. Null if the store does not tell.
    #[schema(required)]
    pub dead_letters: Option<u64>,
    /// The dialled peers that do not answer for so long that they are dialled only now and then.
    pub open_circuits: Vec<String>,
}

/// A store at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusStore {
    /// The engine.
    pub engine: String,
    /// Where it is.
    pub path: String,
    /// What was asked for: `full` or `relaxed`.
    pub durability: String,
    /// What a confirmed message survives, in words.
    pub guarantee: String,
    /// Bytes on the medium. Null if the store does not tell.
    #[schema(required)]
    pub bytes: Option<u64>,
    /// Free bytes where it is. Null if that is not known.
    #[schema(required)]
    pub free_bytes: Option<u64>,
}

/// Remembered peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusPeers {
    /// Those that have a link, with this process or another that shares the store.
    pub up: u64,
    /// Those that have none.
    pub down: u64,
    /// Those whose deliveries are paused, with a link or without.
    pub paused: u64,
}

/// The relay as a whole.
#[utoipa::path(get, path = "/api/v1/status", tag = "relay", responses((status = OK, body = Status)))]
pub(super) async fn status(State(pages): State<Pages>) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &status_of(&pages, pages.running()?).await))
}

/// The relay as a whole.
pub(in crate::admin) async fn status_of(pages: &Pages, running: &Running) -> Status {
    let readiness = (pages.readiness)();
    let Running { observer, listen, store_place, since, .. } = running;
    let (census, stats, guarantee) = (observer.census(), observer.stats().await.ok(), observer.guarantee());
    let flow = observer.flow();
    // To this process they are down.
    let elsewhere = observer.linked_elsewhere().await.map_or(0, |peers| peers.len() as u64).min(census.down);
    Status {
        instance_id: observer.id().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: since.elapsed().as_secs_f64(),
        ready: readiness.is_ready(),
        reasons: readiness.reasons,
        degraded: readiness.degraded,
        listen: listen.clone(),
        store: StatusStore {
            engine: guarantee.engine.to_owned(),
            path: store_place.clone(),
            durability: guarantee.durability.to_string(),
            guarantee: guarantee.to_string(),
            bytes: stats.map(|stats| stats.bytes),
            free_bytes: observer.disk_free(),
        },
        peers: StatusPeers { up: census.up + elsewhere, down: census.down - elsewhere, paused: census.paused },
        backlog: census.backlog,
        received: flow.received,
        delivered: flow.delivered,
        dead_letters: stats.map(|stats| stats.dead_letters),
        open_circuits: readiness.open_circuits,
    }
}
