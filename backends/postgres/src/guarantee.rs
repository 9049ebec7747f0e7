//! What an `Ok` is worth: that is up to the settings of the server, which can change at any time, and to its standbys.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use slipstream_store::{Durability, Guarantee, Result, Survives};
use tokio::sync::Notify;
use tokio_postgres::Row;
use tracing::{info, warn};

use crate::errors::{only, unreadable};
use crate::pool::Pool;

/// How often it is looked at. It is also looked at after each new link of the writer, and while a commit takes long.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What a standby does is shown to members of `pg_monitor` only; to others its state is null.
const SETTINGS: &str = "
    SELECT current_setting('fsync') = 'on' AS sync, current_setting('full_page_writes') = 'on' AS whole_pages,
           current_setting('synchronous_commit') AS commit, current_setting('synchronous_standby_names') <> '' AS named,
           (SELECT count(*) FROM pg_stat_replication
            WHERE coalesce(state = 'streaming' AND sync_state IN ('sync', 'quorum'), true)) AS standbys";

/// The guarantee as it was seen last.
#[derive(Debug)]
pub(crate) struct Watched {
    seen: RwLock<Guarantee>,
    due: Notify,
}

impl Watched {
    /// Looks for the first time.
    ///
    /// # Errors
    /// As those of reading.
    pub(crate) async fn begin(readers: &Pool, durability: Durability) -> Result<Self> {
        let seen = RwLock::new(look(readers, durability).await?);
        Ok(Self { seen, due: Notify::new() })
    }

    pub(crate) fn get(&self) -> Guarantee {
        self.seen.read().clone()
    }

    /// Has it looked at soon.
    pub(crate) fn look_soon(&self) {
        self.due.notify_one();
    }

    /// Looks again and again until the store is closed. If the server cannot be asked, what was seen last stays.
    pub(crate) async fn keep(self: Arc<Self>, readers: Arc<Pool>) {
        let durability = self.get().durability;
        loop {
            drop(tokio::time::timeout(LOOK_EVERY, self.due.notified()).await);
            if readers.is_open().is_err() {
                return;
            }
            let Ok(now) = look(&readers, durability).await else { continue };
            let before = std::mem::replace(&mut *self.seen.write(), now.clone());
            if now.survives < before.survives {
                warn!(guarantee = %now, "PostgreSQL keeps less than before");
            } else if now != before {
                info!(guarantee = %now, "what PostgreSQL keeps has changed");
            }
        }
    }
}

/// Looks at what the settings of the server and its standbys are worth now.
async fn look(readers: &Pool, durability: Durability) -> Result<Guarantee> {
    let rows = readers.query(SETTINGS, &[]).await?;
    let settings = Settings::read(only(&rows)?).map_err(|error| unreadable(&error))?;
    let (survives, note) = settings.worth();
    Ok(Guarantee { survives, note, ..Guarantee::new("postgres", durability) })
}

/// What the server says of itself.
#[derive(Debug, Clone)]
struct Settings {
    sync: bool,
    whole_pages: bool,
    commit: String,
    /// Whether a commit waits for standbys.
    named: bool,
    /// How many of those it can wait for are there.
    standbys: i64,
}

impl Settings {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            sync: row.try_get("sync")?,
            whole_pages: row.try_get("whole_pages")?,
            commit: row.try_get("commit")?,
            named: row.try_get("named")?,
            standbys: row.try_get("standbys")?,
        })
    }

    /// What is kept, and what there is to know besides.
    fn worth(&self) -> (Survives, Option<&'static str>) {
        use Survives::{KilledProcess, LostDisk, PowerCut};
        let Self { sync, whole_pages, commit, named, standbys } = self;
        match (commit.as_str(), named, standbys) {
            _ if !sync => (KilledProcess, Some("this PostgreSQL server runs with fsync off")),
            _ if !whole_pages => (KilledProcess, Some("this PostgreSQL server runs with full_page_writes off")),
            ("off", ..) => {
                (KilledProcess, Some("synchronous_commit is off: a crash of PostgreSQL loses the last moment"))
            }
            (_, false, _) => (PowerCut, Some("PostgreSQL has no synchronous standby, so it is on one disk")),
            ("local", ..) => (PowerCut, Some("synchronous_commit is local, so it is on one disk for a while")),
            ("remote_write", ..) => (
                PowerCut,
                Some("synchronous_commit is remote_write: a standby has it, but perhaps not on its disk yet"),
            ),
            (_, true, 0) => (LostDisk, Some("no synchronous standby is there now: nothing is confirmed until one is")),
            (_, true, _) => (LostDisk, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_least_that_a_setting_makes_of_it() {
        use Survives::{KilledProcess, LostDisk, PowerCut};
        let of = |sync, whole_pages, commit: &str, named, standbys| {
            Settings { sync, whole_pages, commit: commit.to_owned(), named, standbys }.worth()
        };
        for (worth, survives, told) in [
            (of(true, true, "on", true, 1), LostDisk, ""),
            (of(true, true, "remote_apply", true, 2), LostDisk, ""),
            (of(true, true, "on", true, 0), LostDisk, "until one is"),
            (of(true, true, "on", false, 0), PowerCut, "no synchronous standby"),
            (of(true, true, "on", false, 1), PowerCut, "no synchronous standby"),
            (of(true, true, "remote_write", true, 1), PowerCut, "remote_write"),
            (of(true, true, "local", true, 1), PowerCut, "local"),
            (of(true, true, "off", true, 1), KilledProcess, "synchronous_commit is off"),
            (of(true, false, "on", true, 1), KilledProcess, "full_page_writes"),
            (of(false, true, "on", true, 1), KilledProcess, "fsync"),
        ] {
            assert_eq!((worth.0, worth.1.is_some()), (survives, !told.is_empty()), "{told}");
            assert!(worth.1.unwrap_or_default().contains(told), "{worth:?}");
        }
    }
}
