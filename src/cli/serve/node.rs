//! A relay with its ports and its store, as a configuration has it: from the admin port, which answers first, to the end.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::announce::{self, Started};
use super::opening::{self, Begun};
use super::{pages, ports};
use crate::admin::{self, Backups, MetricsPage, Running, Sweeps};
use crate::backend;
use crate::certificates::Certificates;
use crate::clock::SystemClock;
use crate::config::{Config, StoreConfig};
use crate::credentials::Access;
use crate::dial::TlsConnector;
use crate::disk;
use crate::link::TcpConnector;
use crate::listen::Listener;
use crate::logging::LogControl;
use crate::otlp::Exporter;

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
        let (state, opening) = watch::channel("opening the store".to_owned());
        let opening = pages::opening(&config, opening, metrics.clone(), log);
        let (shown, pages) = watch::channel(opening.clone());
        tokio::spawn(admin::serve(admin, certificates.admin.clone(), pages, pages_end));

        let clock = Arc::new(SystemClock::new());
        let Some(Begun { opened, relay }) = opening::begin(&config, &clock, &state, &shutdown).await? else {
            return Ok(());
        };
        let (files, elsewhere) = match config.store_config() {
            StoreConfig::Files { engine, path, .. } => {
                (Some(backend::place(engine, &path)?), disk::elsewhere(&path).unwrap_or_default())
            }
            StoreConfig::Postgres { .. } => (None, None),
        };
        let backups = Backups::new(config.backup_path.clone(), files, Arc::clone(&opened.store), clock);
        let listener = ports::links(&config, certificates.listener.as_ref())?;
        let links = listener.as_deref().map(Listener::local_addr).transpose()?;
        let running = Running {
            observer: relay.observer(),
            operator: relay.operator(),
            backups,
            sweeps: Sweeps::default(),
            reconciling: Arc::new(Semaphore::new(1)),
            listen: links.map(|links| announce::links_url(&config, links)),
            store_place: opened.place.clone(),
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
