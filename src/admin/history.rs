//! The last hour of a relay, in memory: how much flowed through it, and how fast it answered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use slipstream_store::Timestamp;

use crate::relay::{Flow, Latencies};

/// How much time a point stands for.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// Most points: an hour of them.
pub(super) const MAX_POINTS: usize = 720;

/// What happened within one interval.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    /// When it ended.
    pub(super) at: Timestamp,
    /// Messages that were recorded, a second.
    pub(super) received: f64,
    /// Deliveries that were acknowledged, a second.
    pub(super) delivered: f64,
    /// From reading a message to its confirm; `None` if none was confirmed.
    pub(super) confirm: Option<Spread>,
    /// From reading a message to the ACK of a peer; `None` if there was none.
    pub(super) delivery: Option<Spread>,
    /// Deliveries that all peers were owed at its end.
    pub(super) backlog: u64,
}

/// The median of latencies, and what one in a hundred exceeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl Spread {
    fn of(latencies: &Latencies) -> Option<Self> {
        Some(Self { p50: latencies.quantile(0.5)?, p99: latencies.quantile(0.99)? })
    }
}

/// The points of the last hour, the oldest first.
#[derive(Debug)]
pub(super) struct History {
    points: VecDeque<Point>,
    /// When the last point ended, and how much had flowed by then.
    last: (Instant, Flow),
}

impl History {
    /// A history that begins now, before anything flows.
    pub(super) fn new(now: Instant) -> Self {
        Self { points: VecDeque::new(), last: (now, Flow::default()) }
    }

    /// Whether an interval has passed since the last point.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last.0) >= INTERVAL
    }

    /// Adds what has flowed since the last point.
    pub(super) fn look(&mut self, now: Instant, at: Timestamp, flow: Flow, backlog: u64) {
        let (since, earlier) = &self.last;
        let seconds = now.saturating_duration_since(*since).as_secs_f64().max(f64::MIN_POSITIVE);
        #[expect(clippy::cast_precision_loss, reason = "a rate is a float")]
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        if self.points.len() == MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(Point {
            at,
            received: rate(flow.received, earlier.received),
            delivered: rate(flow.delivered, earlier.delivered),
            confirm: Spread::of(&flow.confirm.since(&earlier.confirm)),
            delivery: Spread::of(&flow.delivery.since(&earlier.delivery)),
            backlog,
        });
        self.last = (now, flow);
    }

    pub(super) fn points(&self) -> impl DoubleEndedIterator<Item = &Point> {
        self.points.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(received: u64, delivered: u64) -> Flow {
        Flow { received, delivered, ..Flow::default() }
    }

    #[test]
    fn rates_are_those_of_the_time_that_really_passed() {
        let (begin, at) = (Instant::now(), Timestamp::from_millis(0));
        let mut history = History::new(begin);
        assert!(!history.is_due(begin + INTERVAL / 2));
        assert!(history.is_due(begin + INTERVAL));
        history.look(begin + INTERVAL, at, flow(100, 10), 0);
        let late = begin + INTERVAL * 3;
        history.look(late, at, flow(200, 60), 7);
        assert!(!history.is_due(late + INTERVAL / 2));
        let rates: Vec<_> = history.points().map(|point| (point.received, point.delivered, point.backlog)).collect();
        assert_eq!(rates, [(20.0, 2.0, 0), (10.0, 5.0, 7)]);
        assert!(history.points().all(|point| point.confirm.is_none() && point.delivery.is_none()));
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let (begin, at) = (Instant::now(), Timestamp::from_millis(0));
        let mut history = History::new(begin);
        for number in 0..MAX_POINTS as u64 + 100 {
            history.look(begin + INTERVAL * u32::try_from(number).unwrap(), at, flow(0, 0), number);
        }
        let backlogs: Vec<_> = history.points().map(|point| point.backlog).collect();
        assert_eq!((backlogs.len(), backlogs[0]), (MAX_POINTS, 100));
    }
}
