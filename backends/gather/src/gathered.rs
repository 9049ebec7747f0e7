//! Writes that continue each other, held back as one.

/// Most bytes that are held back: SQLite's VFS for Unix hands no more to one system call (it takes the length of a write
/// modulo 128 KiB, and what is left at 0 for a full disk).
pub const LIMIT: usize = (128 << 10) - 1;

/// Bytes that belong to one place of a file and are not there yet.
#[derive(Debug)]
pub(crate) struct Gathered {
    start: i64,
    bytes: Vec<u8>,
}

impl Gathered {
    /// Has all its memory from the beginning; `None` if there is not so much.
    pub(crate) fn new() -> Option<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(LIMIT).ok()?;
        Some(Self { start: 0, bytes })
    }

    /// Holds a write back too, unless it does not continue what is held back or would be too much.
    pub(crate) fn add(&mut self, at: i64, bytes: &[u8]) -> bool {
        if self.bytes.is_empty() {
            self.start = at;
        }
        let fits = at == self.end() && bytes.len() <= LIMIT - self.bytes.len();
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Whether some of the bytes from `at` on are held back.
    pub(crate) fn overlaps(&self, at: i64, length: i64) -> bool {
        at < self.end() && self.start < at.saturating_add(length)
    }

    /// Where what is held back begins in the file, and what it is.
    pub(crate) fn parts(&self) -> (i64, &[u8]) {
        (self.start, &self.bytes)
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    fn end(&self) -> i64 {
        // It is less than 2¹⁷.
        self.start.saturating_add(i64::try_from(self.bytes.len()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_continues_is_held_back() {
        let mut gathered = Gathered::new().unwrap();
        assert!(!gathered.overlaps(0, i64::MAX));
        assert!(gathered.add(100, b"head"));
        assert!(!gathered.add(0, b"elsewhere"));
        assert!(!gathered.add(100, b"again"));
        assert!(gathered.add(104, b"page"));
        assert_eq!(gathered.parts(), (100, &b"headpage"[..]));
        assert!(gathered.overlaps(107, 1) && gathered.overlaps(90, 11));
        assert!(!gathered.overlaps(108, 1) && !gathered.overlaps(90, 10));
        gathered.clear();
        assert!(gathered.add(7, b"anew"));
        assert_eq!(gathered.parts(), (7, &b"anew"[..]));
    }

    #[test]
    fn no_more_than_the_limit_is_held_back() {
        let mut gathered = Gathered::new().unwrap();
        let room = gathered.bytes.capacity();
        assert!(!gathered.add(0, &vec![1; LIMIT + 1]));
        assert!(gathered.add(0, &vec![1; LIMIT - 1]));
        assert!(!gathered.add(gathered.end(), &[2; 2]));
        assert!(gathered.add(gathered.end(), &[2]));
        assert_eq!((gathered.parts().1.len(), gathered.bytes.capacity()), (LIMIT, room));
    }
}
