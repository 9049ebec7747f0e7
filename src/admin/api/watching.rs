//! `/api/v1/events` and `/api/v1/monitor`: the relay, and messages, as they go on. They are not in the description, because
//! they do not end by themselves.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use slipstream_store::{MessageType, PeerId};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::times::rfc3339;
use crate::admin::error::ApiError;
use crate::admin::live::{Live, MAX_WATCHERS};
use crate::admin::open::Progress;
use crate::admin::pages::Pages;
use crate::admin::request::{Query, name};
use crate::relay::{Passing, Watch};

/// Most recipients of a message that are named.
const NAMED: usize = 16;

/// Messages a second that are shown unless said otherwise, and at most.
const RATE: u32 = 100;
const MAX_RATE: u32 = 1_000;

/// The relay as it goes on, a server-sent event a second.
pub(in crate::admin) async fn events(
    State(pages): State<Pages>,
    State(live): State<Arc<Live>>,
    Extension(progress): Extension<Progress>,
) -> Result<Response, ApiError> {
    pages.running()?;
    let watcher = live.watch().ok_or_else(too_many)?;
    progress.stay();
    let pictures = unfold(watcher, async |mut watcher| {
        let picture = watcher.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(picture)), watcher))
    });
    Ok(Sse::new(pictures).into_response())
}

/// Which messages.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::admin) struct Wanted {
    /// Those that come from this peer, or go to it.
    peer: Option<String>,
    /// Those of this type.
    r#type: Option<String>,
    /// At most so many a second.
    rate: Option<u32>,
}

/// A message that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassingBody {
    /// When.
    pub at: String,
    /// Its place in commit order.
    pub sequence: u64,
    /// Its id.
    pub message_id: String,
    /// Its cluster group.
    pub cluster_group_id: String,
    /// Its type.
    pub r#type: String,
    /// Its key.
    pub key: Option<String>,
    /// The peer that it came from.
    pub from: String,
    /// The first peers that it goes to.
    pub recipients: Vec<String>,
    /// How many it goes to.
    pub recipient_count: usize,
    /// Bytes of the whole message.
    pub bytes: usize,
    /// How many messages passed since the one before that were not shown, whether they were wanted or not.
    pub skipped: u64,
}

/// Messages as they are taken in, a server-sent event each, without their values.
pub(in crate::admin) async fn monitor(
    State(pages): State<Pages>,
    State(live): State<Arc<Live>>,
    Extension(progress): Extension<Progress>,
    Query(Wanted { peer, r#type, rate }): Query<Wanted>,
) -> Result<Response, ApiError> {
    let observer = &pages.running()?.observer;
    let rate = rate.unwrap_or(RATE);
    let a_second = NonZeroU32::new(rate).filter(|rate| rate.get() <= MAX_RATE);
    let a_second = a_second.ok_or_else(|| ApiError::invalid(format!("rate: expected 1 to {MAX_RATE}, got {rate}")))?;
    let monitor = Monitor {
        peer: peer.as_deref().map(name).transpose()?,
        message_type: r#type.as_deref().map(name).transpose()?,
        pause: Duration::from_secs(1) / a_second.get(),
        next: Instant::now(),
        skipped: 0,
        _place: live.place().ok_or_else(too_many)?,
        watch: observer.watch(),
    };
    progress.stay();
    let messages = unfold(monitor, async |mut monitor| {
        let body = monitor.next().await?;
        let event = Event::default().json_data(&body).unwrap_or_default();
        Some((Ok::<_, Infallible>(event), monitor))
    });
    Ok(Sse::new(messages).into_response())
}

fn too_many() -> ApiError {
    ApiError::unavailable(format!("{MAX_WATCHERS} watch already; ask again when one has left"))
}

/// One who watches messages.
struct Monitor {
    peer: Option<PeerId>,
    message_type: Option<MessageType>,
    /// How long nothing is shown after each that is.
    pause: Duration,
    next: Instant,
    skipped: u64,
    watch: Watch,
    _place: OwnedSemaphorePermit,
}

impl Monitor {
    async fn next(&mut self) -> Option<PassingBody> {
        loop {
            let (passing, missed) = self.watch.next().await?;
            self.skipped += missed + passing.left_out;
            let now = Instant::now();
            if self.wants(&passing) && now >= self.next {
                // What was not shown for a while is made up for, up to a tenth of a second.
                self.next = self.next.max(now - Duration::from_millis(100)) + self.pause;
                return Some(body(&passing, std::mem::take(&mut self.skipped)));
            }
            self.skipped += 1;
        }
    }

    fn wants(&self, Passing { route, message_type, .. }: &Passing) -> bool {
        let of_peer = |peer: &PeerId| route.received_from == *peer || route.recipients.contains(peer);
        self.peer.as_ref().is_none_or(of_peer) && self.message_type.as_ref().is_none_or(|wanted| wanted == message_type)
    }
}

fn body(passing: &Passing, skipped: u64) -> PassingBody {
    let Passing { sequence, identity, message_type, key, route, bytes, received_at, .. } = passing;
    PassingBody {
        at: rfc3339(*received_at),
        sequence: sequence.get(),
        message_id: identity.id.to_string(),
        cluster_group_id: identity.group.to_string(),
        r#type: message_type.to_string(),
        key: key.as_ref().map(ToString::to_string),
        from: route.received_from.to_string(),
        recipients: route.recipients.iter().take(NAMED).map(ToString::to_string).collect(),
        recipient_count: route.recipients.len(),
        bytes: *bytes,
        skipped,
    }
}
