//! Which opening of a store its data belong to, and whether that opening ended in order.
//!
//! Each opening that writes has a number, drawn at random. It stands in two places: in the data, as their *label*, and in
//! the lock file beside them, as the *marker* ([`Marker`](crate::Marker)). Together they tell a store that crashed where
//! it is from data that were copied, exchanged or taken without their log.

use std::hash::{BuildHasher as _, RandomState};

/// The number of an opening, and whether it is over: everything is in the data, and no log counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    number: u64,
    is_over: bool,
}

/// What data say of the opening that they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// It cannot be read.
    Unreadable,
    /// Nothing: the store is new, or was last written by a version that had no labels.
    Missing,
    /// This opening.
    Of(Opening),
}

impl Opening {
    /// A new opening, which is not over. It shows in no result of a store (clause C10).
    #[must_use]
    pub fn begin() -> Self {
        // The keys of the hasher are the system's randomness.
        Self { number: RandomState::new().hash_one(()) >> 2, is_over: false }
    }

    /// One that began and ended at once: that of a backup.
    #[must_use]
    pub fn of_a_copy() -> Self {
        Self::begin().over()
    }

    /// The same one, over.
    #[must_use]
    pub const fn over(self) -> Self {
        Self { is_over: true, ..self }
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_over(self) -> bool {
        self.is_over
    }

    /// As one number below 2⁶³, which every engine can keep.
    #[must_use]
    pub const fn code(self) -> u64 {
        (self.number << 1) | self.is_over as u64
    }

    /// What [`code`](Self::code) gave.
    #[must_use]
    pub const fn from_code(code: u64) -> Self {
        Self { number: code >> 1, is_over: code & 1 == 1 }
    }

    pub(crate) const fn is_same(self, other: Self) -> bool {
        self.number == other.number
    }
}

/// What the marker says of an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is about to write its label.
    Beginning,
    /// Its label is in the data, and it may have committed.
    Open,
    /// It ended in order: there is no log.
    Closed,
    /// Somebody takes what was copied as it is.
    Salvage,
}

/// Why data are not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// A log lies beside data that it does not belong to.
    StrayLog,
    /// The data want their log, and it is not there.
    LogMissing,
    /// The data are a copy that was made of an open store.
    CopiedOpen,
}

/// What is found where a store is to be opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Findings {
    /// The marker, if there is one.
    pub(crate) marker: Option<(State, Opening)>,
    /// The label in the data.
    pub(crate) label: Label,
    /// Whether the data are the very files that the marker was written for, as far as can be told.
    pub(crate) are_same_files: bool,
    /// Whether there is a log; nothing for an engine without one.
    pub(crate) log: Option<bool>,
}

