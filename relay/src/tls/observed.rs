//! What the metrics page says of certificates. Whoever has them in force calls these.

use crate::metrics::table::{CERTIFICATE_EXPIRY, HANDSHAKES_WAITING, RELOADS, UNVERIFIED_PEERS};

/// Records how long the certificate for `purpose` is still valid, with the recorder of this thread.
pub fn record_expiry(purpose: &str, seconds: f64) {
    CERTIFICATE_EXPIRY.gauge([purpose]).set(seconds);
}

/// Records how many handshakes for `purpose` wait for their answer, with the recorder of this thread.
pub fn record_waiting(purpose: &str, handshakes: u32) {
    HANDSHAKES_WAITING.gauge([purpose]).set(f64::from(handshakes));
}

/// Records how many dialled peers are not verified, with the recorder of this thread.
pub fn record_unverified(peers: u32) {
    UNVERIFIED_PEERS.gauge([]).set(f64::from(peers));
}

/// Shows that files for `purpose` may be read again, before any was, so that the first time is an increase.
pub fn count_no_reload(purpose: &str) {
    ["taken_up", "refused"].iter().for_each(|outcome| RELOADS.counter([purpose, outcome]).increment(0));
}

/// Counts that files for `purpose` were read again, and whether they were taken up.
pub fn count_reload(purpose: &str, taken_up: bool) {
    RELOADS.counter([purpose, if taken_up { "taken_up" } else { "refused" }]).increment(1);
}
