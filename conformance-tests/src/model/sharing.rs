//! Several handles on one state: what each may do, and what it is told of the others.

use slipstream_store::{
    Batch, Member, MemberId, News, Operation, Outcome, Owed, Peer, PeerId, RememberedPeer, Result, StoreError,
    Timestamp,
};

use super::members::Known;
use super::state::State;

impl State {
    pub(super) fn join(&mut self) -> MemberId {
        self.shared.given += 1;
        let member = MemberId::new(self.shared.given);
        self.shared.members.insert(member, Known { roster: self.shared.roster, ..Known::default() });
        member
    }

    pub(super) fn leave(&mut self, member: MemberId) {
        self.shared.members.remove(&member);
        self.shared.claims.retain(|_, of| *of != member);
        self.shared.duties.retain(|_, of| *of != member);
    }

    fn known(&mut self, member: MemberId) -> Result<&mut Known> {
        self.shared.members.get_mut(&member).ok_or(StoreError::Retired)
    }

    /// Whether a member may still change something.
    pub(super) fn is_member(&self, member: MemberId) -> Result<()> {
        if self.shared.members.contains_key(&member) { Ok(()) } else { Err(StoreError::Retired) }
    }

    pub(super) fn commit_of(&mut self, member: MemberId, batch: &Batch) -> Result<Vec<Outcome>> {
        self.is_member(member)?;
        if batch.routed_by.is_some_and(|roster| roster != self.shared.roster) {
            return Err(StoreError::Outdated);
        }
        self.has_room(batch)?;
        Ok(batch.operations.iter().map(|operation| self.apply_of(member, operation)).collect())
    }

    fn apply_of(&mut self, member: MemberId, operation: &Operation) -> Outcome {
        if let Some(peer) = claimed(operation)
            && self.shared.claims.get(peer).is_some_and(|holder| *holder != member)
        {
            return Outcome::Unchanged;
        }
        let before = self.routing(operation);
        let outcome = self.apply(operation);
        if self.routing(operation) != before {
            self.shared.roster.0 += 1;
        }
        match (operation, outcome) {
            (Operation::Record(record), Outcome::Recorded { .. }) => {
                let owed: Vec<_> =
                    record.route.recipients.iter().filter(|peer| self.peers.contains_key(*peer)).collect();
                self.owes(member, &owed);
                if let Some(known) = self.shared.members.get_mut(&member) {
                    let since = std::mem::take(&mut known.since_recorded);
                    known.interleaved.extend(since);
                }
            }
            (Operation::Redrive { peer, .. }, Outcome::Redriven { .. }) => self.owes(member, &[peer]),
            (Operation::AdoptPeer { alias, peer }, Outcome::Applied) => {
                // Under its own id a peer is only remembered.
                if *alias != peer.id {
                    self.shared.claims.remove(alias);
                }
                self.owes(member, &[&peer.id]);
            }
            (Operation::ForgetPeer { peer, .. }, Outcome::Applied) => drop(self.shared.claims.remove(peer)),
            _ => {}
        }
        outcome
    }

    /// What routes go by of the peers that an operation is about.
    fn routing(&self, operation: &Operation) -> Vec<Peer> {
        let peers = match operation {
            Operation::RememberPeer(peer) => vec![&peer.id],
            Operation::AdoptPeer { alias, peer } => vec![alias, &peer.id],
            Operation::ForgetPeer { peer, .. } => vec![peer],
            _ => Vec::new(),
        };
        let known = peers.into_iter().filter_map(|peer| self.peers.get(peer));
        known.map(|peer| Peer { last_seen: Timestamp::ZERO, ..peer.clone() }).collect()
    }

    /// A member has made these peers owed something.
    fn owes(&mut self, by: MemberId, peers: &[&PeerId]) {
        for (_, known) in self.shared.members.iter_mut().filter(|(member, _)| **member != by) {
            known.owed.extend(peers.iter().copied().cloned());
            known.since_recorded.extend(peers.iter().copied().cloned());
        }
    }

    pub(super) fn claim(&mut self, member: MemberId, peer: &PeerId) -> Result<Option<RememberedPeer>> {
        self.is_member(member)?;
        let Some(remembered) = self.roster().peers.into_iter().find(|remembered| remembered.peer.id == *peer) else {
            return Ok(None);
        };
        let former = self.shared.claims.insert(peer.clone(), member).filter(|former| *former != member);
        if let Some(known) = former.and_then(|former| self.shared.members.get_mut(&former)) {
            known.lost.insert(peer.clone());
        }
        self.known(member)?.lost.remove(peer);
        Ok(Some(remembered))
    }

    pub(super) fn release(&mut self, member: MemberId, peer: &PeerId) -> Result<()> {
        self.is_member(member)?;
        if self.shared.claims.get(peer) == Some(&member) {
            self.shared.claims.remove(peer);
        }
        Ok(())
    }

    pub(super) fn claimed_by_others(&self, member: MemberId) -> Vec<PeerId> {
        let claims = self.shared.claims.iter().filter(|(_, holder)| **holder != member);
        claims.map(|(peer, _)| peer.clone()).collect()
    }

    pub(super) fn take_duty(&mut self, member: MemberId, duty: &str) -> Result<bool> {
        self.is_member(member)?;
        Ok(*self.shared.duties.entry(duty.to_owned()).or_insert(member) == member)
    }

    pub(super) fn leave_duty(&mut self, member: MemberId, duty: &str) -> Result<()> {
        self.is_member(member)?;
        if self.shared.duties.get(duty) == Some(&member) {
            self.shared.duties.remove(duty);
        }
        Ok(())
    }

    pub(super) fn news(&mut self, member: MemberId) -> Result<News> {
        let roster = self.shared.roster;
        let known = self.known(member)?;
        let before = std::mem::replace(&mut known.roster, roster);
        Ok(News {
            owed: Owed::Peers(std::mem::take(&mut known.owed).into_iter().collect()),
            roster: (before != roster).then_some(roster),
            lost: std::mem::take(&mut known.lost).into_iter().collect(),
        })
    }

    pub(super) fn interleaved(&mut self, member: MemberId) -> Owed {
        let known = self.shared.members.get_mut(&member);
        known.map_or(Owed::NOBODY, |known| Owed::Peers(std::mem::take(&mut known.interleaved).into_iter().collect()))
    }

    pub(super) fn beat(&mut self, member: MemberId) -> Result<Vec<Member>> {
        self.known(member)?.beats += 1;
        Ok(self.shared.members.iter().map(|(id, Known { beats, .. })| Member { id: *id, beats: *beats }).collect())
    }

    pub(super) fn retire(&mut self, by: MemberId, member: Member) -> Result<bool> {
        self.is_member(by)?;
        if self.shared.members.get(&member.id).is_some_and(|known| known.beats == member.beats) {
            self.leave(member.id);
        }
        Ok(!self.shared.members.contains_key(&member.id))
    }
}

/// The peer whose claim an operation wants, if it wants one.
fn claimed(operation: &Operation) -> Option<&PeerId> {
    match operation {
        Operation::Attempt { peer, .. }
        | Operation::DeadLetter { peer, .. }
        | Operation::Supersede { peer, .. }
        | Operation::Expire { peer, .. }
        | Operation::ForgetPeer { peer, .. } => Some(peer),
        Operation::Record(record) => Some(&record.route.received_from),
        _ => None,
    }
}