impl Findings {
    /// Whether this is a store that was closed in order, or one that crashed here.
    pub(crate) fn judge(self) -> Result<(), Mismatch> {
        let has_log = self.log == Some(true);
        let is_open = matches!(self.label, Label::Of(label) if !label.is_over());
        let at_rest = match (is_open, has_log) {
            (true, _) => Err(Mismatch::CopiedOpen),
            (false, true) => Err(Mismatch::StrayLog),
            (false, false) => Ok(()),
        };
        let crashed_here = match (is_open, self.log) {
            (true, Some(false)) => Err(Mismatch::LogMissing),
            _ => Ok(()),
        };
        let belongs = |opening: Opening| match self.label {
            Label::Unreadable => true,
            Label::Missing => false,
            Label::Of(label) => label.is_same(opening),
        };
        match self.marker {
            // The store of a version without markers, or a backup, which stands for itself.
            None if self.label == Label::Missing || self.label == Label::Unreadable => Ok(()),
            None if is_open && self.log == Some(false) => Err(Mismatch::LogMissing),
            None | Some((State::Closed, _)) => at_rest,
            Some((State::Salvage, _)) => Ok(()),
            Some(_) if !self.are_same_files && self.label == Label::Unreadable => Err(Mismatch::CopiedOpen),
            Some(_) if !self.are_same_files => at_rest,
            Some((State::Beginning, _)) => crashed_here,
            Some((State::Open, opening)) if belongs(opening) => crashed_here,
            Some((State::Open, _)) => at_rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the mark says, the label in the data, whether there is a log, whether it is the one that was marked, and what
    /// comes of it.
    type Case = (Option<State>, Label, bool, Option<bool>, Result<(), Mismatch>);

    #[test]
    fn an_opening_is_one_number_and_no_other_ones() {
        let (one, other) = (Opening::begin(), Opening::begin());
        assert!(!one.is_same(other) && one.is_same(one.over()) && one != one.over());
        for opening in [one, one.over(), other] {
            assert!(opening.code() < 1 << 63);
            assert_eq!(Opening::from_code(opening.code()), opening);
        }
    }

    #[test]
    fn a_store_that_crashed_here_opens_and_what_was_copied_open_does_not() {
        let (this, other) = (Opening::begin(), Opening::begin());
        let (open, over) = (Label::Of(this), Label::Of(this.over()));
        let (elses, copy) = (Label::Of(other), Label::Of(Opening::of_a_copy()));
        let cases: [Case; 31] = [
            // A crash anywhere between opening and closing.
            (None, Label::Missing, true, Some(true), Ok(())),
            (Some(State::Beginning), Label::Missing, true, Some(true), Ok(())),
            (Some(State::Beginning), open, true, Some(true), Ok(())),
            (Some(State::Beginning), copy, true, Some(false), Ok(())),
            (Some(State::Open), open, true, Some(true), Ok(())),
            (Some(State::Open), open, true, None, Ok(())),
            (Some(State::Open), Label::Unreadable, true, Some(true), Ok(())),
            (Some(State::Open), over, true, Some(true), Ok(())),
            (Some(State::Open), over, true, Some(false), Ok(())),
            (Some(State::Closed), over, true, Some(false), Ok(())),
            (Some(State::Closed), over, false, None, Ok(())),
            // A store that was closed in order, or a backup, in the place of another.
            (None, copy, false, Some(false), Ok(())),
            (Some(State::Open), copy, true, Some(false), Ok(())),
            (Some(State::Open), copy, false, None, Ok(())),
            (Some(State::Open), over, false, Some(false), Ok(())),
            (Some(State::Closed), copy, false, Some(false), Ok(())),
            (Some(State::Open), Label::Missing, false, Some(false), Ok(())),
            // With the log of another.
            (None, copy, false, Some(true), Err(Mismatch::StrayLog)),
            (Some(State::Open), copy, true, Some(true), Err(Mismatch::StrayLog)),
            (Some(State::Open), over, false, Some(true), Err(Mismatch::StrayLog)),
            (Some(State::Open), Label::Missing, true, Some(true), Err(Mismatch::StrayLog)),
            (Some(State::Closed), over, true, Some(true), Err(Mismatch::StrayLog)),
            // Copied while it was open, whole or in part.
            (None, open, false, Some(false), Err(Mismatch::LogMissing)),
            (None, open, false, Some(true), Err(Mismatch::CopiedOpen)),
            (None, open, false, None, Err(Mismatch::CopiedOpen)),
            (Some(State::Open), open, false, Some(true), Err(Mismatch::CopiedOpen)),
            (Some(State::Open), Label::Unreadable, false, None, Err(Mismatch::CopiedOpen)),
            (Some(State::Closed), open, false, None, Err(Mismatch::CopiedOpen)),
            (Some(State::Open), elses, true, Some(true), Err(Mismatch::CopiedOpen)),
            (Some(State::Open), elses, true, None, Err(Mismatch::CopiedOpen)),
            (Some(State::Open), open, true, Some(false), Err(Mismatch::LogMissing)),
        ];
        for (state, label, are_same_files, log, expected) in cases {
            let findings = Findings { marker: state.map(|state| (state, this)), label, are_same_files, log };
            assert_eq!(findings.judge(), expected, "{findings:?}");
        }
    }
}
