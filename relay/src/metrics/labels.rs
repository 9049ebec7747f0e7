//! The values of labels. They stay bounded: custom types count under one value, and so do anonymous peers.

use slipstream_store::PeerKind;

/// What custom types count under.
pub(super) const CUSTOM: &str = "custom";

/// What anonymous peers count under.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// The types that have a label of their own.
pub(super) const TYPES: [&str; 7] = ["SK", "SA", "SW", "GK", "GA", "GW", "CMD"];

/// A kind of peer.
pub(crate) const fn kind_label(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Application => "application",
        PeerKind::Relay => "relay",
    }
}
