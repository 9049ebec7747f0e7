//! Who checks the credentials of peers, and what it says of them.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use slipstream_store::{MessageType, Tag, Timestamp};
use tokio::time::sleep;

use super::lease::Lease;
use super::listener::ConnectInfo;
use crate::clock::Clock;
use crate::link::{Hello, Refusal};

/// How often the time of day is looked at while a link waits for its end: it may be set.
const LOOK: Duration = Duration::from_secs(60);

/// Checks the credential of a peer that asks for a link.
///
/// It is asked for every link that a peer asks for, also for one that takes over another, before the relay remembers
/// anything of the peer. It may wait: that holds up no other connection, and counts towards the time of the handshake.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Returns who the peer is, if its credential permits what it says of itself: its id, its tags, and whether it is a
    /// relay. `hello` is what it says, the bearer token included, and none of it is proven; `info` is what the transport
    /// knows.
    ///
    /// # Errors
    /// [401](Refusal::unauthorized) if the credential is missing or wrong, [403](Refusal::forbidden) if it does not
    /// permit what the peer asks for. The peer gets the reason.
    ///
    /// # Cancellation
    /// The future is dropped where it stands when the handshake takes too long, or the listener shuts down.
    async fn authorize(&self, hello: &Hello, info: &ConnectInfo) -> Result<Principal, Refusal>;
}

/// Asks for no credential, and lets everyone send everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

#[async_trait]
impl Authorizer for AllowAll {
    async fn authorize(&self, _: &Hello, _: &ConnectInfo) -> Result<Principal, Refusal> {
        Ok(Principal::unrestricted())
    }
}

/// Who a credential says that a peer is. It bounds under whose id the peer may link, and what its link may send; ACKs and
/// NACKs are always allowed.
///
/// It holds for one link, from the handshake to the end of the link or of the [`Lease`], whichever comes first.
#[derive(Debug, Clone, Default)]
pub struct Principal {
    name: Option<Arc<str>>,
    /// The types that it may send; `None` is all.
    types: Option<Arc<[MessageType]>>,
    /// The tags that it may target; `None` is all, and no tags at all too.
    tags: Option<Arc<[Tag]>>,
    no_relay: bool,
    lease: Option<Lease>,
    /// The time of day at which it ends; `None` is never.
    end: Option<Timestamp>,
}

impl Principal {
    /// Nobody in particular, who may send everything: what a peer is without a credential, if none is asked for, and
    /// what a server is that the relay dials.
    #[must_use]
    pub fn unrestricted() -> Self {
        Self::default()
    }

