//! The statements, once for each table.

use slipstream_embedded::Table;

/// The statements of one table.
pub(crate) struct Sql {
    pub(crate) get: &'static str,
    pub(crate) scan: &'static str,
    pub(crate) put: &'static str,
    pub(crate) remove: &'static str,
}

macro_rules! sql {
    ($table:literal) => {
        Sql {
            get: concat!("SELECT value FROM ", $table, " WHERE key = ?1"),
            scan: concat!("SELECT key, value FROM ", $table, " WHERE key >= ?1 AND key <= ?2 ORDER BY key"),
            put: concat!("INSERT OR REPLACE INTO ", $table, " (key, value) VALUES (?1, ?2)"),
            remove: concat!("DELETE FROM ", $table, " WHERE key = ?1"),
        }
    };
}

/// The statements of this table.
pub(crate) fn of(table: Table) -> &'static Sql {
    match table {
        Table::Packs => &sql!("packs"),
        Table::Owed => &sql!("owed"),
        Table::Seen => &sql!("seen"),
        Table::Notes => &sql!("notes"),
        Table::Dead => &sql!("dead"),
        Table::Redriven => &sql!("redriven"),
        Table::Blocks => &sql!("blocks"),
        Table::Journal => &sql!("journal"),
        Table::Peers => &sql!("peers"),
        Table::Meta => &sql!("meta"),
        Table::DeadCounts => &sql!("dead_counts"),
        Table::Runs => &sql!("runs"),
    }
}

/// The messages that a store of version 1 has in rows of their own.
pub(crate) const UNPACKED: &str = "SELECT sequence, cluster_group, message_id, type, key, expires_at, received_at, \
     received_from, path, text FROM messages ORDER BY sequence";

pub(crate) const REMOVE_UNPACKED: &str = "DELETE FROM messages WHERE sequence <= ?1";

pub(crate) const ANY_UNPACKED: &str = "SELECT 1 FROM messages LIMIT 1";

pub(crate) const DROP_UNPACKED: &str = "DROP TABLE messages;";

/// The tables of a new store.
pub(crate) const SCHEMA: &str = "
CREATE TABLE owed (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE seen (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE notes (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE dead (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE redriven (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE blocks (key INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE journal (key INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE peers (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
";

/// The tables that stores of an earlier version lack.
pub(crate) const LATER_TABLES: &str = "
CREATE TABLE IF NOT EXISTS packs (key INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS dead_counts (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS runs (key INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;
";

pub(crate) const IS_TABLE: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
