//! A link of a load from its connection to its Close.

use std::sync::Arc;

use slipstream_relay::client::{self, ClientOptions};
use slipstream_relay::link::{self, Announced, CloseCode, Ended, Inbox, LinkControl, LinkLimits, Outbound, Role};
use tokio::task::JoinHandle;

use crate::load::error::LoadError;
use crate::load::plan::Plan;

/// A link that runs.
#[derive(Debug)]
pub(crate) struct RunningLink {
    pub(crate) name: String,
    control: LinkControl,
    pub(crate) task: JoinHandle<Ended>,
}

impl RunningLink {
    async fn close(self) -> Result<(), LoadError> {
        self.control.close(CloseCode::NORMAL, "");
        match self.task.await {
            Ok(Ended::Local { answered: true, .. }) => Ok(()),
            Ok(ended) => Err(LoadError::Link { name: self.name, ended }),
            Err(_) => Err(LoadError::Link { name: self.name, ended: Ended::Panicked }),
        }
    }
}

/// Connects one link of a load, and runs it.
pub(crate) async fn connect<I: Inbox + 'static, O: Outbound + 'static>(
    plan: &Plan,
    name: String,
    options: ClientOptions,
    inbox: I,
    outbound: Arc<O>,
) -> Result<(RunningLink, Announced), LoadError> {
    let options = ClientOptions {
        ack_batch: plan.ack_batch.get() > 1,
        token: plan.token.clone(),
        tls: plan.tls.clone(),
        ..options
    };
    let (socket, announced) = match client::dial(&plan.to, &options).await {
        Ok(connected) => connected,
        Err(error) => return Err(LoadError::Connect { to: plan.to.clone(), name, error }),
    };
    let control = LinkControl::new();
    let limits = LinkLimits { max_message_bytes: client::MAX_MESSAGE_BYTES, ..LinkLimits::default() };
    let task = tokio::spawn(link::run(socket, Role::Client, inbox, outbound, limits, control.clone()));
    Ok((RunningLink { name, control, task }, announced))
}

pub(crate) async fn close(links: Vec<RunningLink>) -> Result<(), LoadError> {
    for link in &links {
        link.control.close(CloseCode::NORMAL, "");
    }
    for link in links {
        link.close().await?;
    }
    Ok(())
}
