//! Where settings come from: gathers what each source gives, the strongest first, and refuses names that mean nothing.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::discreet::discreet;
use super::engine::Engine;
use super::fault::Fault;
use super::file::{self, FILE_KEY};
use super::gathered::{Gathered, Given};
use super::names::{Stranger, is_service_link, stranger};
use super::setting::{Origin, Setting};
use super::table::SETTINGS;

/// What settings are read from. All of it is passed in, so that a test owns it.
pub struct Sources<'a> {
    /// The flags that were given, each with its setting.
    pub flags: &'a [(&'static Setting, String)],
    /// The environment. An empty variable counts as not set.
    pub environment: &'a [(OsString, OsString)],
    /// Reads the settings file; [`read_file`](super::read_file) outside tests.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The engines that are compiled in, the preferred one first.
    pub engines: &'a [Engine],
}

impl Sources<'_> {
    /// Gathers what the sources give, strongest first.
    pub(super) fn gather(&self) -> Gathered {
        let mut gathered = Gathered::default();
        for (setting, text) in self.flags {
            gathered.offer(setting, Origin::Flag, &format!("--{}", setting.flag()), Given::Text(text.clone()));
        }
        self.gather_environment(&mut gathered);
        self.gather_file(&mut gathered);
        for setting in SETTINGS {
            let text = match (setting.key, self.engines.first()) {
                ("store", Some(engine)) => engine.name(),
                _ => setting.default,
            };
            gathered.offer(setting, Origin::Default, "", Given::Text(text.to_owned()));
        }
        gathered
    }

    fn gather_environment(&self, gathered: &mut Gathered) {
        for (name, value) in self.environment.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(name) = name.to_str() else { continue };
            let setting = SETTINGS.iter().find(|setting| setting.variable == name);
            match (setting, value.to_str()) {
                (Some(_), Some(text)) if is_service_link(name, text) => gathered.pass_over(name),
                (Some(setting), Some(text)) => {
                    gathered.offer(setting, Origin::Environment, "environment", Given::Text(text.to_owned()));
                }
                (Some(setting), None) => {
                    gathered.refuse(setting, format!("{name} (environment)"), &value.to_string_lossy(), "UTF-8 text");
                }
                (None, text) => match stranger(name, text.unwrap_or_default()) {
                    Stranger::Foreign => {}
                    Stranger::ServiceLink => gathered.pass_over(name),
                    Stranger::Wrong(fault) => gathered.fault(fault),
                },
            }
        }
    }

    fn gather_file(&self, gathered: &mut Gathered) {
        let Some((place, path)) = gathered.strongest(FILE_KEY).filter(|(_, path)| !path.is_empty()) else { return };
        let (place, path) = (place.to_owned(), path.to_owned());
        let table = (self.read_file)(Path::new(&path));
        match table.map_err(|error| error.to_string()).and_then(|text| file::parse(&text)) {
            Ok(table) => file::offer(gathered, &path, table),
            Err(problem) => {
                // The whole path: a part of one leads nowhere.
                let problem = format!("got {:?}, expected a TOML file that can be read: {problem}", discreet(&path));
                gathered.fault(Fault::new(place, problem));
            }
        }
    }
}
