//! Why a load did not come to its end.

use slipstream_relay::client::ConnectError;
use slipstream_relay::link::Ended;
use slipstream_store::InvalidId;

use super::plan::Impossible;

/// Why a load did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] Impossible),
    /// The relay takes no messages that are so long.
    #[error(
        "the relay takes messages of at most {limit} bytes, and these would have {bytes}: choose a smaller payload"
    )]
    TooLong {
        /// How long the messages are.
        bytes: u64,
        /// What the relay announced.
        limit: u64,
    },
    /// There is no link.
    #[error("{to}: {name} gets no link: {error}")]
    Connect {
        /// The relay.
        to: String,
        /// Whose link it was to be.
        name: String,
        /// Why.
        error: ConnectError,
    },
    /// A link ended before it was closed. What was measured until then is of no use.
    #[error("the link of {name} ended: {ended}")]
    Link {
        /// Whose link it was.
        name: String,
        /// How it ended.
        ended: Ended,
    },
    /// There is no thread that keeps the time of a schedule.
    #[error("no thread for the schedule: {0}")]
    Pacer(std::io::Error),
    /// A name that was made here is not one. This is a defect.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A histogram that was made here has bounds that it cannot have. This is a defect.
    #[error("the histogram: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
}
