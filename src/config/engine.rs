//! The storage engines by name, whether or not they are compiled in.

use std::fmt;

use super::nearest::nearest;
use super::value::choice;

/// A storage engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One that keeps a store in files of this machine, for one process.
    Embedded(EmbeddedEngine),
    /// PostgreSQL, whose store several processes share.
    Postgres,
}

/// A storage engine that keeps a store in files of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedEngine {
    /// SQLite.
    Sqlite,
    /// redb.
    Redb,
    /// LMDB.
    Lmdb,
    /// sled.
    Sled,
}

impl Engine {
    /// Every engine that has a name, the preferred one first.
    pub const ALL: [Self; 5] = [
        Self::Embedded(EmbeddedEngine::Sqlite),
        Self::Embedded(EmbeddedEngine::Redb),
        Self::Embedded(EmbeddedEngine::Lmdb),
        Self::Embedded(EmbeddedEngine::Sled),
        Self::Postgres,
    ];

    /// The name, which is the cargo feature's too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded(engine) => engine.name(),
            Self::Postgres => "postgres",
        }
    }

    /// What is told to a person who wants it where it is not compiled in.
    #[must_use]
    pub fn not_compiled_in(self) -> String {
        format!("`{self}` is not compiled into this program: it wants the cargo feature `{self}`")
    }
}

impl EmbeddedEngine {
    /// The name, which is the cargo feature's too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redb => "redb",
            Self::Lmdb => "lmdb",
            Self::Sled => "sled",
        }
    }
}

impl From<EmbeddedEngine> for Engine {
    fn from(engine: EmbeddedEngine) -> Self {
        Self::Embedded(engine)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for EmbeddedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the name of an engine.
///
/// # Errors
/// Which were expected, and which of them may have been meant.
pub(crate) fn engine(text: &str) -> Result<Engine, String> {
    /// So many letters at the start are not shared by chance: `sqlight`.
    const START: usize = 4;
    choice(text, &Engine::ALL.map(|each| (each.name(), each))).map_err(|names| {
        let engines = Engine::ALL.map(Engine::name);
        let alike = || {
            let start = text.get(..START)?;
            engines.into_iter().find(|engine| engine.get(..START).is_some_and(|its| its.eq_ignore_ascii_case(start)))
        };
        match nearest(text, engines).or_else(alike) {
            Some(near) => format!("{names}; did you mean `{near}`?"),
            None => names,
        }
    })
}

/// As [`engine`], of those that keep a store in files.
///
/// # Errors
/// As [`engine`].
pub(crate) fn embedded_engine(text: &str) -> Result<EmbeddedEngine, String> {
    match engine(text)? {
        Engine::Embedded(engine) => Ok(engine),
        Engine::Postgres => Err("an engine that keeps its store in files of this machine".to_owned()),
    }
}
