//! `slipstream serve`: reads the configuration, starts the log, runs the relay.

mod announce;
mod hangup;
mod next;
mod open_files;
mod pages;
mod ports;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use clap::Args;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use self::announce::Started;
use self::hangup::Rereading;
use super::signals::{self, Signals};
use super::{SettingFlags, output};
use crate::admin::{self, Backups, MetricsPage, Running, Sweeps};
use crate::backend::Opened;
use crate::certificates::Certificates;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Engine, Faults};
use crate::credentials::Access;
use crate::dial::{DialLimits, TlsConnector};
use crate::link::{LinkLimits, TcpConnector};
use crate::listen::{ListenLimits, Listener};
use crate::logging::{self, LogControl, Switches};
use crate::relay::{BacklogLimit, DeliveryRules, DiskGuard, Relay, Settings};
use crate::reload::Watch;
use crate::store::StoreError;
use crate::{BUCKETS, backend, disk};

const EXAMPLE: &str = "\
Example:
  slipstream serve --storage-path /var/lib/slipstream --listen 127.0.0.1:7171

Each setting can be given as a flag, as an environment variable, or in a TOML file (--config); the flag wins, then the
variable.";

/// Runs a relay until SIGTERM or SIGINT.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(flatten)]
    settings: SettingFlags,
}

impl Arguments {
    /// The configuration from these flags, the environment of the process and the file that either names. `engines`
    /// are those that are compiled in, the preferred one first.
    ///
    /// # Errors
    /// Everything that is wrong with it. The caller prints it and exits with status 2.
    pub fn configuration(&self, engines: &[Engine]) -> Result<Config, Faults> {
        self.settings.inspect(engines).outcome
    }
}

/// Runs the command.
pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    let config = match arguments.configuration(backend::COMPILED) {
        Ok(config) => config,
        Err(faults) => return output::fail(output::MISUSED, &faults),
    };
    let (certificates, access) = match named_files(&config) {
        Ok((certificates, access)) => (Arc::new(certificates), access),
        Err(faults) => return output::fail(output::MISUSED, &faults),
    };
    let watch = Watch::new(certificates.watched().into_iter().chain(access.watched()));
    let logging = match logging::install(config.log_format, Switches::of(&config)) {
        Ok(logging) => logging,
        Err(error) => return output::fail(output::FAILED, &error),
    };
    match serve(&arguments.settings, &config, Files { certificates, access, watch }, logging.control()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log is where an operator looks, and in its format: it is told nowhere else.
            error!("{error:#}");
            ExitCode::from(output::FAILED)
        }
    }
}

/// Reads the files that a configuration names.
///
/// # Errors
/// All that is wrong with all of them.
pub(super) fn named_files(config: &Config) -> Result<(Certificates, Access), Faults> {
    match (Certificates::load(config), Access::load(config)) {
        (Ok(certificates), Ok(access)) => Ok((certificates, access)),
        (Err(faults), Err(others)) => Err(faults.and(others)),
        (Err(faults), Ok(_)) | (Ok(_), Err(faults)) => Err(faults),
    }
}

/// What was read from the files that a configuration names.
struct Files {
    certificates: Arc<Certificates>,
    access: Access,
    watch: Watch,
}

