//! One of the two relays: what it says of the other.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::admin::client::{get, get_within, part};
use crate::admin::{AdminUrl, ClientError, ExchangedMessage, ExchangedMessages, Exchanges, MessageBody, Slice, Status};

/// How long a relay may read its traces before it answers.
const PATIENCE: Duration = Duration::from_secs(600);

/// By how many bits an epoch is cut to find what differs: into 1,024 slices.
const BITS: u8 = 10;

/// Messages of a page.
const PAGE: u32 = 20_000;

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

    /// What it exchanged with the other, by epoch.
    pub(super) async fn exchanges(&self, other: &Self) -> Result<Exchanges, ClientError> {
        get_within(PATIENCE, &self.admin, &format!("/api/v1/reconciliation/{}", part(&other.id))).await
    }

    /// What it exchanged with the other of an epoch, by slice.
    pub(super) async fn slices(&self, other: &Self, epoch: &str) -> Result<BTreeMap<u16, Slice>, ClientError> {
        let path = format!("/api/v1/reconciliation/{}?epoch={}&bits={BITS}", part(&other.id), part(epoch));
        let exchanges: Exchanges = get_within(PATIENCE, &self.admin, &path).await?;
        Ok(exchanges.items.into_iter().map(|item| (item.slice, item.exchanged)).collect())
    }

    /// The messages of an epoch, or of one slice of it.
    pub(super) fn messages(&self, other: &Self, epoch: &str, slice: Option<u16>) -> Messages<'_> {
        let cut = slice.map(|slice| format!("&bits={BITS}&slice={slice}")).unwrap_or_default();
        let path =
            format!("/api/v1/reconciliation/{}/messages?epoch={}&limit={PAGE}{cut}", part(&other.id), part(epoch));
        Messages { admin: &self.admin, path, page: VecDeque::new(), next: Next::First }
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

/// Messages in the order of their marks, read page by page.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    admin: &'a AdminUrl,
    path: String,
    page: VecDeque<ExchangedMessage>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    First,
    After(String),
    None,
}

impl Messages<'_> {
    /// The mark of the next message, if there is one.
    pub(super) async fn mark(&mut self) -> Result<Option<u64>, ClientError> {
        while self.page.is_empty() {
            let path = match &self.next {
                Next::First => self.path.clone(),
                Next::After(after) => format!("{}&after={after}", self.path),
                Next::None => return Ok(None),
            };
            let ExchangedMessages { items, next } = get_within(PATIENCE, self.admin, &path).await?;
            self.page = items.into();
            self.next = next.map_or(Next::None, Next::After);
        }
        Ok(self.page.front().map(|message| message.mark))
    }

    /// Takes the messages that have this mark; none if the next has another.
    pub(super) async fn take(&mut self, mark: u64) -> Result<Vec<ExchangedMessage>, ClientError> {
        let mut taken = Vec::new();
        while self.mark().await? == Some(mark) {
            taken.extend(self.page.pop_front());
        }
        Ok(taken)
    }
}
