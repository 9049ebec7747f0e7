//! The values of labels. They stay bounded: custom types count under one value, and so do anonymous peers.

use slipstream_store::PeerKind;

/// What custom types count under.
pub(super) const CUSTOM: &str = "custom";

/// What anonymous peers count under.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// What the peers count under that have no series of their own. No peer has it for an id.
pub(crate) const REST: &str = "(rest)";

/// The types that have a label of their own.
pub(super) const TYPES: [&str; 7] = ["SK", "SA", "SW", "GK", "GA", "GW", "CMD"];

/// How a delivery ends.
pub(super) const OUTCOMES: [&str; 5] = ["acknowledged", "superseded", "expired", "dead", "forgotten"];

/// Why one is given up: every [class](slipstream_store::DeadLetterReason::class).
pub(super) const REASONS: [&str; 6] = ["unacknowledged", "too_large", "backlog", "poison", "rejected", "other"];

/// Why a connection is turned away for want of room.
pub(super) const NO_ROOM: [&str; 4] = ["accept", "no_room", "max_connections", "max_connections_per_address"];

/// A kind of peer.
pub(crate) const fn kind_label(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Application => "application",
        PeerKind::Relay => "relay",
    }
}
