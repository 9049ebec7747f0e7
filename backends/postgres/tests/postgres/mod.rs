//! How the suite opens stores on PostgreSQL: one server for all cases, and a database for each place.
#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

mod server;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use slipstream_conformance::Harness;
use slipstream_postgres::PostgresStore;
use slipstream_store::Result;

pub(crate) use server::{options, server};

/// A database with an empty store, of which the others are copies.
const TEMPLATE: &str = "empty_store";

/// Stores on the server of this test binary.
#[derive(Debug)]
pub(crate) struct Postgres;

#[async_trait]
impl Harness for Postgres {
    type Store = PostgresStore;

    async fn open(&self, place: &Path) -> Result<PostgresStore> {
        let name = name(place);
        let made = {
            let (name, folder) = (name.clone(), place.parent().unwrap_or(place).to_owned());
            tokio::task::spawn_blocking(move || make(&name, folder)).await
        };
        made.expect("a database can be made");
        PostgresStore::open(options(&name)).await
    }
}

/// The name of the database for a place: one of PostgreSQL's has up to 63 bytes.
pub(crate) fn name(place: &Path) -> String {
    let parts: Vec<_> = place.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("_").replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// Makes the database, unless it was made before. Those of cases that have ended, whose folders are gone, are dropped; a
/// place that is a name alone has none.
fn make(name: &str, folder: PathBuf) {
    static MADE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut made: MutexGuard<'_, Option<HashMap<String, PathBuf>>> =
        MADE.lock().expect("nobody failed to make a database");
    let made = made.get_or_insert_with(|| {
        server().sql("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(async {
            let store = PostgresStore::open(options(TEMPLATE)).await.expect("an empty store is made");
            slipstream_store::MessageStore::close(&store).await.expect("it closes");
        });
        drop(runtime);
        let idle = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'");
        while server().sql("postgres", &idle) != "0" {
            std::thread::yield_now();
        }
        HashMap::new()
    });
    let ended =
        made.extract_if(|_, folder| folder.is_absolute() && !folder.exists()).map(|(name, _)| name).collect::<Vec<_>>();
    for name in ended {
        server().sql("postgres", &format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    }
    if made.insert(name.to_owned(), folder).is_none() {
        server().sql("postgres", &format!("CREATE DATABASE \"{name}\" TEMPLATE {TEMPLATE}"));
    }
}
