//! A message that its reader dies of is found; a link that merely flaps is not punished.

use super::*;

/// A peer that takes what it gets in order, and the time that passes.
struct Reader {
    fixture: Fixture,
    /// Milliseconds.
    now: u64,
    decided: Vec<String>,
    taken: Vec<u64>,
    links: usize,
}

impl Reader {
    fn new(store: impl IntoIterator<Item = Pending>) -> Self {
        let mut fixture = Fixture::new(store);
        fixture.limits.rules.window = NonZeroU32::new(16).unwrap();
        fixture.limits.queue_items = 64;
        fixture.limits.queue_bytes = 1 << 16;
        Self { fixture, now: 0, decided: Vec::new(), taken: Vec::new(), links: 0 }
    }

    fn time(&self) -> Moment {
        let time = Timestamp::from_millis(self.now);
        Moment { time, wall: time, elapsed: Duration::from_millis(self.now) }
    }

    /// One link: the peer takes a millisecond for each delivery and settles those that `takes` says true to, until it
    /// has had one for which it says false, or the link has lived for `life` milliseconds.
    fn link(&mut self, life: u64, mut takes: impl FnMut(u64) -> bool) {
        self.links += 1;
        self.fixture.state.link_up(LinkTerms::default(), self.time(), &self.fixture.limits);
        let mut waiting = std::collections::VecDeque::new();
        for _ in 0..life {
            let now = self.time();
            self.fixture.state.tick(now, &self.fixture.limits);
            self.decided.extend(self.fixture.commit());
            waiting.extend(self.fixture.send(now));
            self.now += 1;
            let Some(number) = waiting.pop_front() else { continue };
            if !takes(number) {
                break;
            }
            self.taken.push(number);
            let decided = self.fixture.acknowledge(number, self.time());
            self.decided.extend(decided);
        }
        self.fixture.state.unlink(LinkEnd::Lost, self.time());
        self.decided.extend(self.fixture.commit());
    }

    /// One link: the peer reads all that it is sent, and settles it a millisecond after nothing more came; the link is
    /// lost when it has read one that it dies of, after so many that it settled on this link, or after `life`
    /// milliseconds. Returns how many it settled.
    fn link_that_reads_all(&mut self, life: u64, dies_of: impl Fn(u64, usize) -> bool) -> usize {
        self.links += 1;
        self.fixture.state.link_up(LinkTerms::default(), self.time(), &self.fixture.limits);
        let (mut read, mut settled) = (Vec::new(), 0);
        for _ in 0..life {
            let now = self.time();
            self.fixture.state.tick(now, &self.fixture.limits);
            self.decided.extend(self.fixture.commit());
            let sent = self.fixture.send(now);
            self.now += 1;
            if sent.iter().any(|number| dies_of(*number, settled)) {
                break;
            }
            if sent.is_empty() {
                for number in read.drain(..) {
                    settled += 1;
                    self.taken.push(number);
                    let decided = self.fixture.acknowledge(number, self.time());
                    self.decided.extend(decided);
                }
            }
            read.extend(sent);
        }
        self.fixture.state.unlink(LinkEnd::Lost, self.time());
        self.decided.extend(self.fixture.commit());
        settled
    }

    /// One link that is lost after so many milliseconds, until when the peer settles what it is `quick` with.
    fn link_that_flaps(&mut self, life: u64, quick: impl Fn(u64) -> bool) {
        self.fixture.state.link_up(LinkTerms::default(), self.time(), &self.fixture.limits);
        for _ in 0..life {
            let now = self.time();
            self.fixture.state.tick(now, &self.fixture.limits);
            for number in self.fixture.send(now).into_iter().filter(|number| quick(*number)) {
                self.decided.extend(self.fixture.acknowledge(number, now));
            }
            self.now += 1;
        }
        self.fixture.state.unlink(LinkEnd::Lost, self.time());
        self.decided.extend(self.fixture.commit());
    }

    fn dead(&self) -> Vec<&str> {
        self.decided.iter().filter_map(|decided| decided.strip_prefix("dead ")).collect()
    }
}

#[test]
fn a_poison_among_a_thousand_is_set_aside_and_all_else_arrives() {
    for poison in [1, 2, 500, 999] {
        let mut reader = Reader::new((1..=1_000).map(pending));
        while !reader.fixture.store.is_empty() && reader.links < 20 {
            reader.link(10_000, |number| number != poison);
        }
        assert_eq!(reader.dead(), [format!("{poison} poison 0")]);
        assert!(reader.taken.iter().copied().eq((1..=1_000).filter(|number| *number != poison)), "{poison}");
        assert!(reader.links <= 8, "{}", reader.links);
    }
}

/// The peer acknowledges only ten at a time, so that innocent ones are the oldest when it dies.
#[test]
fn a_poison_is_found_behind_others_that_were_not_acknowledged_yet() {
    let mut reader = Reader::new((1..=100).map(pending));
    while reader.fixture.store.len() > 1 && reader.links < 60 {
        reader.links += 1;
        reader.fixture.state.link_up(LinkTerms::default(), reader.time(), &reader.fixture.limits);
        let mut handled = Vec::new();
        for _ in 0..500 {
            let now = reader.time();
            reader.fixture.state.tick(now, &reader.fixture.limits);
            let sent = reader.fixture.send(now);
            reader.now += 1;
            if sent.contains(&7) {
                break;
            }
            handled.extend(&sent);
            if handled.len() >= 10 || sent.is_empty() {
                for number in handled.drain(..) {
                    let decided = reader.fixture.acknowledge(number, reader.time());
                    reader.decided.extend(decided);
                }
            }
        }
        reader.fixture.state.unlink(LinkEnd::Lost, reader.time());
        let decided = reader.fixture.commit();
        reader.decided.extend(decided);
    }
    assert_eq!(reader.dead(), ["7 poison 0"], "after {} links", reader.links);
}

