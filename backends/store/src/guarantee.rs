//! What an acknowledgement from a store is worth.

use std::fmt;

/// What a commit must survive once it returned `Ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// A power cut: the commit is synced to the medium first.
    #[default]
    Full,
    /// The end of the process, however it ends, but not that of the machine.
    Relaxed,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Relaxed => "relaxed",
        })
    }
}

/// The guarantee that is in force for an open store. It is printed at the start, in `/readyz` and in
/// `slipstream status`, so it names plainly what the engine cannot keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarantee {
    /// The name of the engine, as `SLIPSTREAM_STORE` has it.
    pub engine: &'static str,
    /// What was asked for.
    pub durability: Durability,
    /// Where the engine keeps less than [`durability`](Self::durability) says, or more: what it keeps, in a sentence.
    pub caveat: Option<&'static str>,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.caveat, self.durability) {
            (Some(caveat), _) => f.write_str(caveat),
            (None, Durability::Full) => {
                f.write_str("a confirmed message survives a killed process, a crashed machine and a power cut")
            }
            (None, Durability::Relaxed) => {
                f.write_str("a confirmed message survives a killed process, not a crashed machine or a power cut")
            }
        }
    }
}
