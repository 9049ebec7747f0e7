//! The one place that knows which engines are compiled in: turns the configuration of a store into an open store.

#[cfg(not(feature = "postgres"))]
mod absent;
#[cfg(feature = "postgres")]
mod postgres;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use slipstream_embedded::{Backend, OfflineStore, Place, StoreOptions};
use slipstream_store::{About, Durability, MessageStore, Stats, StoreError};

#[cfg(not(feature = "postgres"))]
use self::absent as postgres;
pub use self::postgres::{Making, ReadAlone};
use crate::clock::Clock;
use crate::config::{EmbeddedEngine, Engine, StoreConfig};
use crate::link::Secret;

macro_rules! backends {
    ($($feature:literal $engine:ident $backend:ident;)+) => {
        /// The engines that are compiled in, the preferred one first.
        pub const COMPILED: &[Engine] = &[$(
            #[cfg(feature = $feature)]
            Engine::Embedded(EmbeddedEngine::$engine),
            )+
            #[cfg(feature = "postgres")]
            Engine::Postgres,
        ];

        /// Those of them that keep a store in files.
        pub const EMBEDDED: &[EmbeddedEngine] = &[$(
            #[cfg(feature = $feature)]
            EmbeddedEngine::$engine,
        )+];

        static BACKENDS: &[(EmbeddedEngine, &Backend)] = &[$(
            #[cfg(feature = $feature)]
            (EmbeddedEngine::$engine, &$backend::BACKEND),
        )+];
    };
}

backends! {
    "sqlite" Sqlite slipstream_sqlite;
    "redb" Redb slipstream_redb;
    "lmdb" Lmdb slipstream_lmdb;
    "sled" Sled slipstream_sled;
}

fn backend(engine: EmbeddedEngine) -> Result<&'static Backend, StoreError> {
    let found = BACKENDS.iter().find(|(compiled, _)| *compiled == engine);
    found.map(|(_, backend)| *backend).ok_or_else(|| StoreError::Unsupported(Engine::from(engine).not_compiled_in()))
}

/// Opens a store, and makes it if there is none.
///
/// # Errors
/// As the engine says; [`StoreError::Unsupported`] for an engine that is not compiled in.
///
/// # Cancellation
/// The store is opened all the same, and closed again.
pub async fn open(config: &StoreConfig) -> Result<Arc<dyn MessageStore>, StoreError> {
    match config {
        StoreConfig::Files { engine, path, durability } => {
            let (backend, options) = (backend(*engine)?, StoreOptions::new(path).durability(*durability));
            blocking(move || (backend.open)(&options)).await
        }
        StoreConfig::Postgres { url, durability, required } => postgres::open(url, *durability, *required, true).await,
    }
}

/// Opens a store that several processes share, while others may have it open. Unlike [`open`] it makes none.
///
/// # Errors
/// As the engine says.
pub async fn join(url: &Secret) -> Result<Arc<dyn MessageStore>, StoreError> {
    postgres::open(url, Durability::Full, None, false).await
}

/// Where a store is, for people. It tells no secret.
fn told_place(config: &StoreConfig) -> Result<String, StoreError> {
    match config {
        StoreConfig::Files { path, .. } => Ok(path.display().to_string()),
        StoreConfig::Postgres { url, .. } => address(url),
    }
}

/// Where the store with this URL is, for people. It tells no secret.
///
/// # Errors
/// [`StoreError::Inaccessible`] for a URL that is none.
pub fn address(url: &Secret) -> Result<String, StoreError> {
    postgres::address(url)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|panic| StoreError::Poisoned(format!("opening the store: {panic}")))?
}

/// A store that was opened for a relay, and what its start says of it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn MessageStore>,
    /// Where it is, for people.
    pub place: String,
    /// Whether it was made now: nothing was there.
    pub is_new: bool,
    /// How much was in it.
    pub stats: Stats,
    /// How long opening it took.
    pub took: Duration,
}

impl fmt::Display for Opened {
    /// `new, opened in 0.01 s`, or `found, with 3 peers and 120 owed, opened in 0.40 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_new {
            true => f.write_str("new")?,
            false => {
                let Stats { peers, pending, .. } = self.stats;
                let noun = if peers == 1 { "peer" } else { "peers" };
                write!(f, "found, with {peers} {noun} and {pending} owed")?;
            }
        }
        write!(f, ", opened in {:.2} s", self.took.as_secs_f64())
    }
}

/// Opens a store for a relay, as [`open`] does, and says what was there.
///
/// # Errors
/// As [`open`].
pub async fn start(config: &StoreConfig, clock: &dyn Clock) -> Result<Opened, StoreError> {
    let (begun, place) = (clock.elapsed(), told_place(config)?);
    let store = open(config).await?;
    let is_new = store.roster().await?.relay.is_none();
    let stats = store.stats().await?;
    Ok(Opened { store, place, is_new, stats, took: clock.elapsed().saturating_sub(begun) })
}

/// Opens the tables of the store in files at `path`, and makes them if there are none, for work on the whole store. It
/// blocks.
///
/// # Errors
/// As [`open`].
pub fn open_tables(engine: EmbeddedEngine, path: &Path) -> Result<Box<dyn OfflineStore>, StoreError> {
    (backend(engine)?.open_tables)(&StoreOptions::new(path))
}

/// Where the files of a store at `path` are. Nothing is opened.
///
/// # Errors
/// [`StoreError::Unsupported`] for an engine that is not compiled in.
pub fn place(engine: EmbeddedEngine, path: &Path) -> Result<Place, StoreError> {
    backend(engine).map(|backend| (backend.place)(path))
}

/// What a person who chose this engine should know before they rely on it.
#[must_use]
pub fn advice(engine: Engine) -> Option<String> {
    let Engine::Embedded(engine) = engine else { return None };
    let About { engine: name, page, not_recommended } = backend(engine).ok()?.about;
    not_recommended.map(|_| format!("{name} is supported, not recommended; {page} says why"))
}

/// Why an engine is not recommended; nothing for one that is, or that is not compiled in.
#[must_use]
pub fn not_recommended(engine: EmbeddedEngine) -> Option<&'static str> {
    backend(engine).ok()?.about.not_recommended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_configured_under_the_name_that_it_has_for_itself() {
        for (engine, Backend { about, .. }) in BACKENDS {
            assert_eq!(engine.name(), about.engine);
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(about.page);
            assert!(page.is_file(), "{}", page.display());
        }
    }
}