/// The peer reads all that it is sent before it acknowledges any, and dies of the newest: whatever is held back, the
/// poison is among the rest, or nothing is left.
#[test]
fn a_poison_that_is_the_newest_of_what_is_read_at_once_is_found() {
    for (count, poisons) in [(2, [2].as_slice()), (8, &[8]), (8, &[1, 8]), (8, &[4, 8])] {
        let mut reader = Reader::new((1..=count).map(pending));
        let mut others = usize::try_from(count).unwrap() - poisons.len();
        while (others > 0 || reader.dead().len() < poisons.len()) && reader.links < 120 {
            others -= reader.link_that_reads_all(500, |number, _| poisons.contains(&number));
        }
        let dead: Vec<_> = poisons.iter().map(|poison| format!("{poison} poison 0")).collect();
        assert_eq!(reader.dead(), dead, "{poisons:?} of {count}, after {} links", reader.links);
        assert!(reader.fixture.store.is_empty(), "{poisons:?} of {count}: {:?}", reader.taken);
    }
}

#[test]
fn a_peer_that_dies_of_each_delivery_alone_loses_nothing() {
    let mut reader = Reader::new((1..=8).map(pending));
    for _ in 0..200 {
        reader.link_that_reads_all(500, |_, _| true);
    }
    assert_eq!(reader.decided, [""; 0]);
    while !reader.fixture.store.is_empty() && reader.links < 210 {
        reader.link_that_reads_all(500, |_, _| false);
    }
    assert!(reader.fixture.store.is_empty(), "{:?}", reader.taken);
}

/// What the peer settled once says nothing about a later link: from then on it dies of whatever it reads.
#[test]
fn a_peer_that_comes_to_die_of_everything_loses_one_at_most() {
    for (count, lucky) in [(8, 1), (40, 32)] {
        let mut reader = Reader::new((1..=count).map(pending));
        let mut settled = 0;
        while settled == 0 && reader.links < 60 {
            settled = reader.link_that_reads_all(500, |number, settled| number == 8 || settled >= lucky);
        }
        assert_eq!(settled, lucky);
        for _ in 0..200 {
            reader.link_that_reads_all(500, |_, _| true);
        }
        assert!(reader.dead().len() <= 1, "of {count}: {:?}", reader.dead());
    }
}

#[test]
fn two_poisons_are_both_found() {
    let mut reader = Reader::new((1..=200).map(pending));
    while !reader.fixture.store.is_empty() && reader.links < 60 {
        reader.link(10_000, |number| number != 3 && number != 4);
    }
    assert_eq!(reader.dead(), ["3 poison 0", "4 poison 0"]);
}

#[test]
fn a_link_that_flaps_makes_no_dead_letter_and_spends_no_attempt() {
    // With each pace of the peer some links are lost with nothing settled, in whatever order.
    for pace in [1, 7, 49, 50, 51, 90] {
        let mut reader = Reader::new((1..=2_000).map(pending));
        let mut turn = 0_u64;
        for _ in 0..3_000 {
            turn += 1;
            let mut took = 0;
            let most = if pace > 49 { u64::from(turn.is_multiple_of(3)) } else { 50 / pace };
            reader.link(50, |_| {
                took += 1;
                took <= most
            });
        }
        assert_eq!(reader.dead(), [""; 0], "pace {pace}");
        assert!(!reader.decided.iter().any(|decided| decided.starts_with("attempt")), "pace {pace}");
    }
}

/// The link ends sooner or later by chance, also several times in a row, and its peer is in time with the newest alone.
#[test]
fn a_link_that_flaps_at_an_uneven_pace_makes_no_dead_letter() {
    let mut reader = Reader::new((1..=2).map(pending));
    for turn in 10..210 {
        for life in [36, 36, 36, 14, 2, 2, 2] {
            reader.link_that_flaps(life, |number| number > 2);
        }
        reader.fixture.store.push(pending(turn));
        for _ in 0..2 {
            reader.link_that_flaps(36, |number| number > 2);
        }
    }
    assert_eq!(reader.dead(), [""; 0]);
}

#[test]
fn a_peer_that_settles_nothing_at_all_loses_nothing() {
    let mut reader = Reader::new((1..=5).map(pending));
    for _ in 0..100 {
        reader.link(50, |_| false);
    }
    assert_eq!(reader.decided, [""; 0]);
    reader.link(1_000, |_| true);
    assert!(reader.fixture.store.is_empty(), "{:?}", reader.taken);
}

#[test]
fn a_lone_delivery_is_not_held_back_for_ever() {
    let mut reader = Reader::new([pending(1)]);
    for _ in 0..3 {
        reader.link(50, |_| false);
    }
    reader.link(1_000, |_| true);
    assert_eq!(reader.taken, [1]);
}
