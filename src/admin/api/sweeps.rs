//! Going through dead letters and redriving or removing each: one sweep at a time, at a rate if it is wished.
//!
//! A sweep takes in what was dead when it began. So what is redriven and dies again is not redriven for ever.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use slipstream_store::{
    DeadLetter, DeadLetterCursor, DeadLetterFilter, MessageStore, PageLimit, Sequence, StoreError, Timestamp,
};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::named;
use super::times::rfc3339;
use crate::admin::access::Caller;
use crate::admin::error::ApiError;
use crate::relay::{Observer, Operator};

/// Dead letters that are read at once.
const PAGE: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);

/// Most dead letters that are on their way into a commit at once.
const AT_ONCE: usize = 128;

/// How long a request waits for its sweep before it answers that it runs.
const SOON: Duration = Duration::from_secs(3);

/// Most dead letters a second that may be asked for.
const MAX_RATE: u32 = 1_000_000;

/// Which dead letters, and how: those that fit every field that is given.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct Order {
    /// Those of this peer.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    #[param(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Those with this reason, the whole or the part before its first colon.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Those of messages with this id.
    #[schema(pattern = "^[!-~]{1,128}$")]
    #[param(pattern = "^[!-~]{1,128}$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// The one with this sequence, of that peer.
    #[schema(minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// All of them. It is wanted where no other field says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
    /// Most a second.
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[param(minimum = 1, maximum = 1_000_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    /// Only counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
}

/// What an order means.
#[derive(Debug, Clone)]
pub(super) struct Meant {
    filter: DeadLetterFilter,
    sequence: Option<Sequence>,
    rate: Option<NonZeroU32>,
    dry_run: bool,
}

impl Meant {
    /// Reads an order. One that names nothing must say that all are meant.
    pub(super) fn of(order: &Order) -> Result<Self, ApiError> {
        let filter = named::filter(order.peer.as_deref(), order.reason.as_deref(), order.message_id.as_deref())?;
        let sequence = order.sequence.map(named::sequence).transpose()?;
        if sequence.is_some() && filter.peer.is_none() {
            return Err(ApiError::invalid("sequence: expected peer too, since one sequence may be of several peers"));
        }
        let names_some = filter != DeadLetterFilter::default();
        match order.all {
            Some(true) if names_some => return Err(ApiError::invalid("all: expected nothing else that says which")),
            Some(true) => {}
            _ if !names_some => {
                return Err(ApiError::invalid("expected peer, reason, messageId, or all=true"));
            }
            _ => {}
        }
        let rate = order.rate.map(|rate| {
            let fits = NonZeroU32::new(rate).filter(|rate| rate.get() <= MAX_RATE);
            fits.ok_or_else(|| ApiError::invalid(format!("rate: expected 1 to {MAX_RATE}, got {rate}")))
        });
        Ok(Self { filter, sequence, rate: rate.transpose()?, dry_run: order.dry_run.unwrap_or(false) })
    }

    fn matches(&self, dead: &DeadLetter, began: Timestamp) -> bool {
        dead.dead_at <= began && self.sequence.is_none_or(|sequence| sequence == dead.sequence)
    }

    /// Where the list is read from.
    fn start(&self) -> Option<DeadLetterCursor> {
        named::just_before(self.filter.peer.as_ref()?, self.sequence?)
    }
}

/// A redrive or a purge at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// What is done.
    pub action: SweepAction,
    /// How it stands.
    pub state: SweepState,
    /// Whether it only counts.
    pub dry_run: bool,
    /// How many dead letters it has come to that are meant.
    pub matched: u64,
    /// How many of them it has redriven or removed.
    pub done: u64,
    /// How many it has left: they were gone by then, or nobody remembers the peer.
    pub skipped: u64,
    /// When it began.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it ended.
    #[schema(required, format = DateTime)]
    pub ended_at: Option<String>,
    /// Why it failed.
    #[schema(required)]
    pub error: Option<String>,
}

/// What was ordered, and by whom.
pub(super) struct Ordered {
    pub(super) action: SweepAction,
    pub(super) caller: Caller,
    /// Which dead letters, in the words of the order.
    pub(super) what: String,
}

/// What a sweep does with each dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SweepAction {
    /// It is delivered again.
    Redrive,
    /// It is removed for good.
    Purge,
}

impl SweepAction {
    fn past(self) -> &'static str {
        match self {
            Self::Redrive => "redriven",
            Self::Purge => "purged",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redrive => "dead_letters.redrive",
            Self::Purge => "dead_letters.purge",
        }
    }
}

/// How a sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SweepState {
    /// It goes on.
    Running,
    /// It came to the end.
    Done,
    /// It was stopped. What it had done stays done.
    Cancelled,
    /// The store failed, or the relay is ending. What it had done stays done.
    Failed,
}

