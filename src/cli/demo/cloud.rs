//! A relay of the demo, as the relay of a cloud: it can be killed, and started again over the store that it left.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use slipstream_store::{MessageStore, PeerId};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::admin::MetricsPage;
use crate::backend;
use crate::cli::serve::{Node, Started, named_files};
use crate::config::{self, Config, Setting, Sources};
use crate::logging::LogControl;
use crate::relay::Observer;

/// How often a start is tried: the store of a relay that was killed is free once its threads have ended.
const STARTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// What all relays of the demo share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) folder: PathBuf,
    pub(super) log: LogControl,
    pub(super) metrics: MetricsPage,
}

/// A relay.
pub(super) struct Cloud {
    pub(super) id: &'static str,
    surroundings: Surroundings,
    /// The URLs of those that it dials.
    dials: Vec<String>,
    /// Where it is, once it was started.
    place: Option<Place>,
    life: Option<Life>,
}

/// Where a relay is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    links: SocketAddr,
    admin: SocketAddr,
}

impl Place {
    /// Where it takes links.
    pub(super) fn links(&self) -> String {
        format!("ws://{}/", self.links)
    }

    /// Where its dashboard is.
    pub(super) fn dashboard(&self) -> String {
        format!("http://{}/", self.admin)
    }
}

struct Life {
    observer: Observer<dyn MessageStore>,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Cloud {
    /// Starts it. It dials these others.
    pub(super) async fn start(id: &'static str, surroundings: &Surroundings, others: &[&Self]) -> anyhow::Result<Self> {
        let dials = others.iter().map(|other| other.place().map(Place::links));
        let dials = dials.collect::<anyhow::Result<_>>()?;
        let mut cloud = Self { id, surroundings: surroundings.clone(), dials, place: None, life: None };
        cloud.live().await?;
        Ok(cloud)
    }

    pub(super) fn place(&self) -> anyhow::Result<&Place> {
        self.place.as_ref().with_context(|| format!("{} was never started", self.id))
    }

    /// Ends it at once, as a crash would: no link is closed, and nothing is finished.
    pub(super) async fn kill(&mut self) {
        if let Some(life) = self.life.take() {
            life.task.abort();
            let _ = life.task.await;
        }
    }

    /// Starts it again where it was, unless it runs.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        for _ in 1..STARTS {
            if self.life.is_some() || self.live().await.is_ok() {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        self.live().await
    }

    /// How many deliveries it holds for a peer.
    pub(super) async fn owes(&self, peer: &str) -> anyhow::Result<u64> {
        Ok(self.observer()?.peer(&PeerId::new(peer)?).await.map_or(0, |peer| peer.backlog))
    }

    /// Whether a peer of it is paused, so that nothing is delivered to that.
    pub(super) fn holds_back(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.observer.census().paused > 0)
    }

    /// How many deliveries it owes in all.
    pub(super) fn backlog(&self) -> u64 {
        self.life.as_ref().map_or(0, |life| life.observer.census().backlog)
    }

    /// How many deliveries it has given up.
    pub(super) async fn dead_letters(&self) -> anyhow::Result<u64> {
        Ok(self.observer()?.stats().await?.dead_letters)
    }

    fn observer(&self) -> anyhow::Result<&Observer<dyn MessageStore>> {
        let life = self.life.as_ref().with_context(|| format!("{} does not run", self.id))?;
        Ok(&life.observer)
    }

    /// Has it end in order.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(life) = self.life.take() else { return Ok(()) };
        life.shutdown.cancel();
        life.task.await?
    }

    async fn live(&mut self) -> anyhow::Result<()> {
        let config = self.configuration()?;
        let (certificates, access) = named_files(&config)?;
        let Surroundings { log, metrics, .. } = self.surroundings.clone();
        let node = Node { config, certificates: Arc::new(certificates), access, log, metrics, exporter: None };
        let (tell, told) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let started = move |started: &Started<'_>, running: &crate::admin::Running| {
            let links = started.links.context("it takes no links")?;
            let _ = tell.send((Place { links, admin: started.admin }, running.observer.clone()));
            Ok(())
        };
        let task = tokio::spawn(node.run(shutdown.clone(), started));
        match told.await {
            Ok((place, observer)) => {
                self.place = Some(place);
                self.life = Some(Life { observer, shutdown, task });
                Ok(())
            }
            Err(_) => Err(task.await?.err().unwrap_or_else(|| anyhow!("it ended"))).context(self.id),
        }
    }

    fn configuration(&self) -> anyhow::Result<Config> {
        // Any free ports at first, and the same again.
        let [listen, metrics] = self.place.map_or([0, 0], |place| [place.links.port(), place.admin.port()]);
        let peers: Vec<_> = self.dials.iter().map(|url| json!({ "url": url })).collect();
        let given = [
            ("instance_id", self.id.to_owned()),
            ("tags", self.id.to_owned()),
            ("storage_path", self.surroundings.folder.join(self.id).display().to_string()),
            ("listen", format!("127.0.0.1:{listen}")),
            ("metrics_port", metrics.to_string()),
            ("retry_in_n_seconds", "1s".to_owned()),
            ("url_config", json!(peers).to_string()),
        ];
        let flag = |(key, text)| Some((Setting::by_key(key)?, text));
        let flags: Vec<_> = given.into_iter().filter_map(flag).collect();
        let sources =
            Sources { flags: &flags, environment: &[], read_file: &config::read_file, engines: backend::COMPILED };
        Ok(Config::inspect(&sources).outcome?)
    }
}
