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
use utoipa::IntoParams;

use super::exchanged::{ExchangedMessage, ExchangedMessages, Exchanges, Slice, TallyItem};
use super::times::{millis_of, rfc3339};
use crate::admin::error::ApiError;
use crate::admin::pages::{Pages, Running};
use crate::admin::request::{Path, Query, name};
use crate::admin::response::json;

/// Most bits by which an hour is cut into slices: 4,096 of them.
pub const MAX_SLICE_BITS: u8 = 12;

/// Most entries of an answer.
const MOST_TALLIES: usize = 16_384;

/// In milliseconds.
const HOUR: u64 = 3_600_000;

/// Messages of a page unless said otherwise.
const PAGE: u32 = 1000;

/// Most messages of a page. Each page reads all traces, so it may be large.
pub const MAX_EXCHANGED: u32 = 20_000;

/// Which hours, and in how many slices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Sliced {
    /// The hour that begins at this time alone.
    #[param(format = DateTime)]
    hour: Option<String>,
    /// Each hour is cut into slices by so many bits of a hash of the identities.
    #[param(minimum = 0, maximum = 12, default = 0)]
    bits: Option<u8>,
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct PageOfSlice {
    /// Of the hour that begins at this time.
    #[param(format = DateTime)]
    hour: String,
    /// The hour is cut into slices by so many bits of a hash of the identities.
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
    Query(Sliced { hour, bits }): Query<Sliced>,
) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let (peer, hour) = (name(&peer)?, hour.as_deref().map(read_hour).transpose()?);
    let cut = Cut::by(bits)?;
    let add = move |tallies: &mut BTreeMap<(u64, u16), Slice>, told: &Exchanged<'_>| {
        let of = hour_of(told);
        if hour.is_none_or(|hour| hour == of) {
            tallies.entry((of, cut.slice_of(told))).or_default().add(told);
        }
        if tallies.len() > MOST_TALLIES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (tallies, whole_since) = gathered(running, &peer, add).await?;
    if tallies.len() > MOST_TALLIES {
        let message = format!("there are more than {MOST_TALLIES} slices; name one hour, or ask for fewer bits");
        return Err(ApiError::conflict(message));
    }
    let item = |((hour, slice), exchanged): ((u64, u16), Slice)| TallyItem {
        hour: rfc3339(Timestamp::from_millis(hour.saturating_mul(HOUR))),
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

/// The messages of an hour, and what the peer has to do with each. Each page reads all traces; one is answered at a time.
#[utoipa::path(get, path = "/api/v1/reconciliation/{id}/messages", tag = "reconciliation",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9._:-]{1,128}$"), PageOfSlice),
    responses((status = OK, body = ExchangedMessages)))]
pub(super) async fn messages(
    State(pages): State<Pages>,
    Path(peer): Path<String>,
    Query(PageOfSlice { hour, bits, slice, after, limit }): Query<PageOfSlice>,
) -> Result<Response, ApiError> {
    let running = pages.running()?;
    let (peer, hour, cut) = (name(&peer)?, read_hour(&hour)?, Cut::by(bits)?);
    let slice = slice.unwrap_or_default();
    let after = after.as_deref().map(cursor).transpose()?;
    let limit = limit.unwrap_or(PAGE);
    if limit == 0 || limit > MAX_EXCHANGED {
        return Err(ApiError::invalid(format!("limit: expected 1 to {MAX_EXCHANGED}, got {limit}")));
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let add = move |page: &mut BTreeMap<(u64, u64), ExchangedMessage>, told: &Exchanged<'_>| {
        let at = (told.mark(), told.sequence.get());
        if hour_of(told) == hour && cut.slice_of(told) == slice && after.is_none_or(|after| after < at) {
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

/// By how many bits of the marks of its messages an hour is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    bits: u8,
}

impl Cut {
    fn by(bits: Option<u8>) -> Result<Self, ApiError> {
        match bits.unwrap_or_default() {
            bits @ 0..=MAX_SLICE_BITS => Ok(Self { bits }),
            bits => Err(ApiError::invalid(format!("bits: expected 0 to {MAX_SLICE_BITS}, got {bits}"))),
        }
    }

    fn slice_of(self, told: &Exchanged<'_>) -> u16 {
        let upper = told.mark().checked_shr(u64::BITS - u32::from(self.bits)).unwrap_or_default();
        u16::try_from(upper).unwrap_or_default()
    }
}

/// The hour in which a message came to its first relay, counted from 1970: its epoch is no longer.
fn hour_of(told: &Exchanged<'_>) -> u64 {
    told.epoch.timestamp_ms() / HOUR
}

/// Reads an hour, counted from 1970. Nothing came before, which is as good as an hour that never comes.
fn read_hour(text: &str) -> Result<u64, ApiError> {
    let millis = millis_of(text);
    let millis = millis.ok_or_else(|| ApiError::invalid("hour: expected a time, such as 2026-11-29T14:00:00Z"))?;
    Ok(u64::try_from(millis).map_or(u64::MAX, |millis| millis / HOUR))
}

fn cursor(text: &str) -> Result<(u64, u64), ApiError> {
    let read = |(mark, sequence): (&str, &str)| {
        let mark = u64::from_str_radix(mark, 16).ok().filter(|_| mark.len() == 16)?;
        Some((mark, sequence.parse().ok()?))
    };
    text.split_once('-').and_then(read).ok_or_else(|| ApiError::invalid("after: expected the `next` of a page"))
}
