//! A relay with its ports and its store, as a configuration has it: from the admin port, which answers first, to the end.

use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::announce::{self, Started};
use super::relay_settings::settings;
use super::{pages, ports};
use crate::admin::{self, Backups, MetricsPage, Running, Sweeps};
use crate::backend::{self, Opened};
use crate::certificates::Certificates;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::credentials::Access;
use crate::dial::TlsConnector;
use crate::disk;
use crate::link::TcpConnector;
use crate::listen::Listener;
use crate::logging::LogControl;
use crate::otlp::Exporter;
use crate::relay::Relay;
use crate::store::StoreError;

/// A relay that is to run in this process.
pub(in crate::cli) struct Node {
    pub(in crate::cli) config: Config,
    pub(in crate::cli) certificates: Arc<Certificates>,
    pub(in crate::cli) access: Access,
    pub(in crate::cli) log: LogControl,
    /// The metrics of the process.
    pub(in crate::cli) metrics: MetricsPage,
    /// What exports them and spans, if anything does.
    pub(in crate::cli) exporter: Option<Exporter>,
}

impl Node {
    /// Runs it until `shutdown`. `started` is called once it takes links.
    ///
    /// # Errors
    /// Why it could not be started, or did not end in order.
    ///
    /// # Cancellation
    /// As [`Relay::run`]; the admin port is closed too.
    pub(in crate::cli) async fn run(
        self,
        shutdown: CancellationToken,
        started: impl FnOnce(&Started<'_>, &Running) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { config, certificates, access, log, metrics, exporter } = self;
        let since = Instant::now();
        let admin = ports::admin(&config).await?;
        let admin_address = admin.local_addr()?;
        let pages_end = CancellationToken::new();
        let _pages_end = pages_end.clone().drop_guard();
        let opening = pages::opening(&config, metrics.clone(), log);
        let (shown, pages) = watch::channel(opening.clone());
        tokio::spawn(admin::serve(admin, certificates.admin.clone(), pages, pages_end));

        let clock = Arc::new(SystemClock::new());
        let opened = open_store(&config, &*clock).await?;
        let store = Arc::clone(&opened.store);
        let elsewhere = disk::elsewhere(&config.storage_path).unwrap_or_default();
        let place = backend::place(config.store, &config.storage_path)?;
        let backups = Backups::new(config.backup_path.clone(), place, Arc::clone(&store), clock.clone());
        let relay = Relay::open_erased(store, settings(&config), clock).await?;
        let listener = ports::links(&config, certificates.listener.as_ref())?;
        let links = listener.as_deref().map(Listener::local_addr).transpose()?;
        let running = Running {
            observer: relay.observer(),
            operator: relay.operator(),
            backups,
            sweeps: Sweeps::default(),
            reconciling: Arc::new(Semaphore::new(1)),
            listen: links.map(|links| announce::links_url(&config, links)),
            storage_path: config.storage_path.clone(),
            since,
        };
        let pages = pages::running(opening, metrics, running.clone(), &certificates, elsewhere);
        let exporting = exporter.map(|exporter| exporter.start(relay.id(), pages.metrics.clone()));
        shown.send_replace(pages);
        started(
            &Started { config: &config, id: relay.id(), links, admin: admin_address, place: elsewhere, opened },
            &running,
        )?;
        drop(running);
        let connector = Arc::new(TlsConnector::new(TcpConnector));
        let ended = relay.run_erased(listener, access.authorizer(), connector, shutdown).await;
        if let Some(exporting) = exporting {
            exporting.finish().await;
        }
        Ok(ended?)
    }
}

async fn open_store(config: &Config, clock: &dyn Clock) -> anyhow::Result<Opened> {
    let opened = backend::start(&config.store_config(), clock).await;
    opened.map_err(|error| match error {
        // It names the path itself.
        StoreError::InUse(_) => anyhow!(
            "SLIPSTREAM_STORAGE_PATH: {error}; expected a folder of its own for each relay: stop the other one, or choose \
             another path"
        ),
        error => anyhow!(error).context(format!("SLIPSTREAM_STORAGE_PATH: {}", config.storage_path.display())),
    })
}
