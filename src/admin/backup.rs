//! Backups of the running relay's store: one at a time, into one folder that the operator named.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use slipstream_embedded::Place;
use slipstream_store::{MessageStore, StoreError};
use utoipa::ToSchema;

use super::error::ApiError;
use crate::clock::Clock;

/// Longest name of a backup, in bytes.
const MAX_NAME: usize = 128;

/// A backup that a relay makes or made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// Where it is, on the relay's machine.
    #[schema(value_type = String)]
    pub path: PathBuf,
    /// How it stands.
    pub state: BackupState,
    /// How long it took, or is taking.
    pub seconds: f64,
    /// Why it failed.
    #[schema(required)]
    pub error: Option<String>,
}

/// How a backup stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BackupState {
    /// It is being written.
    Running,
    /// It is whole and synced.
    Done,
    /// It could not be written; nothing is left of it.
    Failed,
}

/// Makes backups of one store. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Backups {
    folder: Option<PathBuf>,
    /// The files of the store, if it has any.
    files: Option<Place>,
    store: Arc<dyn MessageStore>,
    clock: Arc<dyn Clock>,
    last: Arc<Mutex<Option<Begun>>>,
}

#[derive(Debug, Clone)]
struct Begun {
    path: PathBuf,
    at: Duration,
    ended: Option<(Duration, Result<(), StoreError>)>,
}

impl Backups {
    /// Backups of this store in this folder where the operator named one; otherwise all are refused. So they are if the
    /// store has no `files`: then whoever has them makes backups.
    #[must_use]
    pub fn new(
        folder: Option<PathBuf>,
        files: Option<Place>,
        store: Arc<dyn MessageStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { folder, files, store, clock, last: Arc::default() }
    }

    /// The one that was begun last.
    #[must_use]
    pub fn last(&self) -> Option<Backup> {
        self.last.lock().as_ref().map(|begun| self.shown(begun))
    }

    fn shown(&self, begun: &Begun) -> Backup {
        let (end, state, error) = match &begun.ended {
            None => (self.clock.elapsed(), BackupState::Running, None),
            Some((end, Ok(()))) => (*end, BackupState::Done, None),
            Some((end, Err(error))) => (*end, BackupState::Failed, Some(error.to_string())),
        };
        let seconds = end.saturating_sub(begun.at).as_secs_f64();
        Backup { path: begun.path.clone(), state, seconds, error }
    }

    /// Begins one of this name.
    ///
    /// # Errors
    /// 403 without a folder, 400 for a name that is none, 409 where one runs or something has the name.
    pub(super) fn begin(&self, name: &str) -> Result<Backup, ApiError> {
        let forbidden = |message| Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message));
        let Some(files) = &self.files else {
            return forbidden(
                "expected pg_dump, pg_basebackup or an archive of the log: PostgreSQL has the files of this store",
            );
        };
        let Some(folder) = &self.folder else {
            return forbidden("expected SLIPSTREAM_BACKUP_PATH, the folder that backups are written to; it is not set");
        };
        if !is_name(name) {
            let message = format!(
                "name: expected 1 to {MAX_NAME} of A-Z a-z 0-9 . _ - and no dot first; the folder is SLIPSTREAM_BACKUP_PATH"
            );
            return Err(ApiError::invalid(message));
        }
        let path = folder.join(name);
        if let Err(error) = files.expect_copy_elsewhere(&path) {
            return Err(ApiError::invalid(format!("name: {error}")));
        }
        let mut last = self.last.lock();
        let conflict = |message: String| Err(ApiError::conflict(message));
        if let Some(Begun { path, ended: None, .. }) = &*last {
            return conflict(format!("{} is being written; one is made at a time", path.display()));
        }
        if path.symlink_metadata().is_ok() {
            return conflict(format!("{}: expected nothing there", path.display()));
        }
        let begun = Begun { path: path.clone(), at: self.clock.elapsed(), ended: None };
        let shown = self.shown(&begun);
        *last = Some(begun);
        drop(last);
        tokio::spawn(self.clone().write(path));
        Ok(shown)
    }

    async fn write(self, path: PathBuf) {
        let done = self.store.backup(&path).await;
        match &done {
            Ok(()) => tracing::info!(path = %path.display(), "a backup was written"),
            Err(error) => tracing::error!(path = %path.display(), %error, "a backup failed"),
        }
        if let Some(begun) = &mut *self.last.lock() {
            begun.ended = Some((self.clock.elapsed(), done));
        }
    }
}

/// Whether this is the name of a file in a folder, and leads nowhere else.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use slipstream_conformance::{Call, FaultStore, Faults, ModelMedium, ModelStore, When};
    use slipstream_embedded::Files;

    use super::*;
    use crate::clock::SystemClock;

    fn backups(folder: &Path) -> (Backups, Faults) {
        let (store, faults) = FaultStore::new(ModelStore::open(&ModelMedium::default(), Path::new("model")).unwrap());
        let place = Place::file(
            &folder.join("orders.db"),
            Files { data: "slipstream.model", within: &[], log: None, beside: &[] },
        );
        (Backups::new(Some(folder.to_owned()), Some(place), Arc::new(store), Arc::new(SystemClock::new())), faults)
    }

    async fn ended(backups: &Backups) -> Backup {
        let waiting = async {
            loop {
                match backups.last() {
                    Some(last) if last.state != BackupState::Running => return last,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it ends")
    }

    fn refusal(begun: Result<Backup, ApiError>) -> (u16, String) {
        let ApiError { status, message, .. } = begun.expect_err("refused");
        (status.as_u16(), message)
    }

    #[tokio::test]
    async fn one_is_made_at_a_time_and_the_last_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (backups, faults) = backups(folder.path());
        assert_eq!(backups.last(), None);
        let held = faults.hold(Call::Backup);
        let begun = backups.begin("one").unwrap();
        assert_eq!((begun.state, begun.path), (BackupState::Running, folder.path().join("one")));
        let (status, message) = refusal(backups.begin("two"));
        assert!(status == 409 && message.contains("at a time"), "{message}");
        drop(held);
        assert_eq!((ended(&backups).await.state, ended(&backups).await.error), (BackupState::Done, None));
        faults.fail_next(Call::Backup, StoreError::Full("no room".to_owned()), When::Before);
        backups.begin("two").unwrap();
        let failed = ended(&backups).await;
        assert_eq!((failed.state, failed.path), (BackupState::Failed, folder.path().join("two")));
        assert!(failed.error.is_some_and(|error| error.contains("no room")));
    }

    #[tokio::test]
    async fn nothing_is_written_without_a_folder_over_something_or_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (backups, _) = backups(folder.path());
        std::fs::write(folder.path().join("there"), "").unwrap();
        assert_eq!(refusal(backups.begin("there")).0, 409);
        assert_eq!(refusal(backups.begin("../elsewhere")).0, 400);
        for name in ["orders.db-wal", "orders.db.compacting", "slipstream.mdb", "one.unfinished"] {
            let (status, message) = refusal(backups.begin(name));
            assert!(status == 400 && message.contains(name), "{message}");
        }
        let nowhere = Backups { folder: None, ..backups.clone() };
        let (status, message) = refusal(nowhere.begin("one"));
        assert!(status == 403 && message.contains("SLIPSTREAM_BACKUP_PATH"), "{message}");
        assert_eq!(backups.last(), None);
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["2026-11-25.db", "a", "A_b-1..sqlite3", &"n".repeat(MAX_NAME)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a b", "a\0", "ä", &"n".repeat(MAX_NAME + 1)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
