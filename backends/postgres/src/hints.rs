//! What processes tell each other when they ring: which packs a commit made, and for whom, so that nobody who hears of all
//! of them has to look. A hint may be missing; whoever finds that looks. Here they are until they are sent, and once heard.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use slipstream_store::PeerId;
use tokio::sync::Notify;

/// Most bytes of a hint that is sent. PostgreSQL refuses 8,000.
const MOST_BYTES: usize = 7_000;

/// Most hints that are kept until they are taken.
const MOST_HINTS: usize = 64;

/// A hint as it is sent: the process, and what it made, or that others are to look: `[1,[5,6,["shop"]]]`, `[1,null]`.
type Sent = (i64, Option<(i64, i64, BTreeSet<String>)>);

/// What others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// They are to look for themselves.
    Look,
    Made(Made),
}

/// The packs from one number up to before another were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) from: i64,
    pub(crate) next: i64,
    /// Whom they may be owed to.
    pub(crate) peers: BTreeSet<PeerId>,
}

impl Hint {
    /// This and a later one as one.
    fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::Made(made), Self::Made(later)) if made.next == later.from => {
                let peers = made.peers.into_iter().chain(later.peers).collect();
                Self::Made(Made { from: made.from, next: later.next, peers })
            }
            _ => Self::Look,
        }
    }

    /// As it is sent by a process.
    pub(crate) fn write(&self, origin: i64) -> String {
        let text = |sent: Sent| serde_json::json!(sent).to_string();
        let made = match self {
            Self::Look => None,
            Self::Made(Made { from, next, peers }) => {
                Some((*from, *next, peers.iter().map(ToString::to_string).collect()))
            }
        };
        let hint = text((origin, made));
        if hint.len() <= MOST_BYTES { hint } else { text((origin, None)) }
    }

    /// Which process sent it, and what it says; of what cannot be read, that one is to look.
    fn read(text: &str) -> (Option<i64>, Self) {
        let Ok((origin, made)) = serde_json::from_str::<Sent>(text) else { return (None, Self::Look) };
        let made = made.and_then(|(from, next, peers)| {
            let peers = peers.into_iter().map(PeerId::new).collect::<Result<_, _>>().ok()?;
            Some(Self::Made(Made { from, next, peers }))
        });
        (Some(origin), made.unwrap_or(Self::Look))
    }
}

/// What is to be told, until it is taken.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<Option<Hint>>);

impl Outbox {
    pub(crate) fn add(&self, hint: Hint) {
        let mut told = self.0.lock();
        *told = Some(match told.take() {
            Some(earlier) => earlier.and(hint),
            None => hint,
        });
    }

    pub(crate) fn take(&self) -> Option<Hint> {
        self.0.lock().take()
    }
}

/// What was heard, until it is taken.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    is_to_look: bool,
    /// By its first pack.
    made: BTreeMap<i64, Made>,
}

impl Inbox {
    /// Adds what a notification says, unless it is this process's own. Returns whether it was not.
    pub(crate) fn hear(&self, text: &str, own: i64) -> bool {
        let (origin, hint) = Hint::read(text);
        let is_others = origin != Some(own);
        if is_others {
            self.add(hint);
        }
        is_others
    }

    pub(crate) fn add(&self, hint: Hint) {
        let mut heard = self.0.lock();
        match hint {
            Hint::Made(made) if heard.made.len() < MOST_HINTS => drop(heard.made.insert(made.from, made)),
            _ => heard.is_to_look = true,
        }
    }

    /// Takes all. If they go on from this pack, returns up to which, and whom those packs may be owed to. Otherwise it is to
    /// be looked.
    pub(crate) fn take(&self, pack: i64) -> Option<(i64, BTreeSet<PeerId>)> {
        let heard = std::mem::take(&mut *self.0.lock());
        if heard.is_to_look {
            return None;
        }
        let mut unheard = heard.made.into_values().filter(|made| made.next > pack);
        unheard.try_fold((pack, BTreeSet::new()), |(pack, mut peers), made| {
            peers.extend(made.peers);
            (made.from <= pack).then_some((made.next.max(pack), peers))
        })
    }
}

/// What hears the others.
#[derive(Debug)]
pub(crate) struct Ear {
    /// This process.
    pub(crate) own: i64,
    /// Told of each hint.
    pub(crate) heard: Notify,
    pub(crate) inbox: Inbox,
}

impl Ear {
    /// That of the process of this origin.
    pub(crate) fn of(own: i64) -> Self {
        Self { own, heard: Notify::new(), inbox: Inbox::default() }
    }

    /// Hears what a notification says.
    pub(crate) fn hear(&self, text: &str) {
        if self.inbox.hear(text, self.own) {
            self.heard.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: i64, next: i64, peers: &[&str]) -> Hint {
        let peers = peers.iter().map(|peer| PeerId::new(*peer).expect("an id")).collect();
        Hint::Made(Made { from, next, peers })
    }

    fn names(peers: &BTreeSet<PeerId>) -> Vec<&str> {
        peers.iter().map(PeerId::as_str).collect()
    }

    #[test]
    fn what_is_sent_is_read_again() {
        for hint in [made(5, 7, &["aws:shop", "warehouse"]), made(0, 1, &[]), Hint::Look] {
            assert_eq!(Hint::read(&hint.write(3)), (Some(3), hint));
        }
        for text in ["", "[1]", "[1,[5]]", r#"[1,[5,6,[""]]]"#] {
            assert_eq!(Hint::read(text).1, Hint::Look, "{text}");
        }
        let many: Vec<String> = (0..1000).map(|number| format!("peer-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(made(5, 6, &many).write(3), "[3,null]");
    }

    #[test]
    fn hints_become_one_only_where_they_go_on() {
        let outbox = Outbox::default();
        outbox.add(made(5, 6, &["a"]));
        outbox.add(made(6, 8, &["b"]));
        assert_eq!(outbox.take(), Some(made(5, 8, &["a", "b"])));
        outbox.add(made(8, 9, &["a"]));
        outbox.add(made(10, 11, &["a"]));
        assert_eq!(outbox.take(), Some(Hint::Look));
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn who_heard_of_every_pack_need_not_look() {
        let inbox = Inbox::default();
        assert_eq!(inbox.take(5), Some((5, BTreeSet::new())));
        // They come in any order, and some that were looked at already.
        for hint in [made(6, 7, &["b"]), made(3, 5, &["old"]), made(5, 6, &["a"])] {
            assert!(inbox.hear(&hint.write(1), 2));
        }
        let (next, peers) = inbox.take(5).expect("nothing is missing");
        assert_eq!((next, names(&peers)), (7, vec!["a", "b"]));
        assert!(inbox.hear(&made(8, 9, &["a"]).write(1), 2));
        assert_eq!(inbox.take(7), None, "the seventh is missing");
        assert!(!inbox.hear(&Hint::Look.write(2), 2), "its own is no news");
        assert_eq!(inbox.take(7), Some((7, BTreeSet::new())));
        assert!(inbox.hear("", 2));
        assert_eq!(inbox.take(7), None);
    }

    #[test]
    fn what_is_kept_is_limited() {
        let inbox = Inbox::default();
        for from in 0..1000 {
            inbox.add(made(from, from + 1, &[]));
        }
        assert_eq!(inbox.0.lock().made.len(), MOST_HINTS);
        assert_eq!(inbox.take(0), None);
    }
}
