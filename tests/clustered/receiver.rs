//! What came to one application, as the oracle remembers it: little, however long a run lasts. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::traffic::Name;

/// What an arrival is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The first of it, and all before it of its sender have come.
    InOrder,
    /// The first of it, after later ones of its sender.
    Late,
    /// It came on another link, and its acknowledgement need not have been taken.
    Again,
    /// The same, after later ones of its sender on this link.
    AgainAndLate,
    TwiceOnLink,
    AgainThoughSettled,
}

/// What came to an application.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// By sender.
    from: Vec<From>,
    /// What came and may come again, and the links on which it came.
    open: HashMap<Name, Vec<u64>>,
    links: HashMap<u64, OnLink>,
}

/// What came on one link.
#[derive(Debug)]
struct OnLink {
    /// By sender, the number after the newest.
    next: Vec<u64>,
    /// What was acknowledged, and after how many exchanges, in order.
    acknowledged: VecDeque<(u64, Name)>,
}

#[derive(Debug, Default, Clone)]
struct From {
    /// What comes from here on has not come.
    next: u64,
    /// What has not come before.
    gaps: BTreeSet<u64>,
}

impl Receiver {
    pub(crate) fn new(senders: usize) -> Self {
        Self { from: vec![From::default(); senders], open: HashMap::new(), links: HashMap::new() }
    }

    /// A message that is for it comes on a link that has seen so many exchanges.
    pub(crate) fn takes(
        &mut self,
        name: Name,
        link: u64,
        exchanges: u64,
        is_expected: impl Fn(u64) -> bool,
    ) -> Arrival {
        let senders = self.from.len();
        let on_link = self.links.entry(link).or_insert_with(|| OnLink::new(senders));
        let ascends = name.number >= on_link.next[name.sender];
        let from = &mut self.from[name.sender];
        let arrival = if name.number >= from.next {
            from.gaps.extend((from.next..name.number).filter(|number| is_expected(*number)));
            from.next = name.number + 1;
            Arrival::InOrder
        } else if from.gaps.remove(&name.number) {
            Arrival::Late
        } else {
            match self.open.get(&name) {
                None => return Arrival::AgainThoughSettled,
                Some(links) if links.contains(&link) => return Arrival::TwiceOnLink,
                Some(_) if ascends => Arrival::Again,
                Some(_) => Arrival::AgainAndLate,
            }
        };
        on_link.next[name.sender] = on_link.next[name.sender].max(name.number + 1);
        on_link.acknowledged.push_back((exchanges, name));
        self.open.entry(name).or_default().push(link);
        arrival
    }

    /// What was acknowledged on a link before it had seen so many exchanges is durable.
    pub(crate) fn proven(&mut self, link: u64, exchanges: u64) {
        let Some(on_link) = self.links.get_mut(&link) else { return };
        while let Some((at, name)) = on_link.acknowledged.front().copied()
            && at < exchanges
        {
            on_link.acknowledged.pop_front();
            self.open.remove(&name);
        }
    }

    /// Nothing more is learnt of a link.
    pub(crate) fn link_ended(&mut self, link: u64) {
        self.links.remove(&link);
    }

    /// What has not come of a sender that made so many.
    pub(crate) fn lacks(&self, sender: usize, made: u64, is_for: impl Fn(Name) -> bool) -> Vec<Name> {
        let From { next, gaps } = &self.from[sender];
        let named = |number| Name { sender, number };
        let later = (*next..made).map(named).filter(|name| is_for(*name));
        gaps.iter().copied().map(named).chain(later).collect()
    }
}

impl OnLink {
    fn new(senders: usize) -> Self {
        Self { next: vec![0; senders], acknowledged: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> Name {
        Name { sender: 0, number }
    }

    #[test]
    fn what_comes_is_known_for_what_it_is() {
        let mut receiver = Receiver::new(1);
        let even = |number: u64| number.is_multiple_of(2);
        let mut takes = |number, link, exchanges| receiver.takes(name(number), link, exchanges, even);
        assert_eq!(takes(0, 1, 0), Arrival::InOrder);
        assert_eq!(takes(2, 1, 0), Arrival::InOrder);
        assert_eq!(takes(2, 1, 0), Arrival::TwiceOnLink);
        assert_eq!(takes(2, 2, 0), Arrival::Again);
        assert_eq!(takes(6, 2, 1), Arrival::InOrder, "what it has passed over may never come");
        assert_eq!(takes(4, 2, 1), Arrival::Late);
        receiver.proven(2, 1);
        assert_eq!(receiver.takes(name(2), 3, 0, even), Arrival::AgainThoughSettled);
        assert_eq!(receiver.takes(name(4), 3, 0, even), Arrival::Again);
        assert_eq!(receiver.takes(name(6), 4, 0, even), Arrival::Again);
        assert_eq!(receiver.takes(name(4), 4, 0, even), Arrival::AgainAndLate);
        assert_eq!(receiver.lacks(0, 12, |name| even(name.number)), [name(8), name(10)]);
    }
}