    /// Somebody with this name, who may send everything. The name is for logs, so it must be no secret.
    #[must_use]
    pub fn named(name: impl Into<Arc<str>>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// The same, who may send messages of these types only.
    #[must_use]
    pub fn may_send(self, types: impl IntoIterator<Item = MessageType>) -> Self {
        Self { types: Some(types.into_iter().collect()), ..self }
    }

    /// The same, who may target these tags only. A message without `targetedTags` goes to every tag, so it is not
    /// allowed then.
    #[must_use]
    pub fn may_target(self, tags: impl IntoIterator<Item = Tag>) -> Self {
        Self { tags: Some(tags.into_iter().collect()), ..self }
    }

    /// The same, who may not link under the id of a relay, that is of a peer that the relay dials, or that has linked as a
    /// relay before: what is kept there is for that relay alone.
    #[must_use]
    pub fn no_relay(self) -> Self {
        Self { no_relay: true, ..self }
    }

    /// The same, for as long as this lease runs. When it ends, the link is closed with 1008.
    #[must_use]
    pub fn leased(self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// The same, up to this time of day at most. Then the link is closed with 1008.
    #[must_use]
    pub fn until(self, end: Timestamp) -> Self {
        Self { end: Some(self.end.map_or(end, |sooner| sooner.min(end))), ..self }
    }

    /// Returns when it does not hold any more, and why.
    pub(crate) async fn ended(&self, clock: &dyn Clock) -> &'static str {
        let given_up = async {
            match &self.lease {
                Some(lease) => lease.ended().await,
                None => pending().await,
            }
        };
        let over = async {
            match self.end {
                Some(end) => passed(end, clock).await,
                None => pending().await,
            }
        };
        tokio::select! {
            why = given_up => why,
            () = over => "the certificate has expired",
        }
    }

    /// Whether it may link under the id of a relay.
    pub(crate) fn may_take_a_relays_id(&self) -> bool {
        !self.no_relay
    }

    /// The name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it may send a message of this type to these tags.
    ///
    /// # Errors
    /// Why not, as the sender is told: the field, and what in it is not permitted.
    pub(crate) fn permits(&self, message_type: &MessageType, targeted: &[Tag]) -> Result<(), String> {
        if let Some(types) = &self.types
            && !types.contains(message_type)
        {
            return Err(format!("type: the credential of this peer does not permit {message_type}"));
        }
        let Some(tags) = &self.tags else { return Ok(()) };
        if targeted.is_empty() {
            return Err("targetedTags: the credential of this peer permits only some tags, so name one".to_owned());
        }
        match targeted.iter().find(|tag| !tags.contains(tag)) {
            Some(tag) => Err(format!("targetedTags: the credential of this peer does not permit {tag}")),
            None => Ok(()),
        }
    }
}

/// Returns at this time of day.
async fn passed(end: Timestamp, clock: &dyn Clock) {
    loop {
        let left = end.as_millis().saturating_sub(clock.wall().as_millis());
        if left == 0 {
            return;
        }
        sleep(Duration::from_millis(left).min(LOOK)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(names: &[&str]) -> Vec<MessageType> {
        names.iter().map(|name| MessageType::new(*name).unwrap()).collect()
    }

    fn tags(names: &[&str]) -> Vec<Tag> {
        names.iter().map(|name| Tag::new(*name).unwrap()).collect()
    }

    /// What in the message is not permitted, if anything is.
    fn fault(principal: &Principal, message_type: &str, targeted: &[&str]) -> Option<String> {
        let reason = principal.permits(&types(&[message_type])[0], &tags(targeted)).err()?;
        let (field, told) = reason.split_once(':').expect("a field");
        Some(format!("{field} {}", told.rsplit(' ').next().unwrap()))
    }

    #[test]
    fn without_bounds_everything_may_be_sent() {
        for principal in [Principal::unrestricted(), Principal::named("shop")] {
            assert_eq!(fault(&principal, "SK", &[]), None);
            assert_eq!(fault(&principal, "CUSTOM", &["aws", "gcp"]), None);
        }
    }

    #[test]
    fn only_the_types_that_are_named_may_be_sent() {
        let principal = Principal::named("shop").may_send(types(&["SK", "GK"]));
        assert_eq!(principal.name(), Some("shop"));
        assert_eq!(fault(&principal, "GK", &[]), None);
        assert_eq!(fault(&principal, "SK", &["aws"]), None);
        assert_eq!(fault(&principal, "CMD", &["aws"]).as_deref(), Some("type CMD"));
        let mute = Principal::unrestricted().may_send([]);
        assert_eq!(fault(&mute, "SK", &[]).as_deref(), Some("type SK"), "an empty list permits nothing");
    }

    #[test]
    fn every_tag_of_a_message_must_be_one_that_may_be_targeted() {
        let principal = Principal::unrestricted().may_target(tags(&["aws", "gcp"]));
        assert_eq!(fault(&principal, "SK", &["gcp"]), None);
        assert_eq!(fault(&principal, "SK", &["gcp", "aws"]), None);
        assert_eq!(fault(&principal, "SK", &["aws", "azure"]).as_deref(), Some("targetedTags azure"));
        assert_eq!(fault(&principal, "SK", &[]).as_deref(), Some("targetedTags one"), "it would go to every tag");
    }

    #[test]
    fn a_message_must_keep_to_both_bounds() {
        let principal = Principal::unrestricted().may_send(types(&["SK"])).may_target(tags(&["aws"]));
        assert_eq!(fault(&principal, "SK", &["aws"]), None);
        assert_eq!(fault(&principal, "CMD", &["aws"]).as_deref(), Some("type CMD"));
        assert_eq!(fault(&principal, "SK", &["gcp"]).as_deref(), Some("targetedTags gcp"));
    }
}
