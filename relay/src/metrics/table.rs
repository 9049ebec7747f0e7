//! Every metric: its name, its labels, its unit, and what an operator is told about it. docs/configuration.md has them too.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use super::metric::Metric;

const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// The histograms and the upper bounds of their buckets.
pub const BUCKETS: [(&str, &[f64]); 3] = [
    (COMMIT_SECONDS.name, SECONDS),
    (COMMIT_OPERATIONS.name, &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0]),
    (LATENCY.name, SECONDS),
];

/// The name of every metric. Those of histograms have `_bucket`, `_sum` and `_count` behind them on the page.
pub const METRICS: [&[&str]; 2] = [COUNTED, SAMPLED];

/// Makes a constant of each metric, a list of their names, and a function that describes them to the recorder in force.
macro_rules! metrics {
    ($describe:ident $names:ident: $($metric:ident = $kind:ident $name:literal [$($label:literal),*] $($unit:ident)?, $help:literal;)+) => {
        $(pub(crate) const $metric: Metric<{ <[&str]>::len(&[$($label),*]) }> =
            Metric { name: $name, labels: [$($label),*] };)+

        const $names: &[&str] = &[$($name),+];

        pub(crate) fn $describe() {
            $($kind!($name, $(Unit::$unit,)? $help);)+
        }
    };
}

metrics! { describe_counted COUNTED:
    PROCESSED = describe_counter "slipstream_messages_processed_total" ["type", "origin"],
        "Messages recorded, by type and by whom they came from";
    REJECTED = describe_counter "slipstream_messages_rejected_total" ["code"],
        "Messages refused with a NACK, by code";
    DUPLICATE = describe_counter "slipstream_messages_duplicate_total" ["by"],
        "Messages that were recorded before, by how that was known";
    LOOPED = describe_counter "slipstream_messages_looped_total" [],
        "Messages that came back to this relay";
    UNROUTED = describe_counter "slipstream_messages_unrouted_total" [],
        "Messages that matched no peer";
    DELIVERIES = describe_counter "slipstream_deliveries_total" ["outcome"],
        "Settled deliveries, by outcome";
    DEAD_LETTERS_TOTAL = describe_counter "slipstream_dead_letters_total" ["reason"],
        "Deliveries that were given up, by the class of the reason";
    FORGOTTEN = describe_counter "slipstream_peers_forgotten_total" [],
        "Named peers that were forgotten, because they stayed away for too long";
    TAKEOVERS = describe_counter "slipstream_takeovers_total" [],
        "Links that gave way to another link of the same id";
    STRAY_ACKS = describe_counter "slipstream_stray_acks_total" [],
        "ACKs and NACKs that settle nothing or cannot be read";
    LINK_ERRORS = describe_counter "slipstream_connection_errors_total" ["reason"],
        "Links that ended with an error, handshakes that were refused and dials that failed, by reason";
    STALLED = describe_counter "slipstream_links_stalled_total" [],
        "Links that were dropped because the peer took nothing of what it was sent";
    RELOADS = describe_counter "slipstream_reloads_total" ["use", "outcome"],
        "Files of certificates or credentials that were read again, by what they are for and whether they were taken up";
    COMMIT_SECONDS = describe_histogram "slipstream_commit_seconds" [] Seconds,
        "Time of a commit";
    COMMIT_OPERATIONS = describe_histogram "slipstream_commit_operations" [],
        "Operations in a commit";
    LATENCY = describe_histogram "slipstream_message_latency_seconds" ["stage"] Seconds,
        "From reading a message to its confirm (commit) or to a peer's ACK (delivery)";
}

// What follows is looked at when the metrics page is made, so that the series of a peer leave with the peer.
metrics! { describe_sampled SAMPLED:
    READY = describe_gauge "slipstream_ready" [],
        "1 if the relay takes messages, as /readyz tells";
    ACTIVE_CONNECTIONS = describe_gauge "slipstream_active_connections" ["kind"],
        "Links, by kind of peer";
    PEERS = describe_gauge "slipstream_peers" ["link"],
        "Peers that are remembered, by whether they have a link: up or down";
    PEERS_PAUSED = describe_gauge "slipstream_peers_paused" [],
        "Peers whose deliveries are paused, with a link or without";
    PEER_UP = describe_gauge "slipstream_peer_up" ["peer"],
        "1 if the peer has a link";
    BACKLOG = describe_gauge "slipstream_backlog" ["peer"],
        "Deliveries owed to a peer, in flight ones included";
    IN_FLIGHT = describe_gauge "slipstream_inflight" ["peer"],
        "Deliveries sent to a peer and not settled";
    IN_FLIGHT_BYTES = describe_gauge "slipstream_inflight_bytes" ["peer"] Bytes,
        "Bytes of deliveries sent to a peer and not settled";
    OLDEST_DELIVERY_AGE = describe_gauge "slipstream_oldest_delivery_age_seconds" ["peer"] Seconds,
        "Since when the oldest message that a peer is owed is here; 0 where it is owed none";
    REPUBLISHES = describe_counter "slipstream_republishes_total" ["peer"],
        "Deliveries that were sent again for want of an answer, by peer";
    CIRCUIT_OPEN = describe_gauge "slipstream_circuit_open" ["peer"],
        "1 where a dialled peer failed so often that it is dialled only now and then";
    RECONNECTS = describe_counter "slipstream_reconnects_total" ["peer"],
        "Links with a dialled peer that were established again";
    DEDUP_IDENTITIES = describe_gauge "slipstream_dedup_identities" [],
        "Identities that are remembered";
    DEAD_LETTERS = describe_gauge "slipstream_dead_letters" [],
        "Dead letters";
    STORE_BYTES = describe_gauge "slipstream_store_bytes" [] Bytes,
        "Bytes that the store takes on the medium";
    STORE_FAILING = describe_gauge "slipstream_store_failing" [],
        "1 if commits fail or take too long, or the store is gone";
    STORE_DISK_LOW = describe_gauge "slipstream_store_disk_low" [],
        "1 if too little is free where the store is, so that no message is taken";
    SURVIVES_POWER_CUT = describe_gauge "slipstream_survives_power_cut" [],
        "1 if a confirmed message survives a power cut, by the guarantee in force";
    CLOCK_OFFSET = describe_gauge "slipstream_clock_offset_seconds" [] Seconds,
        "How far the time of day is ahead of the relay's time, which follows it slowly";
    STORE_FREE_BYTES = describe_gauge "slipstream_store_free_bytes" [] Bytes,
        "Bytes that are free where the store is";
    CERTIFICATE_EXPIRY = describe_gauge "slipstream_tls_certificate_expiry_seconds" ["use"] Seconds,
        "How long the certificate in force is valid, negative once it has expired; of those for dials the soonest";
    HANDSHAKES_WAITING = describe_gauge "slipstream_tls_handshakes_waiting" ["use"],
        "Handshakes of TLS that wait for their answer, by what they are for";
    UNVERIFIED_PEERS = describe_gauge "slipstream_tls_unverified_peers" [],
        "Peers that are dialled over TLS and whose certificates are not verified (rejectUnauthorized)";
    BUILD_INFO = describe_gauge "slipstream_build_info" ["version", "store"],
        "1, with the version and the store as labels";
}
