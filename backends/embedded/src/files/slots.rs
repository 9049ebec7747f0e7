//! The two slots of a marker in the lock file: what they say, and how it is written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use xxhash_rust::xxh3::xxh3_64;

use crate::files::file_id::FileId;
use crate::files::opening::{Opening, State};

/// Where the slots are: in sectors of their own, which a disk writes whole.
pub(crate) const SLOTS: [u64; 2] = [0, 512];

/// How long a slot is, in bytes.
const SLOT: usize = 256;

/// What a slot begins with.
const NAME: &str = "slipstream";

/// What a slot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The greater one counts.
    pub(crate) turn: u64,
    pub(crate) state: State,
    pub(crate) opening: Opening,
    /// The data and the log.
    pub(crate) files: [Option<FileId>; 2],
}

impl Entry {
    pub(crate) fn newest(file: &File) -> io::Result<Option<Self>> {
        let mut found = Vec::with_capacity(SLOTS.len());
        for slot in SLOTS {
            let (mut bytes, mut length) = ([0; SLOT], 0);
            while length < SLOT {
                match file.read_at(&mut bytes[length..], slot + length as u64)? {
                    0 => break,
                    read => length += read,
                }
            }
            found.extend(std::str::from_utf8(&bytes[..length]).ok().and_then(Self::parse));
        }
        Ok(found.into_iter().max_by_key(|entry| entry.turn))
    }

    pub(crate) fn slot(&self) -> Vec<u8> {
        let state = match self.state {
            State::Beginning => "beginning",
            State::Open => "open",
            State::Closed => "closed",
            State::Salvage => "salvage",
        };
        let files = self.files.map(|file| file.map_or_else(|| "-".to_owned(), FileId::text));
        let text = format!("{state} {:x} {} {}", self.opening.code(), files.join(" "), self.turn);
        let mut slot = format!("{NAME} {:016x} {text}", xxh3_64(text.as_bytes())).into_bytes();
        slot.resize(SLOT - 1, b' ');
        slot.push(b'\n');
        slot
    }

    fn parse(slot: &str) -> Option<Self> {
        let rest = slot.trim_end().strip_prefix(NAME)?.strip_prefix(' ')?;
        let (checksum, text) = rest.split_once(' ')?;
        if u64::from_str_radix(checksum, 16) != Ok(xxh3_64(text.as_bytes())) {
            return None;
        }
        let mut parts = text.split(' ');
        let state = match parts.next()? {
            "beginning" => State::Beginning,
            "open" => State::Open,
            "closed" => State::Closed,
            "salvage" => State::Salvage,
            _ => return None,
        };
        let opening = Opening::from_code(u64::from_str_radix(parts.next()?, 16).ok()?);
        let files = [FileId::parse(parts.next()?)?, FileId::parse(parts.next()?)?];
        let turn = parts.next()?.parse().ok()?;
        Some(Self { turn, state, opening, files })
    }
}
