//! `slipstream serve`: reads the configuration, starts the log, runs the relay.

mod again;
mod announce;
mod hangup;
mod next;
mod node;
mod open_files;
mod opening;
mod pages;
mod ports;
mod readiness;
pub(super) mod relay_settings;
mod service_manager;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

pub(super) use self::announce::Started;
pub(super) use self::node::Node;

use self::hangup::Rereading;
use self::service_manager::{ServiceManager, Signs};
use super::signals::{self, Signals};
use super::{SettingFlags, output};
use crate::admin::{MetricsPage, Running};
use crate::certificates::Certificates;
use crate::config::{Config, Engine, Faults};
use crate::credentials::Access;
use crate::logging::{self, LogControl, Switches};
use crate::otlp::Exporter;
use crate::relay::RelayError;
use crate::reload::Watch;
use crate::store::StoreError;
use crate::{BUCKETS, backend};

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
    let exporter = Exporter::of(&config);
    let spans = exporter.as_ref().map(Exporter::layer);
    let logging = match logging::install(config.log_format, Switches::of(&config), spans) {
        Ok(logging) => logging,
        Err(error) => return output::fail(output::FAILED, &error),
    };
    match serve(&arguments.settings, config, Files { certificates, access, watch }, logging.control(), exporter).await {
        Ok(Ended::AsAsked) => ExitCode::SUCCESS,
        Ok(Ended::ShutOut) => {
            // What it has to say is written before.
            drop(logging);
            output::fail(output::FAILED, &format_args!("{:#}", again::start()))
        }
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

/// How the life of a process ended.
enum Ended {
    AsAsked,
    /// The others that share its store took it for dead.
    ShutOut,
}

/// The life of the process.
async fn serve(
    flags: &SettingFlags,
    config: Config,
    Files { certificates, access, watch }: Files,
    log: LogControl,
    exporter: Option<Exporter>,
) -> anyhow::Result<Ended> {
    let open_files = open_files::raise();
    let shutdown = CancellationToken::new();
    let reload = Arc::new(Notify::new());
    let manager = Arc::new(ServiceManager::of_environment());
    let rereading = Rereading {
        flags: flags.clone(),
        running: config.clone(),
        log: log.clone(),
        reload: Arc::clone(&reload),
        manager: Arc::clone(&manager),
        shutdown: shutdown.clone(),
    };
    if let Err(error) = catch_signals(rereading, &shutdown) {
        warn!(%error, "signals cannot be caught; the process ends with the first");
    }
    let metrics = MetricsPage::install(&BUCKETS)?;
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(metrics.clone().upkeep()));
    let _watching = AbortOnDropHandle::new(tokio::spawn(watch.run(reload)));
    let (timeout, stopping) = (config.shutdown_timeout, shutdown.clone());
    let (tell, told) = oneshot::channel();
    let teller = Arc::clone(&manager);
    let attending = tokio::spawn(async move {
        // It is not told if the relay could not be started.
        if let Ok(signs) = manager.opening(told, &stopping).await {
            manager.attend(signs, timeout, stopping).await;
        }
    });
    let started = move |started: &Started<'_>, running: &Running| {
        started.announce()?;
        let config = started.config;
        let of_place = started.place.map(readiness::of_place);
        let warnings = config.warnings().into_iter().chain(open_files::warning(open_files, config)).chain(of_place);
        for warning in warnings {
            warn!("{warning}");
        }
        teller.ready();
        let _ = tell.send(Signs { observer: running.observer.clone(), operator: running.operator.clone() });
        Ok(())
    };
    let node = Node { config, certificates, access, log, metrics, exporter };
    let outcome = node.run(shutdown.clone(), started).await;
    // It may have stopped by itself.
    let was_asked = shutdown.is_cancelled();
    shutdown.cancel();
    attending.await?;
    match outcome {
        Err(error) if is_retired(&error) => {
            warn!("{error:#}");
            if !was_asked {
                return Ok(Ended::ShutOut);
            }
        }
        outcome => outcome?,
    }
    info!("stopped");
    Ok(Ended::AsAsked)
}

fn is_retired(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(RelayError::Store(StoreError::Retired)))
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
