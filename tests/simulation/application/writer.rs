//! What an application has to say: messages of its own, which it keeps until they are confirmed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use slipstream::store::{Identity, Key, MessageType, PeerId, Tag, Timestamp};
use tokio::time::Instant;

use super::Sent;

/// Most messages that an application keeps unconfirmed; beyond it it has nothing more to say.
const MOST_UNCONFIRMED: usize = 64;

/// What an application writes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topics {
    /// The pause between two messages is up to twice this; `None` for one that only listens.
    pub(crate) every: Option<Duration>,
    /// Of a thousand messages: how many are for some tags, for some instances, and lose their point soon.
    pub(crate) tagged: u32,
    pub(crate) named: u32,
    pub(crate) expiring: u32,
    /// Of a thousand messages how many set a key, and how many keys there are.
    pub(crate) settings: u32,
    pub(crate) keys: u32,
    /// Longest padding in a value.
    pub(crate) padding: usize,
}

impl Topics {
    /// Events for everyone.
    pub(crate) fn events(every: Duration) -> Self {
        Self { every: Some(every), tagged: 0, named: 0, expiring: 0, settings: 0, keys: 1, padding: 200 }
    }

    /// Something of everything, about few keys.
    pub(crate) fn mixed() -> Self {
        Self { every: None, tagged: 200, named: 100, expiring: 100, settings: 500, keys: 5, padding: 200 }
    }
}

/// An application's own messages. They outlive its crashes.
#[derive(Debug)]
pub(crate) struct Writer {
    id: PeerId,
    topics: Topics,
    everyone: Vec<PeerId>,
    tags: Vec<Tag>,
    unconfirmed: BTreeMap<u64, Unconfirmed>,
    written: u64,
    /// Whether it has begun and not been stopped.
    writes: bool,
    next_at: Instant,
    randomness: fastrand::Rng,
}

#[derive(Debug)]
struct Unconfirmed {
    message: Sent,
    /// When it is sent again, if no answer comes.
    again_at: Instant,
}

impl Writer {
    pub(crate) fn new(
        id: &PeerId,
        topics: Topics,
        everyone: Vec<PeerId>,
        tags: Vec<Tag>,
        randomness: fastrand::Rng,
    ) -> Self {
        let next_at = Instant::now();
        Self {
            id: id.clone(),
            topics,
            everyone,
            tags,
            unconfirmed: BTreeMap::new(),
            written: 0,
            writes: false,
            next_at,
            randomness,
        }
    }

    /// From when on it writes.
    pub(crate) fn begin(&mut self) {
        self.next_at = Instant::now();
        self.writes = true;
    }

    /// Writes no more; what is unconfirmed is still sent.
    pub(crate) fn stop(&mut self) {
        self.writes = false;
    }

    /// When there is something to send next.
    pub(crate) fn due(&self) -> Option<Instant> {
        let writes = self.writes && self.topics.every.is_some() && self.unconfirmed.len() < MOST_UNCONFIRMED;
        let again = self.unconfirmed.values().map(|unconfirmed| unconfirmed.again_at).min();
        writes.then_some(self.next_at).into_iter().chain(again).min()
    }

    /// On a new link everything unconfirmed is sent again, in order.
    pub(crate) fn all_again(&mut self) {
        let now = Instant::now();
        self.unconfirmed.values_mut().for_each(|unconfirmed| unconfirmed.again_at = now);
    }

    /// The next message to send now, and after what time it is sent again.
    pub(crate) fn next(&mut self, now: Timestamp, patience: Duration) -> Option<Sent> {
        let at = Instant::now();
        if let Some(unconfirmed) = self.unconfirmed.values_mut().find(|unconfirmed| unconfirmed.again_at <= at) {
            unconfirmed.again_at = at + patience;
            return Some(unconfirmed.message.clone());
        }
        let every = self.topics.every.filter(|_| self.writes)?;
        if self.next_at > at || self.unconfirmed.len() >= MOST_UNCONFIRMED {
            return None;
        }
        self.next_at = at + every.mul_f64(2.0 * self.randomness.f64());
        let message = self.write(now);
        self.unconfirmed.insert(self.written, Unconfirmed { message: message.clone(), again_at: at + patience });
        Some(message)
    }

    fn write(&mut self, now: Timestamp) -> Sent {
        self.written += 1;
        let Self { topics, randomness, .. } = self;
        let mut falls_on = |share: u32| randomness.u32(0..1000) < share;
        let (tagged, named) = (falls_on(topics.tagged), falls_on(topics.named));
        let (expiring, sets) = (falls_on(topics.expiring), falls_on(topics.settings));
        let key = sets.then(|| format!("key:{}", randomness.u32(0..topics.keys)));
        let message_type = if sets { randomness.choice(["SK", "SK", "SA", "SW"]).unwrap_or("SK") } else { "EVENT" };
        let padding = "x".repeat(randomness.usize(0..=topics.padding));
        let value = match message_type {
            "SA" => json!([self.written, padding]),
            "SW" => json!([{ "member": padding, "weight": self.written }]),
            _ => json!({ "number": self.written, "padding": padding }),
        };
        let some = |tagged: bool, randomness: &mut fastrand::Rng, tags: &[Tag]| {
            if tagged { randomness.choice(tags).cloned().into_iter().collect() } else { Vec::new() }
        };
        let tags = some(tagged, randomness, &self.tags);
        let instances =
            if named { randomness.choice(&self.everyone).cloned().into_iter().collect() } else { Vec::new() };
        let soon = Duration::from_millis(randomness.u64(1..60_000));
        Sent {
            identity: Sent::identity(&self.id, self.written),
            origin: self.id.clone(),
            message_type: MessageType::new(message_type).expect("a valid type"),
            key: key.map(|key| Key::new(key).expect("a valid key")),
            value,
            tags,
            instances,
            expires_at: expiring.then(|| now.plus(soon)),
        }
    }

    pub(crate) fn confirmed(&mut self, identity: &Identity) {
        self.unconfirmed.retain(|_, unconfirmed| unconfirmed.message.identity != *identity);
    }

    /// The relay did not take a message: it is sent again after a pause.
    pub(crate) fn refused(&mut self, id: &str, pause: Duration) -> Option<Identity> {
        let refused = self.unconfirmed.values_mut().find(|it| it.message.identity.id.as_str() == id)?;
        refused.again_at = Instant::now() + pause;
        Some(refused.message.identity.clone())
    }

    /// Drops what is unconfirmed, as a program does that keeps nothing.
    pub(crate) fn forget(&mut self) {
        self.unconfirmed.clear();
    }
}
