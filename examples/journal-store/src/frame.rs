//! Frames: how entries stand in the file, and how whole, torn and damaged ones are told apart.
//!
//! The file begins with eight bytes that say what it is. Then follow frames: the length of the body (4 bytes), the
//! checksum of the body (4), how far the file had been synced (8), the checksum of these sixteen bytes (4), and the
//! body, which is the format's number and one entry. Checksums are CRC-32; numbers are little-endian.
//!
//! What was written and not yet synced when the power went may be there, or not, or in part and in any order: such a
//! frame is *torn*, nobody was told that it is there, and it is dropped with all behind it. What was synced and is not
//! right is *damaged*, and the store is not opened. The frames behind tell the two apart: they say what had been
//! synced when they were written.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use slipstream_store::{Result, StoreError};

use crate::codec::Encode;
use crate::entry::Entry;
use crate::fault;

/// What the file begins with.
pub(crate) const MAGIC: [u8; 8] = *b"slipjrnl";

/// The format of the entries.
const FORMAT: u8 = 4;

const HEADER: usize = 20;

/// Appends an entry as a frame of a file that is synced up to `synced`.
pub(crate) fn encode(entry: &Entry, synced: u64, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    out.push(FORMAT);
    entry.encode(out)?;
    let (header, body) = out[start..].split_at_mut(HEADER);
    let Ok(length) = u32::try_from(body.len()) else {
        return Err(StoreError::Unsupported(format!("a batch of {} bytes; a frame holds up to 4 GiB", body.len())));
    };
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..8].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    header[8..16].copy_from_slice(&synced.to_le_bytes());
    let checksum = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// The header that stands at the front, if one does.
#[derive(Clone, Copy)]
struct Header {
    length: u32,
    checksum: u32,
    synced: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut input, checked) = (bytes, bytes.get(..16)?);
        let header = Self {
            length: Encode::decode(&mut input).ok()?,
            checksum: Encode::decode(&mut input).ok()?,
            synced: Encode::decode(&mut input).ok()?,
        };
        (u32::decode(&mut input).ok()? == crc32fast::hash(checked)).then_some(header)
    }
}

/// Reads the frames of a file, one after the other.
pub(crate) struct Frames {
    path: PathBuf,
    file: BufReader<File>,
    /// Where the next frame begins, and where the file ends.
    at: u64,
    end: u64,
    body: Vec<u8>,
}

impl Frames {
    /// Opens the file and looks at its first bytes. A file that is not there is an error of its own kind, for the
    /// caller to tell apart.
    pub(crate) fn open(path: &Path) -> io::Result<Result<Self>> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut magic = [0; MAGIC.len()];
        let read = file.read_exact(&mut magic);
        if read.is_err() || magic != MAGIC {
            let what = format!("{}: expected a journal, which begins with \"slipjrnl\"", path.display());
            return Ok(Err(StoreError::Corrupted(what)));
        }
        Ok(Ok(Self { path: path.to_owned(), file, at: MAGIC.len() as u64, end, body: Vec::new() }))
    }

    /// The next entry; none behind the last whole frame.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let left = self.end - self.at;
        let mut header = [0; HEADER];
        if left < HEADER as u64 {
            return Ok(None);
        }
        self.file.read_exact(&mut header).map_err(|error| fault("reading", &self.path, &error))?;
        let Some(header) = Header::read(&header) else { return self.torn_or_damaged("its header") };
        if left - (HEADER as u64) < u64::from(header.length) {
            return self.torn_or_damaged("its length");
        }
        self.body.resize(header.length as usize, 0);
        self.file.read_exact(&mut self.body).map_err(|error| fault("reading", &self.path, &error))?;
        if crc32fast::hash(&self.body) != header.checksum {
            return self.torn_or_damaged("its body");
        }
        let entry = self.entry()?;
        self.at += HEADER as u64 + u64::from(header.length);
        Ok(Some(entry))
    }

    /// The frame is not as it was written: torn, unless a later one knows that it had been synced.
    fn torn_or_damaged(&mut self, what: &str) -> Result<Option<Entry>> {
        let mut rest = Vec::new();
        let read = self.file.seek(SeekFrom::Start(self.at)).and_then(|_| self.file.read_to_end(&mut rest));
        read.map_err(|error| fault("reading", &self.path, &error))?;
        let knows = |(behind, bytes): (usize, &[u8])| {
            let possible = self.at + 1..=self.at + behind as u64;
            Header::read(bytes).is_some_and(|header| possible.contains(&header.synced))
        };
        if rest.windows(HEADER).enumerate().any(knows) { Err(self.damage(what)) } else { Ok(None) }
    }

    fn entry(&self) -> Result<Entry> {
        let Some((&format, mut rest)) = self.body.split_first() else {
            return Err(self.damage("its body, which is empty"));
        };
        if format != FORMAT {
            let what = format!("{}: frames of format {format}, expected {FORMAT}", self.path.display());
            return Err(StoreError::Unsupported(what));
        }
        let entry = Entry::decode(&mut rest).map_err(|error| self.damage(&error.to_string()))?;
        if rest.is_empty() { Ok(entry) } else { Err(self.damage("what follows its entry")) }
    }

    fn damage(&self, what: &str) -> StoreError {
        StoreError::Corrupted(format!("{}: the frame at byte {} is damaged, in {what}", self.path.display(), self.at))
    }

    /// Where the last whole frame ends, and whether something stands behind it.
    pub(crate) fn end(&self) -> (u64, bool) {
        (self.at, self.at < self.end)
    }
}
