//! `slipstream serve`: reads the configuration, starts the log, runs the relay.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener as AdminListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};

use super::signals::Signals;
use super::{SettingFlags, output};
use crate::admin::{self, ApiAccess, Backups, MetricsPage, Pages, Readiness};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Engine, Faults, Listen};
use crate::dial::DialLimits;
use crate::link::{LinkLimits, TcpConnector};
use crate::listen::{ListenLimits, Listener, TcpListener};
use crate::logging::{self, Level, LogControl, SwitchChange, Switches};
use crate::relay::{BacklogLimit, DeliveryRules, DiskGuard, Observer, Relay, Settings};
use crate::store::MessageStore;
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
    let level = if config.enable_debug_logs { Level::Debug } else { Level::Info };
    let switches = Switches { messages: config.enable_message_logs, level };
    let logging = match logging::install(config.log_format, switches) {
        Ok(logging) => logging,
        Err(error) => return output::fail(output::FAILED, &error),
    };
    match serve(&config, logging.control()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            output::fail(output::FAILED, &format!("{error:#}"))
        }
    }
}

/// The life of the process.
async fn serve(config: &Config, log: LogControl) -> anyhow::Result<()> {
    let metrics = MetricsPage::install(&BUCKETS)?;
    let clock = Arc::new(SystemClock::new());
    let store = open_store(config, &*clock).await?;
    let place = backend::place(config.store, &config.storage_path)?;
    let backups = Backups::new(config.backup_path.clone(), place, Arc::clone(&store), clock.clone());
    let relay = Relay::open(store, settings(config), clock).await?;
    let observer = relay.observer();
    let admin = AdminListener::bind((config.metrics_host, config.metrics_port))
        .await
        .with_context(|| format!("METRICS_HOST, METRICS_PORT: {}:{}", config.metrics_host, config.metrics_port))?;
    let listener = listen_on(config.listen)?;
    let shutdown = CancellationToken::new();
    // Who reads that the relay has started may ask it to stop at once.
    match Signals::new() {
        Ok(asked) => drop(tokio::spawn(stop_when_asked(asked, shutdown.clone()))),
        Err(error) => warn!(%error, "signals cannot be caught; the process ends with the first"),
    }
    announce(config, &relay, &observer, listener.as_deref(), &admin)?;

    let pages_end = CancellationToken::new();
    let _pages_end = pages_end.clone().drop_guard();
    tokio::spawn(metrics.clone().upkeep(pages_end.clone()));
    tokio::spawn(admin::serve(admin, pages(config, metrics, observer, backups, log), pages_end));
    for doubt in config.doubts() {
        warn!("{doubt}");
    }
    relay.run(listener, Arc::new(TcpConnector), shutdown).await?;
    info!("stopped");
    Ok(())
}

async fn open_store(config: &Config, clock: &dyn Clock) -> anyhow::Result<Arc<dyn MessageStore>> {
    let opened = backend::start(config.store, config.storage_path.clone(), config.durability, clock).await;
    let opened = opened.with_context(|| format!("SLIPSTREAM_STORAGE_PATH: {}", config.storage_path.display()))?;
    info!(engine = %config.store, path = %config.storage_path.display(), "the store is {opened}");
    Ok(opened.store)
}

fn listen_on(listen: Listen) -> anyhow::Result<Option<Box<dyn Listener>>> {
    let Listen::At(address) = listen else { return Ok(None) };
    let listener = TcpListener::bind(address).with_context(|| format!("SLIPSTREAM_LISTEN: {address}"))?;
    Ok(Some(Box::new(listener)))
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
            handshake_timeout: config.handshake_timeout,
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

/// Tells a person what runs now and what to try next.
fn announce(
    config: &Config,
    relay: &Relay<dyn MessageStore>,
    observer: &Observer<dyn MessageStore>,
    listener: Option<&dyn Listener>,
    admin: &AdminListener,
) -> anyhow::Result<()> {
    let guarantee = observer.guarantee();
    output::line(&format!("slipstream {}, relay {}", env!("CARGO_PKG_VERSION"), relay.id()))?;
    let url = match listener {
        Some(listener) => Some(format!("ws://{}/", listener.local_addr()?)),
        None => None,
    };
    output::line(&format!("  links      {}", url.as_deref().unwrap_or("off")))?;
    for peer in &config.peers {
        output::line(&format!("  peer       {} at {}", peer.alias, peer.target))?;
    }
    output::line(&format!("  metrics    http://{}/metrics", admin.local_addr()?))?;
    let path = config.storage_path.display();
    output::line(&format!("  store      {} at {path}, durability {}", guarantee.engine, guarantee.durability))?;
    output::line(&format!("  guarantee  {guarantee}"))?;
    if let Some(advice) = config.store.advice() {
        output::line(&format!("  advice     {advice}"))?;
    }
    if let Some(url) = url {
        output::line("try, in two other terminals:")?;
        output::line(&format!("  slipstream listen --to {url} --id app-1"))?;
        output::line(&format!("  slipstream send --to {url} order:123 '{{\"total\":100}}'"))?;
    }
    Ok(())
}

fn pages(
    config: &Config,
    page: MetricsPage,
    observer: Observer<dyn MessageStore>,
    backups: Backups,
    log: LogControl,
) -> Pages {
    let seen = observer.clone();
    let runtime = Handle::current();
    let render = move || page.render(|| runtime.block_on(seen.record()));
    let readiness = move || {
        let guarantee = observer.guarantee();
        let mut reasons = Vec::new();
        if !observer.is_taking() {
            reasons.push("shutting down".to_owned());
        }
        reasons.extend(observer.disk_trouble());
        if let Some(trouble) = observer.store_trouble() {
            reasons.push(format!("store failing: {trouble}"));
        }
        Readiness {
            reasons,
            open_circuits: observer.open_circuits(),
            store: guarantee.engine.to_owned(),
            guarantee: guarantee.to_string(),
        }
    };
    let logging = move |change: SwitchChange| {
        let now = log.change(change).map_err(|error| error.to_string())?;
        if change != SwitchChange::default() {
            info!(messages = now.messages, level = %LevelFilter::from(now.level), "the log was switched");
        }
        Ok(now)
    };
    Pages {
        render: Arc::new(render),
        readiness: Arc::new(readiness),
        logging: Arc::new(logging),
        backups,
        api: api_access(config),
    }
}

fn api_access(config: &Config) -> ApiAccess {
    match (config.metrics_host.to_canonical().is_loopback(), config.allow_insecure) {
        (true, _) => ApiAccess::Machine,
        (false, true) => ApiAccess::Anyone,
        (false, false) => ApiAccess::Nobody,
    }
}

/// The first SIGTERM or SIGINT asks the relay to stop; the second ends the process at once.
async fn stop_when_asked(mut asked: Signals, shutdown: CancellationToken) {
    asked.next().await;
    shutdown.cancel();
    asked.next().await;
    warn!("ending at once, at the second signal");
    std::process::exit(i32::from(output::FAILED));
}