/// The life of the process.
async fn serve(
    flags: &SettingFlags,
    config: &Config,
    Files { certificates, access, watch }: Files,
    log: LogControl,
) -> anyhow::Result<()> {
    let since = Instant::now();
    let open_files = open_files::raise();
    let shutdown = CancellationToken::new();
    let reload = Arc::new(Notify::new());
    let rereading = Rereading {
        flags: flags.clone(),
        running: config.clone(),
        log: log.clone(),
        reload: Arc::clone(&reload),
        shutdown: shutdown.clone(),
    };
    if let Err(error) = catch_signals(rereading, &shutdown) {
        warn!(%error, "signals cannot be caught; the process ends with the first");
    }
    let metrics = MetricsPage::install(&BUCKETS)?;
    let admin = ports::admin(config).await?;
    let admin_address = admin.local_addr()?;
    let pages_end = CancellationToken::new();
    let _pages_end = pages_end.clone().drop_guard();
    let opening = pages::opening(config, metrics.clone(), log);
    let (shown, pages) = watch::channel(opening.clone());
    tokio::spawn(metrics.clone().upkeep(pages_end.clone()));
    tokio::spawn(admin::serve(admin, certificates.admin.clone(), pages, pages_end));

    let clock = Arc::new(SystemClock::new());
    let opened = open_store(config, &*clock).await?;
    let store = Arc::clone(&opened.store);
    let place = backend::place(config.store, &config.storage_path)?;
    let backups = Backups::new(config.backup_path.clone(), place, Arc::clone(&store), clock.clone());
    let relay = Relay::open_erased(store, settings(config), clock).await?;
    let listener = ports::links(config, certificates.listener.as_ref())?;
    let links = listener.as_deref().map(Listener::local_addr).transpose()?;
    let running = Running {
        observer: relay.observer(),
        operator: relay.operator(),
        backups,
        sweeps: Sweeps::default(),
        listen: links.map(|links| announce::links_url(config, links)),
        storage_path: config.storage_path.clone(),
        since,
    };
    shown.send_replace(pages::running(opening, metrics, running, &certificates));
    Started { config, id: relay.id(), links, admin: admin_address, opened }.announce()?;
    for warning in config.warnings().into_iter().chain(open_files::warning(open_files, config)) {
        warn!("{warning}");
    }
    let _watching = AbortOnDropHandle::new(tokio::spawn(watch.run(reload)));
    let connector = Arc::new(TlsConnector::new(TcpConnector));
    relay.run_erased(listener, access.authorizer(), connector, shutdown).await?;
    info!("stopped");
    Ok(())
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

/// What the configuration means for the relay.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        instance_id: config.instance_id.clone(),
        tags: config.tags.clone().into(),
        cluster_group: config.cluster_group_id.clone(),
        peers: config.peers.clone(),
        subscribers: config.subscribers.clone(),
        dial: DialLimits {
            timeout: config.handshake_timeout,
            first_pause: config.retry_in_n_seconds,
            attempts: config.connection_retry_attempts.get(),
            ..DialLimits::default()
        },
        delivery: DeliveryRules {
            window: config.window,
            window_bytes: config.window_bytes,
            ack_timeout: config.ack_timeout,
            max_republishes: config.max_message_republish_attempts,
            ..DeliveryRules::default()
        },
        backlog: config.max_backlog.map(|deliveries| BacklogLimit { deliveries, policy: config.backlog_policy }),
        disk: Some(disk_guard(config)),
        rate_limit: config.rate_limit,
        max_depth: config.max_depth,
        dedup_window: config.dedup_window,
        dedup_max: config.dedup_max.get(),
        peer_ttl: config.peer_ttl,
        trace_retention: config.trace_retention,
        trace_max_bytes: config.trace_max_bytes,
        shutdown_timeout: config.shutdown_timeout,
        link: LinkLimits {
            max_message_bytes: config.max_message_bytes,
            heartbeat: config.heartbeat,
            idle_timeout: config.idle_timeout,
            ..LinkLimits::default()
        },
        listen: ListenLimits {
            max_connections: config.max_connections.get(),
            max_per_address: config.max_connections_per_address,
            handshake_timeout: config.handshake_timeout,
            trusted_proxies: config.trusted_proxies.clone(),
            ..ListenLimits::default()
        },
        ..Settings::default()
    }
}

fn disk_guard(config: &Config) -> DiskGuard {
    let path = config.storage_path.clone();
    let place = path.display().to_string();
    let free = move || disk::free_bytes(&path).map_err(|error| format!("{}: {error}", path.display()));
    DiskGuard { min_free: config.min_free_disk, place, free: Arc::new(free) }
}

/// Catches signals from now on: who has started the relay may send one at once. Whoever asks it to stop while its store
/// is being opened waits until it can be closed in order.
fn catch_signals(rereading: Rereading, shutdown: &CancellationToken) -> io::Result<()> {
    signals::survive_user_signals()?;
    tokio::spawn(rereading.run(signals::hangups()?));
    tokio::spawn(stop_when_asked(Signals::new()?, shutdown.clone()));
    Ok(())
}

/// The first SIGTERM or SIGINT asks the relay to stop; the second ends the process at once.
async fn stop_when_asked(mut asked: Signals, shutdown: CancellationToken) {
    asked.next().await;
    shutdown.cancel();
    asked.next().await;
    warn!("ending at once, at the second signal");
    std::process::exit(i32::from(output::FAILED));
}
