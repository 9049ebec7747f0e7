//! A handle of the model as a member of a shared store.

use std::time::Duration;

use async_trait::async_trait;
use slipstream_store::{Member, MemberId, News, Owed, PeerId, RememberedPeer, Result, SharedStore};

use super::ModelStore;
use super::state::State;

/// How often it is looked whether there is news. Nothing wakes a member of the model: that what wakes it may get lost is
/// part of the contract.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

impl ModelStore {
    fn as_member<T>(&self, work: impl FnOnce(&mut State, MemberId) -> T) -> Result<T> {
        self.with(|state| work(state, self.member()))
    }
}

#[async_trait]
impl SharedStore for ModelStore {
    fn member(&self) -> MemberId {
        // An exclusive handle is given to nobody as a shared one.
        self.member.unwrap_or(MemberId::new(0))
    }

    async fn claim(&self, peer: &PeerId) -> Result<Option<RememberedPeer>> {
        self.as_member(|state, member| state.claim(member, peer))?
    }

    async fn release(&self, peer: &PeerId) -> Result<()> {
        self.as_member(|state, member| state.release(member, peer))?
    }

    async fn claimed_by_others(&self) -> Result<Vec<PeerId>> {
        self.as_member(|state, member| state.claimed_by_others(member))
    }

    async fn take_duty(&self, duty: &str) -> Result<bool> {
        self.as_member(|state, member| state.take_duty(member, duty))?
    }

    async fn leave_duty(&self, duty: &str) -> Result<()> {
        self.as_member(|state, member| state.leave_duty(member, duty))?
    }

    async fn news(&self, most: Duration) -> Result<News> {
        let ends = tokio::time::Instant::now() + most;
        loop {
            let news = self.as_member(State::news)??;
            if news != News::NONE || tokio::time::Instant::now() >= ends {
                return Ok(news);
            }
            tokio::time::sleep_until(ends.min(tokio::time::Instant::now() + LOOKS_EVERY)).await;
        }
    }

    fn interleaved(&self) -> Owed {
        self.as_member(State::interleaved).unwrap_or(Owed::NOBODY)
    }

    async fn beat(&self) -> Result<Vec<Member>> {
        self.as_member(State::beat)?
    }

    async fn retire(&self, member: Member) -> Result<bool> {
        self.as_member(|state, by| state.retire(by, member))?
    }
}
