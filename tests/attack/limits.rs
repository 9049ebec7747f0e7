//! The limits that the relay is given, and what it may take with them.
//!
//! They are small, so that a leak shows early. What cannot be set stands here as it does in the relay.

/// The addresses from which an attacker comes who has only a few.
pub(super) const ADDRESSES: u8 = 3;

/// Connections of one address, and all of them. An attacker with few addresses cannot have all.
const PER_ADDRESS: u64 = 4;
const LINKS: u64 = PER_ADDRESS * ADDRESSES as u64 + 4;

/// `SLIPSTREAM_MAX_MESSAGE_BYTES`.
pub(super) const MESSAGE_BYTES: usize = 16 << 10;

/// `SLIPSTREAM_DEDUP_MAX`.
pub(super) const IDENTITIES: u64 = 10_000;

/// Connections that are heard although there is no room: of all, and of one address (`max_beyond`).
const WAITING: u64 = 256;
const WAITING_PER_ADDRESS: u64 = 16;

/// Connections that an attacker may have at a time, who has few addresses, who has many or is a trusted proxy, and at the
/// admin port.
pub(super) const FEW: u64 = (PER_ADDRESS + WAITING_PER_ADDRESS) * ADDRESSES as u64;
pub(super) const MANY: u64 = LINKS + WAITING;
pub(super) const AT_ADMIN: u64 = 64;

/// The flags of the relay.
pub(crate) fn flags() -> Vec<String> {
    [
        format!("--max-connections={LINKS}"),
        format!("--max-connections-per-address={PER_ADDRESS}"),
        format!("--max-message-bytes={MESSAGE_BYTES}"),
        format!("--dedup-max={IDENTITIES}"),
        "--window-bytes=64KiB".to_owned(),
        "--max-backlog=1000".to_owned(),
        "--trace-retention=0".to_owned(),
        "--peer-ttl=2s".to_owned(),
        "--handshake-timeout=2s".to_owned(),
        "--heartbeat=1s".to_owned(),
        "--idle-timeout=4s".to_owned(),
        "--ack-timeout=2s".to_owned(),
    ]
    .to_vec()
}

/// The most memory that the relay may have resident beyond what it had before, in bytes, for an attacker who may have so
/// many connections.
///
/// Each summand is a limit of the relay times what one of its items costs. They are never all reached together, so a
/// relay that keeps its limits stays far below.
pub(super) fn memory(connections: u64) -> u64 {
    const KIB: u64 = 1 << 10;
    let message = MESSAGE_BYTES as u64;
    // The parser's buffer, the fragments so far, and the text that waits to be taken in.
    let read = 3 * message;
    // A batch of frames, and what rustls holds back of it.
    let written = 2 * (64 * KIB + message);
    // `unanswered`: answers to 4,096 messages, each with an identity and a reason.
    let answers = 4_096 * KIB / 2;
    // `lane_bytes`, and what is in flight.
    let lane = 512 * KIB + 64 * KIB;
    let link = read + written + answers + lane;
    // A request's head twice, as bytes and as headers, and a record of TLS in each direction.
    let handshake = 2 * 16 * KIB + 2 * 17 * KIB;
    // `commit_queue_bytes`, and what the engine makes of it.
    let commits = 2 * 16 * KIB * KIB;
    let identities = IDENTITIES * 300;
    connections.min(LINKS) * link + connections * handshake + commits + identities
}

/// The most files that the relay may have open beyond those that it had before: the attacker's connections, those of the
/// good peers that come meanwhile, and some for a moment, such as connections that were ended and are not closed yet.
pub(super) fn files(connections: u64) -> usize {
    usize::try_from(connections + 16).expect("a small number")
}

/// How much more memory may be resident once the attacker has left. It is what the allocator keeps: after 40 s at the
/// listener, 23 MB of the 30 MB in its arenas were free.
pub(super) const REMAINS: u64 = 32 << 20;
