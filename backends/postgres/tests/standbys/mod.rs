//! Standbys that are waited for, and commits that go on once they can.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use slipstream_conformance::fixture::{message, put};
use slipstream_postgres_server::Server;
use slipstream_store::{Batch, DuplicateBy, MessageStore, Outcome, Sequence};

const LONGEST: Duration = Duration::from_secs(60);

/// Has commits wait for any standby, once one is there.
pub(crate) fn wait_for_standbys(server: &Server) {
    set(server, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    server.until("postgres", "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'", "t");
}

/// Changes a setting of the server in all its sessions.
pub(crate) fn set(server: &Server, statement: &str) {
    server.sql("postgres", statement);
    server.sql("postgres", "SELECT pg_reload_conf()");
}

/// Records a message, again and again until it is known to be there.
pub(crate) async fn committed<S: MessageStore>(store: &S, name: &str, recipients: &[&str]) -> Sequence {
    let batch: Arc<Batch> = Arc::new(vec![put(message(name, recipients))].into());
    let deadline = Instant::now() + LONGEST;
    loop {
        match store.commit(Arc::clone(&batch)).await.as_deref() {
            Ok([Outcome::Recorded { sequence }]) => return *sequence,
            Ok([Outcome::Duplicate { by: DuplicateBy::Identity }]) => {
                let identity = message(name, recipients).identity;
                let trace = store.deliveries(&identity).await.expect("it can be traced").expect("it was recorded");
                return trace.deliveries[0].sequence;
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert!(error.is_transient() && Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}
