//! Compares what two relays say of each other: first by counts and hashes of each hour, then slice by slice, and only what
//! differs then message by message.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::differences::{Difference, Differing, agree, differences, without_sent};
use super::side::{Cut, Side};
use crate::admin::{ClientError, Exchanges, MAX_EXCHANGED, MAX_SLICE_BITS, Slice};

/// By how many bits an hour is cut to find what differs: into 1,024 slices.
const BITS: u8 = 10;

/// Most slices that are looked at one by one; if more differ, the whole hour is read.
const MOST_SLICES: usize = 32;

/// Most messages of an hour that is not over of which the whole hour is read.
const MOST_ON_THE_WAY: u64 = 500_000;

/// Most messages of an hour that a relay is asked for one by one.
const MOST_LOOKED_UP: u64 = 1000;

/// By how much the clocks of relays may differ.
const CLOCKS_DIFFER: Duration = Duration::HOUR;

/// Most messages of an hour that are named.
const MOST_NAMED: usize = 10_000;

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
    /// These, in the order in which they were sent; if they are too many, the first.
    pub(super) messages: Vec<Differing>,
}

/// Whether two relays agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// They do.
    Agrees,
    /// One of them has forgotten a part: it is not known.
    PartlyForgotten,
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
        let mut hours: BTreeMap<&str, [Slice; 2]> = BTreeMap::new();
        for (side, exchanges) in [sent, held].into_iter().enumerate() {
            for item in &exchanges.items {
                hours.entry(&item.hour).or_default()[side] = item.exchanged;
            }
        }
        let whole_since = (&sent.whole_since).max(&held.whole_since);
        let mut compared = Vec::new();
        for (hour, [sender, receiver]) in hours {
            if (sender.sent.count, receiver.received.count) == (0, 0) {
                continue;
            }
            let is_over = [sent, held].iter().all(|told| !is_of(&told.now, hour));
            let most = sender.held.count.max(receiver.held.count);
            let (verdict, differing) = if agree(&sender, &receiver) {
                (Verdict::Agrees, Differences::default())
            } else if !is_whole(hour, whole_since) {
                (Verdict::PartlyForgotten, Differences::default())
            } else {
                self.look_closer(hour, most, is_over).await?
            };
            compared.push(Hour {
                from: self.sender.id.clone(),
                to: self.receiver.id.clone(),
                hour: hour.to_owned(),
                sent: sender.sent.count,
                acknowledged: sender.acknowledged.count,
                received: receiver.received.count,
                verdict,
                differing: differing.count,
                messages: differing.messages,
            });
        }
        Ok(compared)
    }

    /// Looks at an hour over which the relays differ by count or hash, and of which one has so many messages.
    async fn look_closer(&self, hour: &str, most: u64, is_over: bool) -> Result<(Verdict, Differences), ClientError> {
        let sent = self.sender.slices(self.receiver, hour, BITS).await?;
        let held = self.receiver.slices(self.sender, hour, BITS).await?;
        let all: BTreeSet<u16> = sent.keys().chain(held.keys()).copied().collect();
        let of = |slices: &BTreeMap<u16, Slice>, slice| slices.get(&slice).copied().unwrap_or_default();
        let suspects: Vec<u16> =
            all.into_iter().filter(|&slice| !agree(&of(&sent, slice), &of(&held, slice))).collect();
        let (bits, slices) = if suspects.len() <= MOST_SLICES {
            (BITS, suspects)
        } else if is_over || most <= MOST_ON_THE_WAY {
            let bits = pages(most).next_power_of_two().trailing_zeros();
            let bits = u8::try_from(bits).unwrap_or(MAX_SLICE_BITS).min(MAX_SLICE_BITS);
            (bits, (0..1 << bits).collect())
        } else {
            return Ok((Verdict::OnTheWay, Differences::default()));
        };
        let mut differing = Differences::default();
        for slice in slices {
            self.look_at_each(Cut { hour, bits, slice }, &mut differing).await?;
        }
        let verdict = if differing.count == 0 { Verdict::Agrees } else { Verdict::Differs };
        Ok((verdict, differing))
    }

    /// Looks at each message of a slice. The sender is asked first: what was acknowledged by then, the receiver has.
    async fn look_at_each(&self, cut: Cut<'_>, differing: &mut Differences) -> Result<(), ClientError> {
        let sent = self.sender.messages(self.receiver, cut).await?;
        let held = self.receiver.messages(self.sender, cut).await?;
        let mut found = differences(&sent, &held);
        if found.iter().any(|found| found.difference == Difference::Unsent) {
            found = without_sent(found, &self.sender.messages(self.receiver, cut).await?);
        }
        for found in found {
            if !self.is_explained(&found, differing).await? {
                differing.add(found);
            }
        }
        Ok(())
    }

    /// Whether the relay that seemed not to know a message has it in another hour: the application sent it to both.
    async fn is_explained(&self, found: &Differing, differing: &mut Differences) -> Result<bool, ClientError> {
        let (id, group) = (&found.message_id, &found.cluster_group_id);
        let (asked, peer) = match found.difference {
            Difference::Lost => (self.receiver, None),
            Difference::Unsent => (self.sender, Some(self.receiver)),
            Difference::Altered | Difference::Doubled => return Ok(false),
        };
        if differing.looked_up == MOST_LOOKED_UP {
            return Ok(false);
        }
        differing.looked_up += 1;
        asked.knows(id, group, peer).await
    }
}

/// What differs, counted.
#[derive(Debug, Default)]
struct Differences {
    count: u64,
    messages: Vec<Differing>,
    looked_up: u64,
}

impl Differences {
    fn add(&mut self, found: Differing) {
        self.count += 1;
        let at = self.messages.partition_point(|other| other.sequence <= found.sequence);
        self.messages.insert(at, found);
        self.messages.truncate(MOST_NAMED);
    }
}

/// How many pages so many messages fill.
fn pages(messages: u64) -> u64 {
    messages.div_ceil(u64::from(MAX_EXCHANGED))
}

/// Whether a time is of the hour that begins then.
fn is_of(time: &str, hour: &str) -> bool {
    const HOUR: usize = "2026-11-29T14".len();
    time.get(..HOUR) == hour.get(..HOUR)
}

/// Whether all of an hour is remembered, where that is since such a time by another clock. The clocks may differ by an hour.
fn is_whole(hour: &str, whole_since: &str) -> bool {
    let read = |text| OffsetDateTime::parse(text, &Rfc3339).ok();
    let (hour, since) = (read(hour), read(whole_since));
    hour.zip(since).is_some_and(|(hour, since)| hour - CLOCKS_DIFFER >= since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_whole_if_clocks_may_differ_and_it_still_is() {
        let since = "2026-11-29T14:20:00.000Z";
        for (hour, whole) in
            [("2026-11-29T14:00:00Z", false), ("2026-11-29T15:00:00Z", false), ("2026-11-29T16:00:00.000Z", true)]
        {
            assert_eq!(is_whole(hour, since), whole, "{hour}");
        }
        assert!(!is_whole("?", since), "what cannot be read is not known");
        assert!(is_of("2026-11-29T14:59:59.999Z", "2026-11-29T14:00:00.000Z"));
        assert!(!is_of("2026-11-29T15:00:00.000Z", "2026-11-29T14:00:00.000Z"));
    }
}
