//! `/api/v1/messages`: where a message stands, peer by peer.

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use slipstream_store::{ClusterGroup, DeliveryState, Identity, MessageId, TracedDelivery};
use utoipa::{IntoParams, ToSchema};

use super::times::rfc3339;
use crate::admin::error::ApiError;
use crate::admin::pages::Pages;
use crate::admin::request::{Path, Query, name};
use crate::admin::response::json;
use crate::relay::MessageObservation;

/// Most cluster groups that an answer names.
const MOST_NAMED: usize = 10;

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody {
    /// Its id.
    pub message_id: String,
    /// Its cluster group.
    pub cluster_group_id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// Its key.
    #[schema(required)]
    pub key: Option<String>,
    /// When this relay took it in.
    #[schema(format = DateTime)]
    pub received_at: String,
    /// From which peer.
    pub received_from: String,
    /// The relays and applications that it came through, this relay the last.
    pub message_path: Vec<String>,
    /// One entry for each peer that it was owed to.
    pub deliveries: Vec<DeliveryItem>,
}

/// Where one delivery stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryItem {
    /// To whom.
    pub peer: String,
    /// `pending`, `in_flight`, `acknowledged`, `superseded`, `expired`, or `dead`.
    pub state: String,
    /// How often it was republished.
    pub attempts: u32,
    /// Its place in commit order.
    pub sequence: u64,
    /// When it was republished last.
    #[schema(required, format = DateTime)]
    pub last_attempt_at: Option<String>,
    /// When it was settled; of an acknowledged one when the ACK came.
    #[schema(required, format = DateTime)]
    pub settled_at: Option<String>,
    /// Why it is a dead letter.
    #[schema(required)]
    pub reason: Option<String>,
}

/// Which group.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct OfGroup {
    /// The message's cluster group. Without it the groups of this relay and of its peers are looked at.
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    cluster_group_id: Option<String>,
}

/// Where a message stands, peer by peer. After all its deliveries are settled it is told for the trace retention.
#[utoipa::path(get, path = "/api/v1/messages/{messageId}", tag = "messages",
    params(("messageId" = String, Path, pattern = "^[!-~]{1,128}$"), OfGroup),
    responses((status = OK, body = MessageBody)))]
pub(super) async fn trace(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Query(OfGroup { cluster_group_id }): Query<OfGroup>,
) -> Result<Response, ApiError> {
    let observer = &pages.running()?.observer;
    let id: MessageId = name(&id)?;
    let groups = match cluster_group_id.as_deref() {
        Some(group) => [name::<ClusterGroup>(group)?].into(),
        None => observer.groups(),
    };
    let mut found = Vec::new();
    for group in &groups {
        found.extend(observer.message(&Identity { group: group.clone(), id: id.clone() }).await?);
    }
    match &found[..] {
        [] => {
            let looked: Vec<_> = groups.iter().take(MOST_NAMED).map(ClusterGroup::as_str).collect();
            let looked = looked.join(", ");
            Err(ApiError::not_found(format!(
                "nothing is known of a message {id} in the cluster groups of this relay and its peers ({looked}); if it has \
                 another, name that: clusterGroupId (--group)"
            )))
        }
        [message] => Ok(json(StatusCode::OK, &body(message))),
        several => {
            let groups: Vec<_> = several.iter().map(|message| message.trace.identity.group.as_str()).collect();
            let groups = groups.join(", ");
            Err(ApiError::conflict(format!(
                "messages of several groups have the id {id}; name one, clusterGroupId (--group): {groups}"
            )))
        }
    }
}

fn body(MessageObservation { trace, in_flight }: &MessageObservation) -> MessageBody {
    let delivery = |delivery: &TracedDelivery| DeliveryItem {
        peer: delivery.peer.to_string(),
        state: match delivery.state {
            DeliveryState::Pending if in_flight.contains(&delivery.peer) => "in_flight",
            DeliveryState::Pending => "pending",
            DeliveryState::Acknowledged => "acknowledged",
            DeliveryState::Superseded => "superseded",
            DeliveryState::Expired => "expired",
            DeliveryState::Dead => "dead",
        }
        .to_owned(),
        attempts: delivery.attempts,
        sequence: delivery.sequence.get(),
        last_attempt_at: delivery.last_attempt_at.map(rfc3339),
        settled_at: delivery.settled_at.map(rfc3339),
        reason: delivery.reason.as_ref().map(ToString::to_string),
    };
    MessageBody {
        message_id: trace.identity.id.to_string(),
        cluster_group_id: trace.identity.group.to_string(),
        message_type: trace.message_type.to_string(),
        key: trace.key.as_ref().map(ToString::to_string),
        received_at: rfc3339(trace.received_at),
        received_from: trace.received_from.to_string(),
        message_path: trace.path.iter().map(ToString::to_string).collect(),
        deliveries: trace.deliveries.iter().map(delivery).collect(),
    }
}
