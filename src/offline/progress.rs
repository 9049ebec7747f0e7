//! Telling how far work is.

/// Is told how far work is.
pub trait Progress {
    /// A stage begins, in which so many bytes are to be done where that is known.
    fn stage(&self, name: &str, bytes: Option<u64>);

    /// So many more bytes of the stage are done.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: Option<u64>) {}

    fn advance(&self, _: u64) {}
}
