//! The flags of the settings, made from the table in [`config`](crate::config). Their values are read there too, so
//! that a wrong flag is told together with every other fault.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::backend;
use crate::config::{self, Config, Engine, Fault, Faults, Inspection, Origin, SETTINGS, Setting, Sources, StoreConfig};
use crate::link::Secret;
use crate::offline::Located;

/// The settings that were given as flags, with their text.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags(Vec<(&'static Setting, String)>);

impl SettingFlags {
    /// Each flag that was given, in the order of the table.
    #[must_use]
    pub fn given(&self) -> &[(&'static Setting, String)] {
        &self.0
    }

    /// Those of these settings that were given.
    fn of(settings: impl Iterator<Item = &'static Setting>, matches: &ArgMatches) -> Self {
        let text = |setting: &Setting| matches.get_one::<String>(setting.key).cloned();
        let settings = settings.filter(|setting| !setting.is_token());
        Self(settings.filter_map(|setting| Some((setting, text(setting)?))).collect())
    }

    /// What these flags, the environment of the process and the file that either names say. `engines` are those that
    /// are compiled in, the preferred one first.
    #[must_use]
    pub fn inspect(&self, engines: &[Engine]) -> Inspection {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let sources =
            Sources { flags: self.given(), environment: &environment, read_file: &config::read_file, engines };
        Config::inspect(&sources)
    }
}

/// The flags that name a store, for the commands on whole stores. The rest of the configuration counts as for a start.
#[derive(Debug, Clone, Default)]
pub struct StoreFlags(SettingFlags);

/// The URL of the store that several processes share, as the settings name it.
///
/// # Errors
/// Everything that is wrong with the configuration, as if it named that store; also if there is no URL.
pub(super) fn shared_url() -> Result<Option<Secret>, Faults> {
    let store = Setting::by_key("store").map(|store| (store, Engine::Postgres.name().to_owned()));
    let config = SettingFlags(store.into_iter().collect()).inspect(backend::COMPILED).outcome?;
    Ok(match config.store_config() {
        StoreConfig::Postgres { url, .. } => Some(url),
        StoreConfig::Files { .. } => None,
    })
}

/// The keys of the settings that name a store.
const STORE_KEYS: [&str; 3] = ["config", "storage_path", "store"];

impl StoreFlags {
    /// Whether any of them was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        !self.0.given().is_empty()
    }

    /// What these flags, the environment of the process and the file that either names say.
    #[must_use]
    pub fn inspect(&self, engines: &[Engine]) -> Inspection {
        self.0.inspect(engines)
    }

    /// The store that the settings name. Where they name no engine, it is that whose data are there.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub(super) fn named(&self) -> Result<Named, Faults> {
        let config = self.inspect(backend::COMPILED).outcome?;
        let is_given = Setting::by_key("store").is_some_and(|store| config.origin(store) != Origin::Default);
        Ok(match config.store_config() {
            StoreConfig::Postgres { url, .. } => Named::Shared(url),
            StoreConfig::Files { engine, path, .. } if is_given => Named::Files(Located { engine, path }),
            StoreConfig::Files { engine, path, .. } => Named::Files(Located::find(&path, engine)),
        })
    }

    /// As [`named`](Self::named), for work on the files of a store.
    ///
    /// # Errors
    /// As [`named`](Self::named), and for a store without files of its own.
    pub(super) fn located(&self) -> Result<Located, Faults> {
        match self.named()? {
            Named::Files(located) => Ok(located),
            Named::Shared(_) => {
                let expected = "this works on files, and PostgreSQL has those of the store; docs/postgres.md says what there is \
                                instead";
                Err(Faults::new(vec![Fault::new("SLIPSTREAM_STORE", expected)]))
            }
        }
    }
}

/// A store for a command.
#[derive(Debug)]
pub(super) enum Named {
    /// One in files, which no relay may have open.
    Files(Located),
    /// One that several processes share, by its URL.
    Shared(Secret),
}

impl Args for StoreFlags {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().filter(|setting| STORE_KEYS.contains(&setting.key)).map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for StoreFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let settings = SETTINGS.iter().filter(|setting| STORE_KEYS.contains(&setting.key));
        self.0 = SettingFlags::of(settings, matches);
        Ok(())
    }
}

fn argument(setting: &'static Setting) -> Arg {
    let default = if setting.default.is_empty() { "none" } else { setting.default };
    let argument = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.kind)
        .action(ArgAction::Set)
        .help_heading("Settings")
        .help(format!("{} [{}; default {default}]", setting.help, setting.variable));
    if setting.is_switch() {
        argument.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        argument
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().filter(|setting| !setting.is_token()).map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::of(SETTINGS.iter(), matches);
        Ok(())
    }
}
