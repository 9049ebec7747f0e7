//! A link that publishes: it keeps its window full, or to a schedule, and counts what is confirmed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::Drain;

use bytes::Bytes;
use parking_lot::Mutex;
use slipstream_relay::link::{FrameBatch, Inbox, Outbound};
use tokio::sync::Notify;

use super::foreign::Foreign;
use super::sequence::{Came, Sequence};
use super::shared::Shared;
use crate::load::plan::Plan;
use crate::load::schedule::Schedule;
use crate::load::text::{Template, Text};

/// Most reasons of refusals that are kept apart; the others count as one.
const MAX_REASONS: usize = 16;

/// When a publisher has published enough.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// When it has published this many messages, those of earlier stages included.
    Number(u64),
    /// At this time, in nanoseconds since the load began.
    Time(u64),
}

/// One that publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    index: u16,
    window: u32,
    shared: Arc<Shared>,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    template: Template,
    /// How many messages were published.
    sent: u64,
    until: Until,
    /// The schedule, and how many messages were published before it began.
    schedule: Option<(Schedule, u64)>,
    answered: Sequence,
    confirmed: u64,
    confirmed_again: u64,
    refused: BTreeMap<String, u64>,
    foreign: Foreign,
}

/// How a publisher stands.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) sent: u64,
    pub(crate) confirmed: u64,
    pub(crate) confirmed_again: u64,
    /// How many were refused, for each reason.
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Published {
    pub(crate) fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Messages without an answer.
    pub(crate) fn open(&self) -> u64 {
        self.sent.saturating_sub(self.confirmed + self.refused())
    }
}

impl Publisher {
    pub(crate) fn new(index: u16, plan: &Plan, shared: Arc<Shared>) -> Self {
        let template = Template::new(shared.run, index, plan.payload, plan.keys.map(Into::into));
        let state = State {
            template,
            sent: 0,
            until: Until::Number(0),
            schedule: None,
            answered: Sequence::default(),
            confirmed: 0,
            confirmed_again: 0,
            refused: BTreeMap::new(),
            foreign: Foreign::default(),
        };
        Self { index, window: plan.window.get(), shared, state: Mutex::new(state), wake: Notify::new() }
    }

    /// How long each of its messages is, in bytes.
    pub(crate) fn message_len(&self) -> usize {
        self.state.lock().template.len()
    }

    /// Publishes `messages` more, or until a time.
    pub(crate) fn start(&self, until: Until, schedule: Option<Schedule>) {
        let mut state = self.state.lock();
        state.until = match until {
            Until::Number(more) => Until::Number(state.sent + more),
            Until::Time(_) => until,
        };
        state.schedule = schedule.map(|schedule| (schedule, state.sent));
        drop(state);
        self.wake();
    }

    /// Publishes nothing more.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.until = Until::Number(state.sent);
    }

    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether all is published that was to be, by now.
    pub(crate) fn is_through(&self, now: u64) -> bool {
        self.state.lock().is_through(now)
    }

    pub(crate) fn published(&self) -> Published {
        let state = self.state.lock();
        Published {
            sent: state.sent,
            confirmed: state.confirmed,
            confirmed_again: state.confirmed_again,
            refused: state.refused.clone(),
        }
    }

    fn confirm(&self, text: &[u8]) {
        let mut state = self.state.lock();
        let confirmed = self.shared.scanner.confirmed(text).filter(|mark| match state.answered.take(mark.number) {
            Came::InOrder | Came::Late => {
                state.confirmed += 1;
                true
            }
            Came::Again => {
                state.confirmed_again += 1;
                false
            }
        });
        self.shared.confirms.record(confirmed.map(|mark| mark.intended), self.shared.epoch.now());
        drop(state);
        self.wake();
    }

    fn refuse(&self, number: Option<u64>, reason: String) {
        let mut state = self.state.lock();
        if number.is_none_or(|number| state.answered.take(number) != Came::Again) {
            state.refuse(reason);
        }
        drop(state);
        self.wake();
    }
}

impl State {
    fn is_through(&self, now: u64) -> bool {
        match self.until {
            Until::Number(number) => self.sent >= number,
            Until::Time(time) => now >= time,
        }
    }

    fn refuse(&mut self, reason: String) {
        let reason = match self.refused.contains_key(&reason) || self.refused.len() < MAX_REASONS {
            true => reason,
            false => "other reasons".to_owned(),
        };
        *self.refused.entry(reason).or_default() += 1;
    }

    /// When the next message is to be sent, where that is not later than now.
    fn due(&self, publisher: u16, window: u32, now: u64) -> Option<u64> {
        if self.is_through(now) || self.sent - self.answered.distinct() >= u64::from(window) {
            return None;
        }
        match self.schedule {
            None => Some(now),
            Some((schedule, before)) => Some(schedule.due(publisher, self.sent - before)).filter(|due| *due <= now),
        }
    }
}

impl Outbound for Publisher {
    fn fill(&self, frames: &mut FrameBatch) {
        let now = self.shared.epoch.now();
        let mut state = self.state.lock();
        state.foreign.acknowledge(frames);
        while !frames.is_full()
            && let Some(intended) = state.due(self.index, self.window, now)
        {
            let number = state.sent;
            frames.text_bytes(state.template.message(number, intended));
            state.sent += 1;
            if state.schedule.is_some() {
                self.shared.sends.record([intended], now);
            }
        }
    }

    async fn ready(&self) {
        self.wake.notified().await;
    }
}

/// Takes the answers to a publisher.
#[derive(Debug)]
pub(crate) struct Answers(pub(crate) Arc<Publisher>);

impl Inbox for Answers {
    async fn texts(&mut self, texts: Drain<'_, Bytes>) {
        let publisher = &self.0;
        for text in texts {
            match publisher.shared.scanner.read(&text) {
                Text::Confirm => publisher.confirm(&text),
                Text::Refusal(mark, reason) => publisher.refuse(mark.map(|mark| mark.number), reason),
                Text::Foreign(id) => {
                    publisher.state.lock().foreign.take(id);
                    publisher.wake();
                }
                // Nobody sends a publisher messages of the run: it has no tags.
                Text::Delivery(..) | Text::Unknown => publisher.shared.stray(),
            }
        }
    }
}
