//! SIGHUP: the settings file is read again, and what can be changed while the relay runs is changed.

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::service_manager::ServiceManager;
use crate::backend;
use crate::cli::SettingFlags;
use crate::config::{Config, Inspection, Setting};
use crate::logging::{LogControl, SwitchChange, Switches};

/// The keys of the settings that a running relay takes up.
const TAKEN_UP: [&str; 2] = ["enable_message_logs", "enable_debug_logs"];

/// Who reads the settings again.
pub(super) struct Rereading {
    pub(super) flags: SettingFlags,
    /// The configuration that the relay was started with.
    pub(super) running: Config,
    pub(super) log: LogControl,
    /// Has certificates read again.
    pub(super) reload: Arc<Notify>,
    pub(super) manager: Arc<ServiceManager>,
    pub(super) shutdown: CancellationToken,
}

impl Rereading {
    /// Waits for each SIGHUP.
    pub(super) async fn run(self, mut hangups: Signal) {
        let on_terminal = stderr().is_terminal();
        while hangups.recv().await.is_some() {
            // A terminal that was closed sends it too, to the relay that somebody tried out in it.
            if on_terminal && !stderr().is_terminal() {
                return self.shutdown.cancel();
            }
            self.reload.notify_one();
            self.manager.reloading(self.read_again()).await;
        }
    }

    async fn read_again(&self) {
        let Some(file) = &self.running.config else {
            return info!("SIGHUP: there is no settings file (SLIPSTREAM_CONFIG) to read again; no setting is changed");
        };
        let file = file.display();
        let flags = self.flags.clone();
        let inspected = tokio::task::spawn_blocking(move || flags.inspect(backend::COMPILED)).await;
        let outcome = match inspected {
            Ok(Inspection { outcome, .. }) => outcome,
            Err(error) => return error!(%file, %error, "SIGHUP: the settings file was not read; nothing is changed"),
        };
        match outcome {
            Ok(config) => self.take_up(&config),
            Err(faults) => {
                let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
                error!(%file, faults = told.join("; "), "SIGHUP: the configuration has faults; nothing is changed");
            }
        }
    }

    fn take_up(&self, config: &Config) {
        let Some(file) = &self.running.config else { return };
        let file = file.display();
        let Switches { messages, level } = Switches::of(config);
        let change = |change| self.log.change(change);
        let changed = change(SwitchChange::default()).and_then(|before| {
            let now = change(SwitchChange { messages: Some(messages), level: Some(level) })?;
            let [message_logs, debug_logs] = TAKEN_UP;
            Ok([(message_logs, before.messages != now.messages), (debug_logs, before.level != now.level)])
        });
        let changed = match changed {
            Ok(changed) => changed,
            Err(error) => return error!(%error, "SIGHUP: the log cannot be switched"),
        };
        let changed = changed.into_iter().filter(|(_, is)| *is).filter_map(|(key, _)| Setting::by_key(key));
        let changed = listed(changed);
        let waiting = listed(self.running.differences(config).filter(|setting| !TAKEN_UP.contains(&setting.key)));
        info!(%file, changed, "SIGHUP: the settings file was read again");
        if waiting != NONE {
            warn!(%file, settings = waiting, "SIGHUP: these settings differ from those in force; they want a restart");
        }
    }
}

const NONE: &str = "none";

fn listed(settings: impl Iterator<Item = &'static Setting>) -> String {
    let variables: Vec<_> = settings.map(|setting| setting.variable).collect();
    if variables.is_empty() { NONE.to_owned() } else { variables.join(", ") }
}
