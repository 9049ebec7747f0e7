//! One of the two relays: what it says of the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::admin::client::{get, get_within, part};
use crate::admin::{
    AdminUrl, ClientError, ExchangedMessage, ExchangedMessages, Exchanges, MAX_EXCHANGED, MessageBody, Slice, Status,
};

/// How long a relay may read its traces before it answers.
const PATIENCE: Duration = Duration::from_secs(600);

/// Which messages: those of an hour, of whose slices, of which there are 2 to the power of `bits`, one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut<'a> {
    pub(super) hour: &'a str,
    pub(super) bits: u8,
    pub(super) slice: u16,
}

/// A relay.
#[derive(Debug)]
pub(super) struct Side {
    admin: AdminUrl,
    pub(super) id: String,
}

impl Side {
    pub(super) async fn at(admin: AdminUrl) -> Result<Self, ClientError> {
        let Status { instance_id: id, .. } = get(&admin, "/api/v1/status").await?;
        Ok(Self { admin, id })
    }

    /// What it exchanged with the other, by hour.
    pub(super) async fn exchanges(&self, other: &Self) -> Result<Exchanges, ClientError> {
        get_within(PATIENCE, &self.admin, &format!("/api/v1/reconciliation/{}", part(&other.id))).await
    }

    /// What it exchanged with the other in an hour, by slice.
    pub(super) async fn slices(&self, other: &Self, hour: &str, bits: u8) -> Result<BTreeMap<u16, Slice>, ClientError> {
        let path = format!("/api/v1/reconciliation/{}?hour={}&bits={bits}", part(&other.id), part(hour));
        let exchanges: Exchanges = get_within(PATIENCE, &self.admin, &path).await?;
        Ok(exchanges.items.into_iter().map(|item| (item.slice, item.exchanged)).collect())
    }

    /// The messages of a slice.
    pub(super) async fn messages(
        &self,
        other: &Self,
        Cut { hour, bits, slice }: Cut<'_>,
    ) -> Result<Vec<ExchangedMessage>, ClientError> {
        let (peer, hour) = (part(&other.id), part(hour));
        let path = format!(
            "/api/v1/reconciliation/{peer}/messages?hour={hour}&bits={bits}&slice={slice}&limit={MAX_EXCHANGED}"
        );
        let mut page: ExchangedMessages = get_within(PATIENCE, &self.admin, &path).await?;
        let mut messages = Vec::new();
        loop {
            messages.append(&mut page.items);
            let Some(after) = page.next else { return Ok(messages) };
            page = get_within(PATIENCE, &self.admin, &format!("{path}&after={after}")).await?;
        }
    }

    /// Whether it knows a message, and where one is named, whether it has a delivery for that peer.
    pub(super) async fn knows(&self, id: &str, group: &str, peer: Option<&Self>) -> Result<bool, ClientError> {
        let path = format!("/api/v1/messages/{}?clusterGroupId={}", part(id), part(group));
        match get::<MessageBody>(&self.admin, &path).await {
            Ok(message) => {
                let is_for = |peer: &Self| message.deliveries.iter().any(|delivery| delivery.peer == peer.id);
                Ok(peer.is_none_or(is_for))
            }
            Err(ClientError::Refused { status: 404, .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }
}
