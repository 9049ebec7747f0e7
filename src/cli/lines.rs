//! The lines of an input, each bounded in length.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// Longest line: the largest message that a relay can be configured to take.
pub(super) const MAX_LINE_BYTES: u64 = 256 * 1024 * 1024;

/// What some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Opens a file that is read.
///
/// # Errors
/// In words that have its path and what was expected.
pub(super) fn open(path: &Path) -> Result<File, String> {
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    opened.map_err(|error| format!("expected a file that can be read, {}: {error}", path.display()))
}

/// Reads lines that end in `\n` or `\r\n`; the last one may end without.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: BufReader<R>,
    number: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::new(input), number: 0 }
    }

    /// The next line without its end, or `None` where there is no more.
    ///
    /// # Errors
    /// Where the input cannot be read, or a line is too long or not UTF-8; the error has its number.
    pub(super) async fn next(&mut self) -> io::Result<Option<String>> {
        self.number += 1;
        let mut line = Vec::new();
        (&mut self.input).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err(self.fault(&format!("is longer than {MAX_LINE_BYTES} bytes")));
        }
        if line.ends_with(b"\n") {
            line.truncate(line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 });
        }
        if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        String::from_utf8(line).map(Some).map_err(|error| self.fault(&error.to_string()))
    }

    /// The number of the line that came last, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether another line is here already, so that there is no waiting for it.
    pub(super) fn has_another(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    fn fault(&self, problem: &str) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, format!("line {}: {problem}", self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_without_their_ends() {
        let mut lines = Lines::new(&b"\xEF\xBB\xBFa\r\n\n b \nlast"[..]);
        assert!(!lines.has_another(), "nothing was read yet");
        assert_eq!(lines.next().await.expect("read").as_deref(), Some("a"));
        assert!(lines.has_another());
        assert_eq!(lines.next().await.expect("read").as_deref(), Some(""));
        assert_eq!(lines.next().await.expect("read").as_deref(), Some(" b "));
        assert!(!lines.has_another(), "the last line may go on");
        assert_eq!(lines.next().await.expect("read").as_deref(), Some("last"));
        assert_eq!(lines.next().await.expect("read"), None);
    }

    #[tokio::test]
    async fn a_line_that_is_not_text_is_named() {
        let mut lines = Lines::new(&b"a\n\xff\n"[..]);
        lines.next().await.expect("read");
        assert!(lines.next().await.expect_err("refused").to_string().starts_with("line 2: "));
    }
}
