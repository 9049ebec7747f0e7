//! What several processes need of a store that they share.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::PeerId;
use crate::peer::{RememberedPeer, RosterVersion};

/// A store that several processes have open at once, each through a handle of its own: together they are one relay.
///
/// A store says that it is one by [`MessageStore::shared`](crate::MessageStore::shared). Then every clause of
/// [`MessageStore`](crate::MessageStore) holds for all handles together, but for C11: opening it never gives
/// [`InUse`](crate::StoreError::InUse). Each opening is a *member*.
///
/// # Contract
///
/// - **S1 One order.** There is one order of commits, whichever member makes them, and C5 holds in it: once a page has
///   shown *n* to any member, nothing new appears at or below *n* to any.
/// - **S2 Known roster.** Each change of the roster, whichever member makes it, has a greater
///   [version](crate::Roster::version); [`Peer::last_seen`](crate::Peer::last_seen) alone is no change. A batch that says
///   by which roster its messages were [routed](crate::Batch::routed_by) is refused with
///   [`Outdated`](crate::StoreError::Outdated), and nothing is done, unless that is the one in force. So no message misses a
///   peer that was remembered before it was committed.
/// - **S3 Claims.** The link of a peer is one member's at a time, and the last claim holds. While another member has it,
///   this one's `Attempt`, `DeadLetter`, `Supersede`, `Expire` and `ForgetPeer` of the peer change nothing and give
///   [`Unchanged`](crate::Outcome::Unchanged): what it knows may be old. So does its `Record` of a message that it received
///   from the peer, which may have sent newer ones on its new link. `Acknowledge` counts from whoever brings it.
/// - **S4 News.** A member is told of what others did, at least once and soon: whom they made owed something, that the
///   roster was changed, which claims they took. What wakes it may get lost; then it is told after the time that it waits at
///   most.
/// - **S5 Retirement.** A member that was retired changes nothing any more: each commit or purge gives
///   [`Retired`](crate::StoreError::Retired), its claims and duties are free. A commit of it that was under way is done
///   before [`retire`](Self::retire) returns, or never. A handle that was closed is no member any more.
/// - **S6 Duties.** What one member at a time is to do, such as dialling a peer, is a duty. It is never taken from a
///   member that is neither retired nor closed.
///
/// The store has no clock (C10). Whether a member lives is seen by its [`beats`](Member::beats), which each member has
/// counted up now and then; how long they may stand still is for those to say who look at them.
#[async_trait]
pub trait SharedStore: fmt::Debug + Send + Sync {
    /// Who this handle is.
    fn member(&self) -> MemberId;

    /// Claims the link of a peer, whoever had it (S3). Returns the peer with what it is owed now, or `None` if nobody is
    /// remembered under this id; then nothing is claimed.
    ///
    /// # Errors
    /// As [`MessageStore::commit`](crate::MessageStore::commit). It is safe to repeat.
    async fn claim(&self, peer: &PeerId) -> Result<Option<RememberedPeer>>;

    /// Gives a claim back, if it is this member's still.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    async fn release(&self, peer: &PeerId) -> Result<()>;

    /// The peers whose links other members have claimed (S3), in the order of their ids.
    ///
    /// # Errors
    /// As those of reading.
    async fn claimed_by_others(&self) -> Result<Vec<PeerId>>;

    /// Takes a duty, unless another member has it. Returns whether it is this member's now.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    async fn take_duty(&self, duty: &str) -> Result<bool>;

    /// Gives a duty back, if it is this member's.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    async fn leave_duty(&self, duty: &str) -> Result<()>;

    /// What the others have done since this was asked last (S4). If that is nothing, it waits for something, at most so
    /// long. One caller at a time.
    ///
    /// # Errors
    /// As those of reading. Nothing is missed by an error, nor by dropping the future.
    async fn news(&self, most: Duration) -> Result<News>;

    /// Whom others made owed something by commits that lie, in the one order, before the last commit of this handle that
    /// recorded anything, since it was asked last. Whoever hands on what that commit recorded reads for these peers from the
    /// store first.
    fn interleaved(&self) -> Owed;

    /// Counts up this member's beats, and returns all members.
    ///
    /// # Errors
    /// As [`claim`](Self::claim); [`Retired`](crate::StoreError::Retired) for a member that is none any more.
    async fn beat(&self) -> Result<Vec<Member>>;

    /// Retires a member (S5), unless its beats have gone on. Returns whether it is none any more.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    async fn retire(&self, member: Member) -> Result<bool>;
}

/// One opening of a shared store. A store gives none twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u64);

impl MemberId {
    /// The member that the store knows by this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A member, as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub id: MemberId,
    /// How often it has counted up. It lives while this goes on.
    pub beats: u64,
}

/// The peers that came to be owed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// These, in no order; it may name some that are owed nothing.
    Peers(Vec<PeerId>),
    /// Too much has happened to say which: any of them.
    Anyone,
}

impl Owed {
    /// Nobody.
    pub const NOBODY: Self = Self::Peers(Vec::new());

    /// Whether a peer may be among them.
    #[must_use]
    pub fn includes(&self, peer: &PeerId) -> bool {
        match self {
            Self::Peers(peers) => peers.contains(peer),
            Self::Anyone => true,
        }
    }
}

/// What other members did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Whom they made owed something.
    pub owed: Owed,
    /// The roster that is in force, if it is another than when this was asked last.
    pub roster: Option<RosterVersion>,
    /// The peers whose claim was this member's and is another's now.
    pub lost: Vec<PeerId>,
}

impl News {
    /// Nothing happened.
    pub const NONE: Self = Self { owed: Owed::NOBODY, roster: None, lost: Vec::new() };
}