impl SweepState {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// The sweeps of one relay. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Sweeps(Arc<Mutex<Option<Begun>>>);

#[derive(Debug, Clone)]
struct Begun {
    shown: watch::Sender<Sweep>,
    cancel: CancellationToken,
}

impl Sweeps {
    /// Begins one, unless one runs.
    pub(super) fn begin(
        &self,
        observer: Observer<dyn MessageStore>,
        operator: Operator<dyn MessageStore>,
        ordered: Ordered,
        meant: Meant,
    ) -> Result<(), ApiError> {
        let mut last = self.0.lock();
        if last.as_ref().is_some_and(|last| last.shown.borrow().state == SweepState::Running) {
            return Err(ApiError::conflict("dead letters are being redriven or purged; one sweep runs at a time"));
        }
        let began = observer.now();
        let shown = watch::Sender::new(Sweep {
            action: ordered.action,
            state: SweepState::Running,
            dry_run: meant.dry_run,
            matched: 0,
            done: 0,
            skipped: 0,
            started_at: rfc3339(began),
            ended_at: None,
            error: None,
        });
        let begun = Begun { shown, cancel: CancellationToken::new() };
        *last = Some(begun.clone());
        tokio::spawn(begun.run(observer, operator, ordered, meant, began));
        Ok(())
    }

    /// The one that was begun last.
    pub(super) fn last(&self) -> Option<Sweep> {
        self.0.lock().as_ref().map(|last| last.shown.borrow().clone())
    }

    /// The one that was begun last, once it has ended, or after a while.
    pub(super) async fn ended_soon(&self) -> Option<Sweep> {
        let mut shown = self.0.lock().as_ref()?.shown.subscribe();
        let ended = timeout(SOON, shown.wait_for(|sweep| sweep.state != SweepState::Running)).await;
        match ended {
            Ok(Ok(sweep)) => Some(sweep.clone()),
            _ => self.last(),
        }
    }

    /// Stops the one that runs; false if none does.
    pub(super) fn cancel(&self) -> bool {
        let last = self.0.lock();
        let running = last.as_ref().filter(|last| last.shown.borrow().state == SweepState::Running);
        running.inspect(|running| running.cancel.cancel()).is_some()
    }
}

impl Begun {
    async fn run(
        self,
        observer: Observer<dyn MessageStore>,
        operator: Operator<dyn MessageStore>,
        Ordered { action, caller, what }: Ordered,
        meant: Meant,
        began: Timestamp,
    ) {
        // It is not dropped when it is cancelled: what was begun is finished, and counted.
        let (state, error) = match self.sweep(&observer, &operator, action, &meant, began).await {
            Ok(()) if self.cancel.is_cancelled() => (SweepState::Cancelled, None),
            Ok(()) => (SweepState::Done, None),
            Err(error) => (SweepState::Failed, Some(error.to_string())),
        };
        self.shown.send_modify(|sweep| {
            sweep.state = state;
            sweep.error = error;
            sweep.ended_at = Some(rfc3339(observer.now()));
        });
        let Sweep { matched, done, skipped, dry_run, .. } = self.shown.borrow().clone();
        let outcome = match dry_run {
            true => format!("{}: {matched} are meant", state.name()),
            false => {
                format!("{}: {matched} meant, {done} {}, {skipped} left as they were", state.name(), action.past())
            }
        };
        caller.acted(action.name(), &what, &outcome);
    }

    async fn sweep(
        &self,
        observer: &Observer<dyn MessageStore>,
        operator: &Operator<dyn MessageStore>,
        action: SweepAction,
        meant: &Meant,
        began: Timestamp,
    ) -> Result<(), StoreError> {
        let mut ticks = meant.rate.map(every);
        let mut after = meant.start();
        loop {
            let page = observer.dead_letters(&meant.filter, after, PageLimit::items(PAGE)).await?;
            let last = page.items.last();
            after = last.map(|last| DeadLetterCursor { sequence: last.sequence, peer: last.peer.clone() });
            let is_past = meant.sequence.is_some();
            let letters: Vec<_> = page.items.into_iter().filter(|dead| meant.matches(dead, began)).collect();
            self.shown.send_modify(|sweep| sweep.matched += letters.len() as u64);
            if !meant.dry_run {
                self.each(letters, operator, action, ticks.as_mut()).await?;
            }
            if !page.more || is_past || self.cancel.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Redrives or removes each in their order, many in one commit unless there is a rate.
    async fn each(
        &self,
        letters: Vec<DeadLetter>,
        operator: &Operator<dyn MessageStore>,
        action: SweepAction,
        mut ticks: Option<&mut Interval>,
    ) -> Result<(), StoreError> {
        let at_once = if ticks.is_some() { 1 } else { AT_ONCE };
        for letters in letters.chunks(at_once) {
            if let Some(ticks) = &mut ticks {
                self.cancel.run_until_cancelled(ticks.tick()).await;
            }
            if self.cancel.is_cancelled() {
                return Ok(());
            }
            let letters = letters.iter().map(|dead| (dead.peer.clone(), dead.sequence));
            let done: Vec<bool> = match action {
                SweepAction::Redrive => operator.redrive_each(letters).await?.iter().map(Option::is_some).collect(),
                SweepAction::Purge => operator.discard_each(letters).await?,
            };
            let applied = done.iter().filter(|done| **done).count() as u64;
            self.shown.send_modify(|sweep| {
                sweep.done += applied;
                sweep.skipped += done.len() as u64 - applied;
            });
        }
        Ok(())
    }
}

/// Ticks so many times a second.
fn every(rate: NonZeroU32) -> Interval {
    let mut ticks = interval(Duration::from_secs(1) / rate.get());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
