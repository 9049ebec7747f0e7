//! Why there are no figures.

use std::path::PathBuf;

use slipstream_store::{InvalidId, StoreError};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComparisonError {
    /// There is too little room. Nothing was begun.
    #[error(
        "{}: this run takes up to {needed_mb} MB, and {free_mb} MB are free: choose another --path, fewer --engines or \
         fewer --messages",
        folder.display()
    )]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What the run may take.
        needed_mb: u64,
        /// What there is.
        free_mb: u64,
    },
    /// A file or folder cannot be made, written or read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The disk, or a pipe to a worker, failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An engine could not be measured. The others can: leave it out with `--engines`.
    #[error("{engine}: {fault}")]
    Engine {
        /// Which.
        engine: &'static str,
        /// Why.
        fault: String,
    },
    /// A worker said something else than was asked. This is a defect.
    #[error("the worker: {0}")]
    Worker(String),
    /// A store answered what cannot be: it is broken.
    #[error("{0}")]
    Wrong(String),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// A name that was made here is not one. This is a defect.
    #[error(transparent)]
    Name(#[from] InvalidId),
    /// A histogram that was made here has bounds that it cannot have. This is a defect.
    #[error("the histogram: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
}
