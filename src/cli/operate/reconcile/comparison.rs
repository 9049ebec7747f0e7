//! Compares what two relays say of each other: first by counts and hashes, then slice by slice, and only what differs then
//! message by message.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::differences::{Differing, agree, differences};
use super::side::Side;
use crate::admin::{ClientError, Exchanges, Slice};

/// Most slices that are looked at one by one; if more differ, the whole epoch is read.
const MOST_SLICES: usize = 32;

/// Most messages of an hour that is not over of which the whole epoch is read: they are on their way.
const MOST_ON_THE_WAY: u64 = 20_000;

/// Most messages that a relay is asked for one by one.
const MOST_LOOKED_UP: u64 = 1000;

/// What became of the messages of one hour that one relay may have handed to the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hour {
    pub(super) from: String,
    pub(super) to: String,
    /// When the messages came to their first relay.
    pub(super) hour: String,
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    pub(super) received: u64,
    pub(super) verdict: Verdict,
    /// How many messages differ.
    pub(super) differing: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<Differing>,
}

/// Whether two relays agree. Of several epochs in an hour, the last of these words holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// They do.
    Agrees,
    /// One of them has forgotten a part: it is not known.
    Forgotten,
    /// The hour is not over, and much is on its way: it is not known yet.
    OnTheWay,
    /// They do not.
    Differs,
}

/// Compares what each handed to the other, hour by hour.
pub(super) async fn compare(one: &Side, other: &Side) -> Result<Vec<Hour>, ClientError> {
    let told = [one.exchanges(other).await?, other.exchanges(one).await?];
    let mut hours = Vec::new();
    for (sender, receiver, sent, held) in [(one, other, &told[0], &told[1]), (other, one, &told[1], &told[0])] {
        hours.extend(Direction { sender, receiver }.compare(sent, held).await?);
    }
    Ok(hours)
}

struct Direction<'a> {
    sender: &'a Side,
    receiver: &'a Side,
}

impl Direction<'_> {
    async fn compare(&self, sent: &Exchanges, held: &Exchanges) -> Result<Vec<Hour>, ClientError> {
        let whole_since = (&sent.whole_since).max(&held.whole_since);
        let mut epochs: BTreeMap<(&str, &str), [Slice; 2]> = BTreeMap::new();
        for (side, exchanges) in [sent, held].into_iter().enumerate() {
            for item in &exchanges.items {
                epochs.entry((&item.began, &item.epoch)).or_default()[side] = item.exchanged;
            }
        }
        let mut hours: BTreeMap<String, Hour> = BTreeMap::new();
        for ((began, epoch), [sent_then, held_then]) in epochs {
            if (sent_then.sent.count, held_then.received.count) == (0, 0) {
                continue;
            }
            let on_the_way = [sent, held].iter().any(|told| hour_of(&told.now) == hour_of(began));
            let (verdict, differing) = if agree(&sent_then, &held_then) {
                (Verdict::Agrees, Differences::default())
            } else if began < whole_since.as_str() {
                (Verdict::Forgotten, Differences::default())
            } else {
                self.look_closer(epoch, on_the_way.then_some(sent_then.sent.count)).await?
            };
            let hour = hours.entry(hour_of(began)).or_insert_with(|| self.hour(hour_of(began)));
            hour.sent += sent_then.sent.count;
            hour.acknowledged += sent_then.acknowledged.count;
            hour.received += held_then.received.count;
            hour.verdict = hour.verdict.max(verdict);
            hour.differing += differing.count;
            hour.first = hour.first.take().or(differing.first);
        }
        Ok(hours.into_values().collect())
    }

    fn hour(&self, hour: String) -> Hour {
        Hour {
            from: self.sender.id.clone(),
            to: self.receiver.id.clone(),
            hour,
            sent: 0,
            acknowledged: 0,
            received: 0,
            verdict: Verdict::Agrees,
            differing: 0,
            first: None,
        }
    }

    /// Looks at an epoch over which the relays differ by count or hash. If its hour is not over, so many messages of it are
    /// on their way at most.
    async fn look_closer(&self, epoch: &str, on_the_way: Option<u64>) -> Result<(Verdict, Differences), ClientError> {
        let sent = self.sender.slices(self.receiver, epoch).await?;
        let held = self.receiver.slices(self.sender, epoch).await?;
        let all: BTreeSet<u16> = sent.keys().chain(held.keys()).copied().collect();
        let of = |slices: &BTreeMap<u16, Slice>, slice| slices.get(&slice).copied().unwrap_or_default();
        let suspects: Vec<u16> =
            all.into_iter().filter(|&slice| !agree(&of(&sent, slice), &of(&held, slice))).collect();
        let mut differing = Differences::default();
        if suspects.len() <= MOST_SLICES {
            for slice in suspects {
                self.look_at_each(epoch, Some(slice), &mut differing).await?;
            }
        } else if on_the_way.is_some_and(|messages| messages > MOST_ON_THE_WAY) {
            return Ok((Verdict::OnTheWay, differing));
        } else {
            self.look_at_each(epoch, None, &mut differing).await?;
        }
        let verdict = if differing.count == 0 { Verdict::Agrees } else { Verdict::Differs };
        Ok((verdict, differing))
    }

    async fn look_at_each(
        &self,
        epoch: &str,
        slice: Option<u16>,
        differing: &mut Differences,
    ) -> Result<(), ClientError> {
        let mut sent = self.sender.messages(self.receiver, epoch, slice);
        let mut held = self.receiver.messages(self.sender, epoch, slice);
        loop {
            let (one, other) = (sent.mark().await?, held.mark().await?);
            let Some(mark) = one.into_iter().chain(other).min() else { return Ok(()) };
            let (sent, held) = (sent.take(mark).await?, held.take(mark).await?);
            for found in differences(&sent, &held) {
                if !self.is_explained(&found, differing).await? {
                    differing.add(found);
                }
            }
        }
    }

    /// Whether the relay that seemed not to know a message knows it all the same: it has it in another epoch, since the
    /// application sent it to both, or has learned of it since it was asked.
    async fn is_explained(&self, found: &Differing, differing: &mut Differences) -> Result<bool, ClientError> {
        use super::differences::Difference;
        if !found.difference.is_to_be_looked_up() || differing.looked_up == MOST_LOOKED_UP {
            return Ok(false);
        }
        differing.looked_up += 1;
        let (id, group) = (&found.message_id, &found.cluster_group_id);
        match found.difference {
            Difference::Unsent => self.sender.knows(id, group, Some(self.receiver)).await,
            _ => self.receiver.knows(id, group, None).await,
        }
    }
}

/// What differs, counted.
#[derive(Debug, Default)]
struct Differences {
    count: u64,
    first: Option<Differing>,
    looked_up: u64,
}

impl Differences {
    fn add(&mut self, found: Differing) {
        self.count += 1;
        if self.first.as_ref().is_none_or(|first| found.sequence < first.sequence) {
            self.first = Some(found);
        }
    }
}

/// The hour of a time, as text.
fn hour_of(time: &str) -> String {
    time.chars().take("2026-11-29T14".len()).collect::<String>() + ":00Z"
}
