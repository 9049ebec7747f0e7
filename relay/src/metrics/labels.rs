//! The values of labels. They stay bounded: custom types count under one value, and so do anonymous peers.

use slipstream_store::PeerKind;

/// What custom types count under.
pub(super) const CUSTOM: &str = "custom";

/// What anonymous peers count under.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// The types that have a label of their own.
pub(super) const TYPES: [&str; 7] = ["SK", "SA", "SW", "GK", "GA", "GW", "CMD"];

/// The classes of reasons for which a delivery is given up: what stands before the first `:` of a reason.
const DEAD_LETTER_CLASSES: [&str; 5] = ["unacknowledged", "rejected", "too_large", "backlog", "poison"];

/// The class of such a reason, `other` where it is none that is known.
pub(crate) fn class_of_dead_letter(reason: &str) -> &'static str {
    let class = reason.split(':').next().unwrap_or_default();
    DEAD_LETTER_CLASSES.into_iter().find(|known| *known == class).unwrap_or("other")
}

/// A kind of peer.
pub(crate) const fn kind_label(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Application => "application",
        PeerKind::Relay => "relay",
    }
}
