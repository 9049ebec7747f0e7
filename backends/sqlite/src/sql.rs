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

/// The texts in the packs, for people. How a pack is laid out is said in `slipstream-embedded`, `rows/pack.rs`: its third
/// byte ends the number of messages, of which each has six bytes that say by how much its sequence is above the key, and
/// where its text begins. A byte is the number of bytes before it in the list of all.
pub(crate) const VIEW: &str = "
CREATE VIEW messages (sequence, text) AS
WITH RECURSIVE
  bytes (list) AS (SELECT x'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF'),
  numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1023),
  counted (key, value, count) AS (
    SELECT key, value, 256 * (instr(list, substr(value, 2, 1)) - 1) + instr(list, substr(value, 3, 1)) - 1
    FROM packs, bytes),
  entries (key, value, last, n, at) AS (
    SELECT key, value, count - 1, n, 4 + 6 * n FROM counted JOIN numbers ON n < count),
  places (key, value, above, begins, ends) AS (
    SELECT key, value,
      256 * (instr(list, substr(value, at, 1)) - 1) + instr(list, substr(value, at + 1, 1)) - 1,
      16777216 * (instr(list, substr(value, at + 2, 1)) - 1) + 65536 * (instr(list, substr(value, at + 3, 1)) - 1)
        + 256 * (instr(list, substr(value, at + 4, 1)) - 1) + instr(list, substr(value, at + 5, 1)) - 1,
      CASE n WHEN last THEN length(value) ELSE
        16777216 * (instr(list, substr(value, at + 8, 1)) - 1) + 65536 * (instr(list, substr(value, at + 9, 1)) - 1)
        + 256 * (instr(list, substr(value, at + 10, 1)) - 1) + instr(list, substr(value, at + 11, 1)) - 1 END
    FROM entries, bytes)
SELECT key + above, CAST(substr(value, begins + 1, ends - begins) AS TEXT) FROM places;
";

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
