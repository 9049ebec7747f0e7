//! `/api/v1/reconciliation`: what this relay and a peer exchanged, counted and hashed, and message by message. Two relays
//! that are asked for each other can be compared by it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use parking_lot::Mutex;
use serde::Deserialize;
use slipstream_store::{Exchanged, PeerId, Show, Timestamp};
use ulid::Ulid;
use utoipa::IntoParams;

use super::exchanged::{ExchangedMessage, ExchangedMessages, Exchanges, Slice, TallyItem};
use super::times::rfc3339;
use crate::admin::error::ApiError;
use crate::admin::pages::{Pages, Running};
use crate::admin::request::{Path, Query, name};
use crate::admin::response::json;

/// Most bits by which an epoch is cut into slices: 4,096 of them.
const MOST_BITS: u8 = 12;

/// Most entries of an answer. There is an epoch each hour and relay, and one each start.
const MOST_TALLIES: usize = 16_384;

/// Messages of a page unless said otherwise, and at most. Each page reads all traces, so they are large.
const PAGE: u32 = 1000;
const MAX_PAGE: u32 = 20_000;

/// Which epochs, and in how many slices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Sliced {
    /// This epoch alone: a ULID.
    #[param(pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    epoch: Option<String>,
    /// Each epoch is cut into slices by so many bits of a hash of the identities.
    #[param(minimum = 0, maximum = 12, default = 0)]
    bits: Option<u8>,
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct PageOfSlice {
    /// Of this epoch: a ULID.
    #[param(pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    epoch: String,
    /// The epoch is cut into slices by so many bits of a hash of the identities.
    #[param(minimum = 0, maximum = 12, default = 0)]
    bits: Option<u8>,
    /// Which of the slices.
    #[param(minimum = 0, maximum = 4095, default = 0)]
    slice: Option<u16>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-9a-f]{16}-[0-9]{1,19}$")]
    after: Option<String>,
    /// Most messages of the page.
    #[param(minimum = 1, maximum = 20000, default = 1000)]
    limit: Option<u32>,
}

/// What this relay and a peer exchanged, by the hour in which the messages came to their first relay. It reads all traces;
/// one is answered at a time.
#[utoipa::path(get, path = "/api/v1/reconciliation/{id}", tag = "reconciliation",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$"), Sliced),
    responses((status = OK, body = Exchanges)))]
pub(super) async fn tallies(
    State(pages): State<Pages>,
    Path(peer): Path<String>,
    Query(Sliced { epoch, bits }): Query<Sliced>,
) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let (peer, epoch) = (name(&peer)?, epoch.as_deref().map(ulid).transpose()?);
    let cut = Cut::by(bits)?;
    let add = move |tallies: &mut BTreeMap<(Ulid, u16), Slice>, told: &Exchanged<'_>| {
        if epoch.is_none_or(|epoch| epoch == told.epoch) {
            tallies.entry((told.epoch, cut.slice_of(told))).or_default().add(told);
        }
        if tallies.len() > MOST_TALLIES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (tallies, whole_since) = gathered(running, &peer, add).await?;
    if tallies.len() > MOST_TALLIES {
        let message = format!("there are more than {MOST_TALLIES} slices; name one epoch, or ask for fewer bits");
        return Err(ApiError::conflict(message));
    }
    let item = |((epoch, slice), exchanged): ((Ulid, u16), Slice)| TallyItem {
        epoch: epoch.to_string(),
        began: rfc3339(Timestamp::from_millis(epoch.timestamp_ms())),
        slice,
        exchanged,
    };
    let exchanges = Exchanges {
        relay: running.observer.id().to_string(),
        peer: peer.to_string(),
        now: rfc3339(running.observer.wall()),
        whole_since: rfc3339(whole_since),
        items: tallies.into_iter().map(item).collect(),
    };
    Ok(json(StatusCode::OK, &exchanges))
}

/// The messages of an epoch, and what the peer has to do with each. Each page reads all traces; one is answered at a time.
#[utoipa::path(get, path = "/api/v1/reconciliation/{id}/messages", tag = "reconciliation",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$"), PageOfSlice),
    responses((status = OK, body = ExchangedMessages)))]
