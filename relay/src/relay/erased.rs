//! The relay over a store whose type is erased. It is compiled here, once, and not again in each program that chooses its
//! store when it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use slipstream_store::MessageStore;
use tokio_util::sync::CancellationToken;

use super::{Relay, RelayError, Settings};
use crate::clock::Clock;
use crate::link::Connector;
use crate::listen::{Authorizer, Listener};

/// The code of a future is compiled where it is polled or, as here, where its type is erased.
type Compiled<T> = Pin<Box<dyn Future<Output = Result<T, RelayError>> + Send>>;

impl Relay<dyn MessageStore> {
    /// As [`open`](Self::open), compiled in this crate.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[must_use = "nothing is opened before it is awaited"]
    pub fn open_erased(store: Arc<dyn MessageStore>, settings: Settings, clock: Arc<dyn Clock>) -> Compiled<Self> {
        Box::pin(Self::open(store, settings, clock))
    }

    /// As [`run`](Self::run), compiled in this crate.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancellation
    /// As [`run`](Self::run).
    #[must_use = "nothing runs before it is awaited"]
    pub fn run_erased(
        self,
        listener: Option<Box<dyn Listener>>,
        authorizer: Arc<dyn Authorizer>,
        connector: Arc<dyn Connector>,
        shutdown: CancellationToken,
    ) -> Compiled<()> {
        Box::pin(self.run(listener, authorizer, connector, shutdown))
    }
}
