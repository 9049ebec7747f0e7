//! What an engine says of itself, and what an acknowledgement from its store is worth.

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

/// What a confirmed message survives, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Survives {
    /// Nothing: it is lost with the process.
    Nothing,
    /// The end of the process, however it ends, but not that of the machine.
    KilledProcess,
    /// Also the end of the machine, as by a power cut.
    PowerCut,
    /// Also the loss of the machine with its disk: another has a copy, which is as durable.
    LostDisk,
}

impl fmt::Display for Survives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "a confirmed message is lost with the process",
            Self::KilledProcess => {
                "a confirmed message survives a killed process, not a crashed machine or a power cut"
            }
            Self::PowerCut => "a confirmed message survives a killed process, a crashed machine and a power cut",
            Self::LostDisk => {
                "a confirmed message survives a killed process, a crashed machine, a power cut and the loss of one disk"
            }
        })
    }
}

impl Durability {
    /// What a confirmed message must survive.
    #[must_use]
    pub const fn asks_for(self) -> Survives {
        match self {
            Self::Full => Survives::PowerCut,
            Self::Relaxed => Survives::KilledProcess,
        }
    }
}

/// What an engine says of itself before a store of it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The name, as `SLIPSTREAM_STORE` has it.
    pub engine: &'static str,
    /// The page about it, such as `docs/sqlite.md`.
    pub page: &'static str,
    /// Why it is not recommended, in a few words; `None` if nothing speaks against it.
    pub not_recommended: Option<&'static str>,
}

/// The guarantee that is in force for an open store. It is printed at the start and in `/readyz`, so it names plainly
/// what the engine cannot keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarantee {
    /// The name of the engine, as `SLIPSTREAM_STORE` has it.
    pub engine: &'static str,
    /// What was asked for.
    pub durability: Durability,
    /// What is kept; it may be less, or more.
    pub survives: Survives,
    /// What there is to know besides, in words that go on after a colon.
    pub note: Option<&'static str>,
}

impl Guarantee {
    /// That of an engine which keeps what it is asked for.
    #[must_use]
    pub const fn new(engine: &'static str, durability: Durability) -> Self {
        Self { engine, durability, survives: durability.asks_for(), note: None }
    }

    /// Whether no less is kept than was asked for.
    #[must_use]
    pub fn is_as_asked(&self) -> bool {
        self.survives >= self.durability.asks_for()
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.note {
            Some(note) => write!(f, "{}: {note}", self.survives),
            None => self.survives.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_was_asked_for_is_told_from_more() {
        let keeping = |durability, survives| Guarantee { survives, ..Guarantee::new("some", durability) };
        for (durability, survives, expected) in [
            (Durability::Full, Survives::PowerCut, true),
            (Durability::Full, Survives::KilledProcess, false),
            (Durability::Relaxed, Survives::PowerCut, true),
            (Durability::Relaxed, Survives::KilledProcess, true),
            (Durability::Relaxed, Survives::Nothing, false),
        ] {
            assert_eq!(keeping(durability, survives).is_as_asked(), expected, "{durability}, {survives}");
        }
    }

    #[test]
    fn a_guarantee_says_what_is_kept_and_what_there_is_to_know() {
        let more = Guarantee {
            survives: Survives::PowerCut,
            note: Some("it syncs always"),
            ..Guarantee::new("some", Durability::Relaxed)
        };
        let text = "a confirmed message survives a killed process, a crashed machine and a power cut: it syncs always";
        assert_eq!(more.to_string(), text);
    }
}