pub(super) async fn messages(
    State(pages): State<Pages>,
    Path(peer): Path<String>,
    Query(PageOfSlice { epoch, bits, slice, after, limit }): Query<PageOfSlice>,
) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let (peer, epoch, cut) = (name(&peer)?, ulid(&epoch)?, Cut::by(bits)?);
    let slice = slice.unwrap_or_default();
    let after = after.as_deref().map(cursor).transpose()?;
    let limit = limit.unwrap_or(PAGE);
    if limit == 0 || limit > MAX_PAGE {
        return Err(ApiError::invalid(format!("limit: expected 1 to {MAX_PAGE}, got {limit}")));
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let add = move |page: &mut BTreeMap<(u64, u64), ExchangedMessage>, told: &Exchanged<'_>| {
        let at = (told.mark(), told.sequence.get());
        if told.epoch == epoch && cut.slice_of(told) == slice && after.is_none_or(|after| after < at) {
            // One more than the page has, so that it is known whether there is more.
            if page.len() <= most || page.last_key_value().is_some_and(|(last, _)| at < *last) {
                page.insert(at, ExchangedMessage::from(told));
            }
            if page.len() > most + 1 {
                page.pop_last();
            }
        }
        ControlFlow::Continue(())
    };
    let (mut page, _) = gathered(running, &peer, add).await?;
    let more = page.len() > most;
    if more {
        page.pop_last();
    }
    let next = page.last_key_value().filter(|_| more).map(|((mark, sequence), _)| format!("{mark:016x}-{sequence}"));
    Ok(json(StatusCode::OK, &ExchangedMessages { items: page.into_values().collect(), next }))
}

/// What the messages that were exchanged with the peer come to, one after the other. If nobody waits for it any more, the
/// reading ends; until then, nobody else is answered.
async fn gathered<T: Default + Send + 'static>(
    running: &Running,
    peer: &PeerId,
    add: impl Fn(&mut T, &Exchanged<'_>) -> ControlFlow<()> + Send + Sync + 'static,
) -> Result<(T, Timestamp), ApiError> {
    let turn = Arc::clone(&running.reconciling).acquire_owned().await;
    let turn = turn.map_err(|_| ApiError::unavailable("the relay is shutting down"))?;
    let gathered: Arc<Mutex<T>> = Arc::default();
    let wanted: Weak<Mutex<T>> = Arc::downgrade(&gathered);
    let show = Show::each(move |told| {
        let _turn = &turn;
        wanted.upgrade().map_or(ControlFlow::Break(()), |gathered| add(&mut gathered.lock(), told))
    });
    let whole_since = running.observer.exchanged(peer, show).await?;
    let gathered = std::mem::take(&mut *gathered.lock());
    Ok((gathered, whole_since))
}

/// By how many bits of the mark of its messages an epoch is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    bits: u8,
}

impl Cut {
    fn by(bits: Option<u8>) -> Result<Self, ApiError> {
        match bits.unwrap_or_default() {
            bits @ 0..=MOST_BITS => Ok(Self { bits }),
            bits => Err(ApiError::invalid(format!("bits: expected 0 to {MOST_BITS}, got {bits}"))),
        }
    }

    fn slice_of(self, told: &Exchanged<'_>) -> u16 {
        let upper = told.mark().checked_shr(u64::BITS - u32::from(self.bits)).unwrap_or_default();
        u16::try_from(upper).unwrap_or_default()
    }
}

fn ulid(text: &str) -> Result<Ulid, ApiError> {
    Ulid::from_string(text).map_err(|_| ApiError::invalid("epoch: expected a ULID"))
}

fn cursor(text: &str) -> Result<(u64, u64), ApiError> {
    let read = |(mark, sequence): (&str, &str)| {
        let mark = u64::from_str_radix(mark, 16).ok().filter(|_| mark.len() == 16)?;
        Some((mark, sequence.parse().ok()?))
    };
    text.split_once('-').and_then(read).ok_or_else(|| ApiError::invalid("after: expected the `next` of a page"))
}
