//! Finds the message that its reader dies of, without punishing a link that merely flaps. Pure.
//!
//! A reader that dies of a message comes back and gets it first, again and again. When several links in a row were
//! lost with the same oldest delivery in flight and nothing settled, the next link holds the oldest deliveries back.
//! If the peer settles others meanwhile, those held back are sent one alone at a time, and the one that a link is
//! lost over twice is the poison. If all are held back, there are no others: then they are tried as well. A link that is
//! lost over one of them before the peer settled another tells nothing, because the peer may die of everything; only the
//! one that the link before was lost over, too, is poison then.
//! [`Suspicion`] is what is kept from link to link, [`HoldBack`] what one link does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use slipstream_store::Sequence;

/// How many links in a row must be lost, with nothing settled and the same oldest delivery, before the next holds
/// deliveries back.
const BARREN_LINKS: u32 = 3;

/// How many links must be lost while a delivery is alone in flight before it counts as poison.
const STRIKES: u32 = 2;

/// How many times as long as the lost links a link must live without the suspects before they are tried. A link that
/// flaps does not live so long, so that its end is not blamed on the one that is tried.
const STEADY_FACTOR: u32 = 4;

/// The longest time that suspects wait for their link to prove steady.
const MAX_STEADY: Duration = Duration::from_secs(600);

/// How many lost links say how long a link lives that flaps. By chance some end sooner than others, also several in a row.
const LIVES: usize = 8;

/// A link that lived longer than this and was of use does not flap.
const MAX_FLAP: Duration = Duration::from_secs(150);

/// What the lost links of a peer have shown.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    /// The oldest delivery in flight on the last link that was lost without a settlement.
    oldest: Option<Sequence>,
    /// How many such links in a row there were.
    barren: u32,
    /// How many times the deliveries held back were too few to find the poison.
    doublings: u32,
    /// The deliveries that the next link holds back, because one of them was struck.
    suspects: BTreeSet<Sequence>,
    /// How many links were lost over each delivery alone.
    strikes: BTreeMap<Sequence, u32>,
    /// The delivery over which the last link was lost, if that was a strike and no verdict.
    struck: Option<Sequence>,
    /// The delivery over which a link was lost last that told nothing.
    last_inconclusive: Option<Sequence>,
    /// How long the last [`LIVES`] lost links lived, each from its first delivery on.
    lives: VecDeque<Duration>,
}

/// A link that was lost, as far as it tells something of poison.
#[derive(Debug)]
pub(super) struct Loss {
    /// Whether the peer settled anything on it.
    pub(super) has_settled: bool,
    /// The oldest delivery in flight.
    pub(super) oldest: Option<Sequence>,
    /// How long the link lived, from its first delivery on.
    pub(super) lived: Duration,
    /// What it held back, if it did so until its end.
    pub(super) hold_back: Option<HoldBack>,
}

impl Suspicion {
    /// What the next link holds back of a window of this many deliveries.
    pub(super) fn next_link(&self, window: usize) -> Option<HoldBack> {
        let room = match () {
            () if !self.suspects.is_empty() => 0,
            () if self.barren >= BARREN_LINKS => 1_usize.checked_shl(self.doublings).unwrap_or(window).min(window),
            () => return None,
        };
        let longest_life = self.lives.iter().max().copied().unwrap_or_default();
        let steady_after = longest_life.saturating_mul(STEADY_FACTOR).min(MAX_STEADY);
        Some(HoldBack {
            suspects: self.suspects.clone(),
            room,
            steady_after,
            struck: self.struck,
            is_steady: false,
            alone: None,
            has_settled: false,
            last_inconclusive: self.last_inconclusive,
        })
    }

    /// A link was lost. Returns the delivery that is poison, if one is found. `is_owed` tells whether a delivery may
    /// still be owed.
    pub(super) fn lost(&mut self, loss: Loss, is_owed: impl Fn(Sequence) -> bool) -> Option<Sequence> {
        self.strikes.retain(|sequence, _| is_owed(*sequence));
        self.note_life(&loss);
        match loss.hold_back {
            Some(HoldBack { alone: Some(alone), suspects, has_settled, struck, .. })
                if has_settled || struck == Some(alone) =>
            {
                self.suspects = suspects;
                self.suspects.retain(|sequence| is_owed(*sequence));
                self.struck(alone)
            }
            Some(hold_back) => {
                self.start_anew(if loss.has_settled { 0 } else { self.doublings.saturating_add(1) });
                self.last_inconclusive = hold_back.alone;
                None
            }
            None if loss.has_settled => {
                self.start_anew(0);
                None
            }
            None => {
                self.barren(loss.oldest?);
                None
            }
        }
    }

