//! The steps, and how they are drawn: from few names and numbers, so that they often meet.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use slipstream_store::DeadLetterReason;

/// Remembered peers come from the first of these; the last is never remembered.
pub(in crate::cases) const PEERS: [&str; 4] = ["a", "B", "c-1", "stranger"];

/// How many messages there are.
pub(super) const MESSAGES: u8 = 30;

/// All times lie before this second.
pub(super) const TIMES: u64 = 60;

/// What can be done to a store.
#[derive(Debug, Clone)]
pub(in crate::cases) enum Step {
    Commit(Vec<Change>),
    /// Commits the last batch again.
    Again,
    Pending {
        peer: usize,
        after: Option<Back>,
        items: u32,
        bytes: usize,
    },
    Dead {
        peer: Option<usize>,
        reason: Option<DeadLetterReason>,
        message: Option<u8>,
        after: Option<(Back, usize)>,
        items: u32,
    },
    Trace(u8),
    Purge {
        now: u64,
        identities: u64,
        max_identities: u64,
        traces: u64,
        budget: u32,
    },
    Reopen {
        close: bool,
    },
}

/// Names a sequence that was given: so many back from the last one. Beyond the first, one that was never given.
pub(in crate::cases) type Back = usize;

/// One operation, with names and numbers in the place of values.
#[derive(Debug, Clone)]
pub(in crate::cases) enum Change {
    Record {
        message: u8,
        fingerprint: u64,
        recipients: Vec<usize>,
        stamp: Option<(u64, u64)>,
        expires: Option<u64>,
        received: u64,
        size: usize,
    },
    /// Asks for a message: its change would record it.
    Recognise(Box<Change>),
    Settle {
        way: Way,
        peer: usize,
        at: Back,
        time: u64,
    },
    Attempt {
        peer: usize,
        at: Back,
        number: u32,
        time: u64,
    },
    /// Of the delivery that was given up that many before the last.
    Redrive(usize),
    /// Likewise.
    Discard(usize),
    Import {
        peer: usize,
        message: u8,
        reason: DeadLetterReason,
        expires: Option<u64>,
        received: u64,
        dead: u64,
        size: usize,
    },
    Remember {
        peer: usize,
        tags: usize,
        seen: u64,
    },
    Adopt {
        alias: usize,
        peer: usize,
        tags: usize,
        seen: u64,
    },
    Forget {
        peer: usize,
        time: u64,
    },
    Name(usize),
}

#[derive(Debug, Clone)]
pub(in crate::cases) enum Way {
    Acknowledge,
    Supersede,
    Expire,
    GiveUp(DeadLetterReason),
}

pub(super) fn sequence_of_steps() -> impl Strategy<Value = Vec<Step>> {
    // Without somebody to owe to, little happens.
    let first = vec(remember(), 4).prop_map(Step::Commit);
    (first, vec(step(), 1..60)).prop_map(|(first, mut steps)| {
        steps.insert(0, first);
        steps
    })
}

pub(in crate::cases) fn peer() -> impl Strategy<Value = usize> {
    0..PEERS.len()
}

fn back() -> impl Strategy<Value = Back> {
    prop_oneof![5 => 0..2_usize, 4 => 0..8_usize, 1 => 0..100_usize]
}

fn time() -> impl Strategy<Value = u64> {
    0..TIMES
}

fn reason() -> impl Strategy<Value = DeadLetterReason> {
    prop::sample::select(vec!["unacknowledged", "rejected: no", "rejected"]).prop_map(DeadLetterReason::from)
}

pub(in crate::cases) fn step() -> impl Strategy<Value = Step> {
    let pending = (peer(), of(back()), 1..6_u32, 1..400_usize);
    let dead = (of(peer()), of(reason()), of(0..MESSAGES), of((back(), peer())), 1..4_u32);
    let most = prop_oneof![Just(u64::MAX), 0..12_u64];
    let purge = (time(), time(), most, time(), 1..8_u32);
    prop_oneof![
        12 => vec(change(), 0..16).prop_map(Step::Commit),
        2 => Just(Step::Again),
        4 => pending.prop_map(|(peer, after, items, bytes)| Step::Pending { peer, after, items, bytes }),
        2 => dead.prop_map(|(peer, reason, message, after, items)| Step::Dead { peer, reason, message, after, items }),
        2 => (0..MESSAGES).prop_map(Step::Trace),
        2 => purge.prop_map(|(now, identities, max_identities, traces, budget)| {
            Step::Purge { now, identities, max_identities, traces, budget }
        }),
        1 => any::<bool>().prop_map(|close| Step::Reopen { close }),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop::sample::select(vec![0, 1, 1023, 1024, u64::MAX]);
    let stamp = of((1..3_u64, number));
    let recipients = prop::sample::subsequence((0..PEERS.len()).collect::<Vec<_>>(), 0..=PEERS.len()).prop_shuffle();
    let record = (0..MESSAGES, 0..10_u64, recipients, stamp, of(time()), time(), 0..200_usize);
    let record = record.prop_map(|(message, chance, recipients, stamp, expires, received, size)| Change::Record {
        message,
        // One in ten differs from the first, and so conflicts mostly.
        fingerprint: chance / 9,
        recipients,
        stamp,
        expires,
        received,
        size,
    });
    // Few, so that many are there already.
    let import = (peer(), 0..MESSAGES / 5, reason(), of(time()), time(), time(), 0..2_usize);
    let import = import.prop_map(|(peer, message, reason, expires, received, dead, size)| Change::Import {
        peer,
        message,
        reason,
        expires,
        received,
        dead,
        size,
    });
    let way = prop_oneof![
        4 => Just(Way::Acknowledge),
        1 => Just(Way::Supersede),
        1 => Just(Way::Expire),
        4 => reason().prop_map(Way::GiveUp),
    ];
    prop_oneof![
        12 => (record, 0..6_u8).prop_map(|(record, chance)| match chance {
            0 => Change::Recognise(Box::new(record)),
            _ => record,
        }),
        8 => (way, peer(), back(), time()).prop_map(|(way, peer, at, time)| Change::Settle { way, peer, at, time }),
        2 => (peer(), back(), 0..5_u32, time()).prop_map(|(peer, at, number, time)| {
            Change::Attempt { peer, at, number, time }
        }),
        4 => back().prop_map(Change::Redrive),
        1 => back().prop_map(Change::Discard),
        2 => import,
        2 => remember(),
        2 => (peer(), remembered(), 0..3_usize, time()).prop_map(|(alias, peer, tags, seen)| {
            Change::Adopt { alias, peer, tags, seen }
        }),
        1 => (peer(), time()).prop_map(|(peer, time)| Change::Forget { peer, time }),
        1 => (0..2_usize).prop_map(Change::Name),
    ]
}

/// The last of the peers is a stranger for good.
fn remembered() -> impl Strategy<Value = usize> {
    0..PEERS.len() - 1
}

pub(in crate::cases) fn remember() -> impl Strategy<Value = Change> {
    (remembered(), 0..3_usize, time()).prop_map(|(peer, tags, seen)| Change::Remember { peer, tags, seen })
}
