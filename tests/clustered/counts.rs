//! What happened in a run, for its end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What happened.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) confirmed: u64,
    pub(crate) delivered: u64,
    /// Deliveries that came again, on another link.
    pub(crate) again: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    /// Messages that came after later ones of their sender, because they were refused, or their link was lost while they
    /// and later ones were not confirmed.
    pub(crate) late_after_refusal: u64,
    pub(crate) late_after_lost_link: u64,
    pub(crate) links: u64,
    pub(crate) takeovers: u64,
    pub(crate) absences: u64,
    /// How links ended, by their code.
    pub(crate) ends: BTreeMap<u16, u64>,
    /// What came on a link after a later one was served.
    pub(crate) on_former_links: u64,
    pub(crate) latest_on_former_link: Duration,
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confirmed, delivered, again, refused, links, takeovers, absences, ends, faults, .. } = self;
        writeln!(f, "  messages: {confirmed} confirmed, {delivered} delivered, {again} of them again")?;
        writeln!(f, "  refused for now: {refused:?}")?;
        writeln!(
            f,
            "  after later ones of their sender: {} that were refused before, {} of a lost link",
            self.late_after_refusal, self.late_after_lost_link
        )?;
        writeln!(
            f,
            "  links: {links}, {takeovers} of them over another; {absences} absences; ended by code: {ends:?}"
        )?;
        writeln!(
            f,
            "  on former links: {}, the latest {:?} after the next was served",
            self.on_former_links, self.latest_on_former_link
        )?;
        write!(f, "  faults: {faults:?}")
    }
}
