//! `/api/v1/history`: the last hour.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::times::rfc3339;
use crate::admin::history::{INTERVAL, Point, Spread};
use crate::admin::live::Live;
use crate::admin::response::json;

/// The last hour.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryBody {
    /// How much time a point stands for.
    interval_seconds: u64,
    /// The points, the oldest first. They begin when the relay was started.
    points: Vec<HistoryPoint>,
}

/// What happened within one interval.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::admin) struct HistoryPoint {
    /// When it ended.
    #[schema(format = DateTime)]
    at: String,
    /// Messages that were taken in.
    received_per_second: f64,
    /// Deliveries that were acknowledged.
    delivered_per_second: f64,
    /// From reading a message to its confirm; the median, and what one in a hundred exceeds. Null if there was none.
    #[schema(required)]
    confirm: Option<SpreadSeconds>,
    /// From reading a message to the ACK of a peer.
    #[schema(required)]
    delivery: Option<SpreadSeconds>,
    /// Deliveries that all peers were owed at the end.
    backlog: u64,
}

/// Latencies in seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct SpreadSeconds {
    p50: f64,
    p99: f64,
}

impl From<&Point> for HistoryPoint {
    fn from(point: &Point) -> Self {
        Self {
            at: rfc3339(point.at),
            received_per_second: rounded(point.received),
            delivered_per_second: rounded(point.delivered),
            confirm: point.confirm.map(SpreadSeconds::from),
            delivery: point.delivery.map(SpreadSeconds::from),
            backlog: point.backlog,
        }
    }
}

impl From<Spread> for SpreadSeconds {
    fn from(Spread { p50, p99 }: Spread) -> Self {
        let seconds = |latency: Duration| latency.as_secs_f64();
        Self { p50: seconds(p50), p99: seconds(p99) }
    }
}

/// A rate to a tenth.
fn rounded(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

/// How much flowed through the relay in the last hour, and how fast it answered. It is kept in memory: after a restart it
/// begins anew.
#[utoipa::path(get, path = "/api/v1/history", tag = "relay", responses((status = OK, body = HistoryBody)))]
pub(super) async fn history(State(live): State<Arc<Live>>) -> Response {
    let points = live.history.lock().points().map(HistoryPoint::from).collect();
    json(StatusCode::OK, &HistoryBody { interval_seconds: INTERVAL.as_secs(), points })
}
