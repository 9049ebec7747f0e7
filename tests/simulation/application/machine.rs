//! The machine that an application runs on: run after run of it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Application;
use crate::network::{Crash, Life};

/// An application's machine, on which it runs again and again.
#[derive(Debug)]
pub(crate) struct ApplicationMachine {
    pub(crate) application: Arc<Application>,
    running: Mutex<Option<(Life, CancellationToken)>>,
    down_for: Mutex<Duration>,
}

impl ApplicationMachine {
    pub(crate) fn new(application: Arc<Application>) -> Arc<Self> {
        Arc::new(Self { application, running: Mutex::default(), down_for: Mutex::default() })
    }

    /// Runs the application again and again, until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            let life = Life::new(&self.application.plan.id);
            let crashed = CancellationToken::new();
            *self.running.lock() = Some((life.clone(), crashed.clone()));
            tokio::select! {
                biased;
                () = crashed.cancelled() => {}
                () = self.application.run(life) => {}
            }
            let down_for = *self.down_for.lock();
            sleep(down_for).await;
        }
    }

    /// Ends the application as a crash does.
    pub(crate) fn crash(&self, crash: Crash, down_for: Duration) {
        let Some((life, crashed)) = self.running.lock().take() else { return };
        let Application { plan, world, network, .. } = &*self.application;
        world.note(&plan.id, format_args!("crashes: {crash:?}, for {down_for:?}"));
        *self.down_for.lock() = down_for;
        crashed.cancel();
        network.kill(&life, Some(crash));
    }
}
