//! How the messages of a workload are made.

/// What a message with a value of 256 bytes takes beside it as it goes out: type, key, ids, path, cluster group.
pub const ENVELOPE_BYTES: usize = 294;

/// How the messages are made, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Peers that are there and acknowledge. A message goes to the first few of them: as many as its fan-out.
    pub recipients: usize,
    /// Bytes of the outgoing text of a message.
    pub text_bytes: usize,
    /// How many identities are remembered, in the place of a window in time.
    pub identities: u64,
    /// How much journal is kept, in bytes.
    pub trace_bytes: u64,
    /// The number of the first message. It is above those of an earlier generator over the same store.
    pub first: u64,
}

impl Default for Shape {
    /// One peer, values of 256 bytes, and so little memory that purges have work to do in a short run.
    fn default() -> Self {
        Self { recipients: 1, text_bytes: 256 + ENVELOPE_BYTES, identities: 20_000, trace_bytes: 4 << 20, first: 0 }
    }
}
