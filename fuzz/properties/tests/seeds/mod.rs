//! The seeds of a property, and how they are changed.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestError;

/// The folder of the fuzz targets.
pub(crate) fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The seeds of a property, and its words.
pub(crate) struct Seeds {
    seeds: Vec<(PathBuf, Vec<u8>)>,
    words: Vec<Vec<u8>>,
}

/// One change of a seed.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Another byte.
    Byte(Index, u8),
    /// So many bytes are left out.
    Left(Index, usize),
    /// A word of the dictionary is put in.
    Word(Index, Index),
    /// So many bytes stand a second time.
    Twice(Index, usize, Index),
    /// From here on it is another seed.
    Other(Index, Index, Index),
    /// It ends here.
    End(Index),
}

impl Change {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let at = any::<Index>;
        prop_oneof![
            3 => (at(), any::<u8>()).prop_map(|(at, byte)| Self::Byte(at, byte)),
            2 => (at(), 1..20_usize).prop_map(|(at, count)| Self::Left(at, count)),
            4 => (at(), at()).prop_map(|(at, word)| Self::Word(at, word)),
            2 => (at(), 1..60_usize, at()).prop_map(|(at, count, to)| Self::Twice(at, count, to)),
            1 => (at(), at(), at()).prop_map(|(at, seed, from)| Self::Other(at, seed, from)),
            1 => at().prop_map(Self::End),
        ]
    }
}

impl Seeds {
    pub(crate) fn of(name: &str) -> Self {
        let files = fs::read_dir(folder().join("corpus-seeds").join(name)).expect("a folder of seeds");
        let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{name} has no seeds");
        let seeds = paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a seed"))).collect();
        let words = fs::read_to_string(folder().join(format!("dictionaries/{name}.dict"))).expect("a dictionary");
        Self { seeds, words: words.lines().map(word).collect() }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.seeds.iter().map(|(path, seed)| (path.as_path(), seed.as_slice()))
    }

    /// The seed with these changes.
    pub(crate) fn changed(&self, seed: Index, changes: &[Change]) -> Vec<u8> {
        let mut bytes = seed.get(&self.seeds).1.clone();
        for change in changes {
            let length = bytes.len();
            let at = |index: &Index| index.index(length + 1);
            match change {
                Change::Byte(index, byte) => {
                    let at = at(index);
                    bytes.splice(at..(at + 1).min(length), [*byte]);
                }
                Change::Left(index, count) => {
                    let from = at(index);
                    bytes.drain(from..(from + count).min(length));
                }
                Change::Word(index, word) => {
                    let at = at(index);
                    bytes.splice(at..at, word.get(&self.words).iter().copied());
                }
                Change::Twice(index, count, to) => {
                    let (from, to) = (at(index), at(to));
                    let again = bytes[from..(from + count).min(length)].to_vec();
                    bytes.splice(to..to, again);
                }
                Change::Other(index, seed, from) => {
                    bytes.truncate(at(index));
                    let other = &seed.get(&self.seeds).1;
                    bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
                }
                Change::End(index) => bytes.truncate(at(index)),
            }
        }
        bytes
    }

    /// The input with which a property failed, to be kept as a seed.
    pub(crate) fn told(&self, failed: &TestError<(Index, Vec<Change>)>) -> String {
        match failed {
            TestError::Fail(_, (seed, changes)) => self.changed(*seed, changes).escape_ascii().to_string(),
            TestError::Abort(_) => String::new(),
        }
    }
}

/// A word as a dictionary of libFuzzer writes it.
fn word(line: &str) -> Vec<u8> {
    let quoted = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("a quoted word");
    let (mut bytes, mut rest) = (Vec::new(), quoted.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        match after {
            [b'x', digits @ ..] if byte == b'\\' => {
                let hex = std::str::from_utf8(&digits[..2]).expect("two digits");
                bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
                rest = &digits[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}
