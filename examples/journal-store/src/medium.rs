//! The three things that are done to the end of a journal. They are a trait so that a test can make them fail.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};

pub(crate) trait Medium: fmt::Debug + Send {
    /// Writes all of the bytes at the end, or a part of them where it fails.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once all that was written is on the medium.
    fn sync(&mut self) -> io::Result<()>;

    /// Takes away what stands behind this length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The file has to be opened for appending.
impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
