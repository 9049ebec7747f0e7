//! The store as one that several processes share.

use std::time::Duration;

use async_trait::async_trait;
use slipstream_store::{Member, MemberId, News, Owed, PeerId, RememberedPeer, Result, SharedStore};
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use crate::errors::unreadable;
use crate::hints::Hint;
use crate::look;
use crate::membership::{member, named, said};
use crate::store::PostgresStore;

/// How often it is looked whether there is news, also if nobody rings.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

const CLAIM: &str = "SELECT * FROM slipstream.claim($1, $2)";
const RELEASE: &str = "SELECT slipstream.release($1, $2)";
const CLAIMED: &str = "SELECT id FROM slipstream.peer WHERE owner IS NOT NULL AND owner <> $1 ORDER BY id";
const TAKE_DUTY: &str = "SELECT slipstream.take_duty($1, $2)";
const LEAVE_DUTY: &str = "SELECT slipstream.leave_duty($1, $2)";
const BEAT: &str = "SELECT origin, beats FROM slipstream.beat($1, $2)";
const RETIRE: &str = "SELECT slipstream.retire($1, $2, $3)";

#[async_trait]
impl SharedStore for PostgresStore {
    fn member(&self) -> MemberId {
        MemberId::new(self.membership.origin.unsigned_abs())
    }

    async fn claim(&self, peer: &PeerId) -> Result<Option<RememberedPeer>> {
        let rows = self.membership.ask(CLAIM, peer.as_str()).await?;
        self.membership.wake.ring(Hint::Look);
        rows.first().map(look::remembered).transpose()
    }

    async fn release(&self, peer: &PeerId) -> Result<()> {
        self.membership.ask(RELEASE, peer.as_str()).await.map(drop)
    }

    async fn claimed_by_others(&self) -> Result<Vec<PeerId>> {
        let rows = self.readers.query(CLAIMED, &[&self.membership.origin]).await?;
        let ids = rows.iter().map(|row| row.try_get::<_, String>(0));
        named(ids.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?)
    }

    async fn take_duty(&self, duty: &str) -> Result<bool> {
        said(&self.membership.ask(TAKE_DUTY, duty).await?)
    }

    async fn leave_duty(&self, duty: &str) -> Result<()> {
        self.membership.ask(LEAVE_DUTY, duty).await.map(drop)
    }

    async fn news(&self, most: Duration) -> Result<News> {
        let mut heard = self.membership.heard.lock().await;
        let begun = Instant::now();
        loop {
            // Who rang since the last look is heard at once.
            let left = most.saturating_sub(begun.elapsed());
            let wait = left.min(LOOKS_EVERY.saturating_sub(heard.looked.elapsed()));
            self.membership.wake.heard(wait).await;
            let told = self.membership.wake.take(heard.pack);
            let news = match told {
                Some((pack, peers)) if heard.looked.elapsed() < LOOKS_EVERY && begun.elapsed() < most => {
                    heard.pack = pack;
                    News { owed: Owed::Peers(peers.into_iter().collect()), ..News::NONE }
                }
                _ => self.membership.look(&self.readers, &mut heard).await?,
            };
            if news != News::NONE || begun.elapsed() >= most {
                return Ok(news);
            }
        }
    }

    fn interleaved(&self) -> Owed {
        self.membership.interleaved.take()
    }

    async fn beat(&self) -> Result<Vec<Member>> {
        let membership = &self.membership;
        let told: Vec<i64> = membership.told.lock().iter().copied().collect();
        let rows = membership.beating.query(BEAT, &[&membership.origin, &told]).await?;
        membership.wake.set_others(rows.len() > 1);
        let mut all = membership.told.lock();
        all.retain(|number| !told.contains(number));
        rows.iter().map(member).collect()
    }

    async fn retire(&self, member: Member) -> Result<bool> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (who, beats) = (number(member.id.get()), number(member.beats));
        let parameters: [&(dyn ToSql + Sync); 3] = [&self.membership.origin, &who, &beats];
        said(&self.membership.writers.query(RETIRE, &parameters).await?)
    }
}