    /// Notes how long a link lived, unless it was lost over a delivery that was tried, or nothing was sent on it.
    fn note_life(&mut self, loss: &Loss) {
        let was_tried = loss.hold_back.as_ref().is_some_and(|hold_back| hold_back.alone.is_some());
        let flaps = if loss.has_settled { loss.lived <= MAX_FLAP } else { loss.oldest.is_some() };
        if flaps && !was_tried {
            self.lives.truncate(LIVES - 1);
            self.lives.push_front(loss.lived);
        }
    }

    fn barren(&mut self, oldest: Sequence) {
        if self.oldest.is_some_and(|before| before != oldest) {
            self.start_anew(0);
        }
        self.oldest = Some(oldest);
        self.barren = self.barren.saturating_add(1);
    }

    /// Nothing is concluded from the links so far, but for the strikes and how the link flaps.
    fn start_anew(&mut self, doublings: u32) {
        let (strikes, lives) = (std::mem::take(&mut self.strikes), std::mem::take(&mut self.lives));
        *self = Self { doublings, strikes, lives, last_inconclusive: self.last_inconclusive, ..Self::default() };
    }

    fn struck(&mut self, alone: Sequence) -> Option<Sequence> {
        let strikes = self.strikes.entry(alone).or_default();
        *strikes += 1;
        if *strikes < STRIKES {
            self.struck = Some(alone);
            return None;
        }
        self.struck = None;
        self.strikes.remove(&alone);
        self.suspects.remove(&alone);
        if self.suspects.is_empty() {
            self.start_anew(0);
        }
        Some(alone)
    }
}

/// What one link holds back.
#[derive(Debug)]
pub(super) struct HoldBack {
    /// The deliveries that are held back, or are tried.
    suspects: BTreeSet<Sequence>,
    /// How many more are, of the oldest.
    room: usize,
    /// How long the link must live before they are tried.
    steady_after: Duration,
    /// The delivery that the link before was lost over, if it has a strike for that.
    struck: Option<Sequence>,
    /// Whether it was seen to live so long.
    is_steady: bool,
    /// The one that is tried: nothing else is in flight.
    alone: Option<Sequence>,
    /// Whether the peer has answered for a delivery on this link.
    has_settled: bool,
    /// The one over which a link was lost last that told nothing.
    last_inconclusive: Option<Sequence>,
}

/// What a link that holds deliveries back does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It sends what is not held back.
    Send,
    /// It sends nothing until this delivery is settled, or if there is none, until those in flight are.
    Wait(Option<Sequence>),
    /// It tries one of those that are held back, alone.
    Try,
    /// It holds nothing back any more: there is one, and nothing else is owed that could tell whether the peer lives.
    Release,
}

impl HoldBack {
    /// Whether a delivery that comes to be sent is held back.
    pub(super) fn takes(&mut self, sequence: Sequence) -> bool {
        if self.suspects.contains(&sequence) {
            return true;
        }
        let has_room = self.room > 0;
        if has_room {
            self.room -= 1;
            self.suspects.insert(sequence);
        }
        has_room
    }

    /// The peer has settled a delivery, or has refused it.
    pub(super) fn answered(&mut self, sequence: Sequence) {
        self.has_settled = true;
        self.ended(sequence);
    }

    /// A delivery is no suspect any more.
    pub(super) fn ended(&mut self, sequence: Sequence) {
        self.suspects.remove(&sequence);
        if self.alone == Some(sequence) {
            self.alone = None;
        }
    }

    /// What to do next on a link that has lived for `lived`. `idle` tells that nothing is in flight, `all_read` that
    /// nothing waits to be sent.
    pub(super) fn step(&mut self, lived: Duration, idle: bool, all_read: bool) -> Step {
        self.is_steady |= lived >= self.steady_after;
        match () {
            () if self.alone.is_some() => Step::Wait(self.alone),
            () if !self.is_steady => Step::Send,
            () if self.has_settled && idle => Step::Try,
            () if self.has_settled => Step::Wait(None),
            () if idle && all_read && (self.struck.is_some() || self.suspects.len() > 1) => Step::Try,
            () if idle && all_read => Step::Release,
            () => Step::Send,
        }
    }

    /// Tries one of those that are held back and may be sent, which come in order. Returns which; `None` if there is
    /// none.
    pub(super) fn tries(&mut self, held: impl Iterator<Item = Sequence>) -> Option<Sequence> {
        // The poison may be the one that was tried before the peer could settle any.
        let after = self.last_inconclusive.filter(|_| !self.has_settled);
        let mut held = held.peekable();
        let first = held.peek().copied();
        self.alone = held.find(|sequence| after.is_none_or(|after| *sequence > after)).or(first);
        self.alone
    }

    /// The same, if the one that is tried did not go out.
    pub(super) fn untried(self) -> Self {
        Self { alone: None, ..self }
    }

    pub(super) fn alone(&self) -> Option<Sequence> {
        self.alone
    }

    /// How long the link must live before what it holds back is tried, if it was not seen to live so long yet.
    pub(super) fn steady_after(&self) -> Option<Duration> {
        (!self.is_steady).then_some(self.steady_after)
    }
}
