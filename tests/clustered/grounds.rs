//! A database and the processes of a relay, as a test wants them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::sync::{Mutex, MutexGuard};

use super::database::Database;
use super::member::Member;
use super::ways::Ways;
use crate::support::Proxy;

/// Where nobody listens.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// The tests run one after the other: each has several servers, and times out nobody by the others' load.
static ALONE: Mutex<()> = Mutex::const_new(());

/// What a relay of several processes stands on.
#[derive(Debug)]
pub(crate) struct Grounds {
    pub(crate) members: Vec<Member>,
    /// Of each process.
    pub(crate) ways: Vec<Ways>,
    pub(crate) database: Database,
    _alone: MutexGuard<'static, ()>,
}

impl Grounds {
    /// A primary alone, and so many processes.
    pub(crate) async fn simple(members: usize, further: &[(&str, &str)]) -> Self {
        let alone = ALONE.lock().await;
        Self::on(Database::alone(), members, further, alone).await
    }

    /// A primary and its synchronous standby, without which nothing is confirmed, and so many processes.
    pub(crate) async fn safe(members: usize) -> Self {
        let alone = ALONE.lock().await;
        Self::on(Database::with_standby(), members, &[("SLIPSTREAM_REQUIRE", "standby")], alone).await
    }

    async fn on(database: Database, count: usize, further: &[(&str, &str)], alone: MutexGuard<'static, ()>) -> Self {
        let mut grounds = Self { members: Vec::new(), ways: Vec::new(), database, _alone: alone };
        for _ in 0..count {
            grounds.add_member(further).await;
        }
        grounds
    }

    /// Another process, which does not run yet, and its ways.
    pub(crate) async fn new_member(&self, further: &[(&str, &str)]) -> (Member, Ways) {
        let [first, second] = [0, 1].map(|place| self.database.at(place).unwrap_or(NOWHERE));
        let ways = Ways([Proxy::start(first).await, Proxy::start(second).await]);
        (Member::new(&ways, further), ways)
    }

    /// Starts another process.
    pub(crate) async fn add_member(&mut self, further: &[(&str, &str)]) {
        let (mut member, ways) = self.new_member(further).await;
        member.start().await;
        self.members.push(member);
        self.ways.push(ways);
    }
}

/// Has these ways lead to where the servers are now.
pub(crate) fn lead(ways: &[Ways], database: &Database) {
    for place in [0, 1] {
        let to = database.at(place).unwrap_or(NOWHERE);
        ways.iter().for_each(|ways| ways.0[place].lead_to(to));
    }
}
