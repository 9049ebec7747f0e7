//! The log of the program: which events are lines of it, also while it runs. How lines look, and how they reach stderr
//! without ever holding up the relay, is in the crate `slipstream-log`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use slipstream_log::{Lines, Style, Writing};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, Layered, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use crate::config::{Config, LogFormat};

/// The target of the one line a message. Such an event has level info.
pub const MESSAGE_TARGET: &str = "slipstream::message";

/// The target of the one line for each thing that an operator does over the API. Such an event has level info, and is
/// written whatever the level is.
pub const AUDIT_TARGET: &str = "slipstream::audit";

/// The target of the events that spans are made of. They are no lines.
pub const SPAN_TARGET: &str = "slipstream::span";

/// What takes events of that target beside the log.
pub type Beside = Box<dyn Layer<Layered<reload::Layer<Targets, Registry>, Registry>> + Send + Sync>;

/// How much is logged of what Slipstream itself does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only what went wrong for good.
    Error,
    /// Also what may have to be looked at.
    Warn,
    /// Also what normally happens, but not often.
    Info,
    /// Also what one looks for when something is wrong.
    Debug,
    /// Everything.
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// One line a message, whatever the level is.
    pub messages: bool,
    /// The level of everything else.
    pub level: Level,
}

impl Switches {
    /// What the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let level = if config.enable_debug_logs { Level::Debug } else { Level::Info };
        Self { messages: config.enable_message_logs, level }
    }

    /// With spans, their events pass too.
    fn filter(self, spans: bool) -> Targets {
        let own = LevelFilter::from(self.level);
        // Libraries have less to say to an operator than their debug level holds.
        let foreign = own.min(LevelFilter::INFO);
        let messages = if self.messages { LevelFilter::INFO } else { LevelFilter::OFF };
        let audit = own.max(LevelFilter::INFO);
        let own = Targets::new().with_default(foreign).with_target("slipstream", own);
        let spans = if spans { LevelFilter::TRACE } else { LevelFilter::OFF };
        own.with_target(MESSAGE_TARGET, messages).with_target(AUDIT_TARGET, audit).with_target(SPAN_TARGET, spans)
    }
}

/// What is to be logged otherwise; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwitchChange {
    /// One line a message.
    pub messages: Option<bool>,
    /// The level of everything else.
    pub level: Option<Level>,
}

/// The log of this process. Dropping it writes what is queued, for which it waits about a second at most; lines that
/// come later are lost.
#[derive(Debug)]
pub struct Logging {
    control: LogControl,
    _writing: Writing,
}

/// Changes what is logged while the program runs. Cloning is cheap; it does not keep the log alive.
#[derive(Debug, Clone)]
pub struct LogControl {
    filter: reload::Handle<Targets, Registry>,
    current: Arc<Mutex<Switches>>,
    /// Whether something takes the events of spans.
    spans: bool,
}

/// Starts the log of this process, on stderr, and beside it what takes the events of spans.
///
/// # Errors
/// Where the process has a log already, or the system no thread left.
pub fn install(format: LogFormat, switches: Switches, spans: Option<Beside>) -> io::Result<Logging> {
    let stderr = io::stderr();
    let style = match format {
        LogFormat::Json => Style::Json,
        LogFormat::Human if stderr.is_terminal() && !wants_plain_text() => Style::Coloured,
        LogFormat::Human => Style::Plain,
    };
    let (subscriber, logging) = build(style, switches, spans, stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(logging)
}

/// Whether what goes to a terminal is to be text and nothing else: no colours, and nothing that moves the cursor.
pub(crate) fn wants_plain_text() -> bool {
    !shows_colours(|name| std::env::var_os(name))
}

/// Whether the environment lets a terminal have colours (<https://no-color.org>, and terminals that know no escapes).
fn shows_colours(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_plain = variable("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
    !is_plain && variable("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Logging {
    /// What changes it.
    #[must_use]
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }
}

impl LogControl {
    /// Changes what is logged, from the next event on, and answers what is logged then.
    ///
    /// # Errors
    /// Where the log has ended; nothing changed.
    pub fn change(&self, change: SwitchChange) -> Result<Switches, reload::Error> {
        let mut current = self.current.lock();
        let next = Switches {
            messages: change.messages.unwrap_or(current.messages),
            level: change.level.unwrap_or(current.level),
        };
        if next != *current {
            self.filter.reload(next.filter(self.spans))?;
            *current = next;
        }
        Ok(next)
    }
}

fn build(
    style: Style,
    switches: Switches,
    spans: Option<Beside>,
    sink: impl Write + Send + 'static,
) -> io::Result<(impl Subscriber + Send + Sync, Logging)> {
    let (lines, writing) = Lines::start(sink, style)?;
    // The filter stands below the layer that formats, so that an event that is switched off costs one load of its
    // callsite's cached interest.
    let has_spans = spans.is_some();
    let (filter, handle) = reload::Layer::new(switches.filter(has_spans));
    let subscriber = Registry::default().with(filter).with(spans).with(LineLayer(lines));
    let control = LogControl { filter: handle, current: Arc::new(Mutex::new(switches)), spans: has_spans };
    Ok((subscriber, Logging { control, _writing: writing }))
}

/// Takes the events that are lines.
struct LineLayer(Lines);

impl<S: Subscriber> Layer<S> for LineLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if target != SPAN_TARGET {
            // Of these alone there are so many that to wake the log's thread for each would cost.
            self.0.put(event, target != MESSAGE_TARGET);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Hands on each write; it blocks while nobody takes it.
    struct Handed(mpsc::SyncSender<Vec<u8>>);

    impl Write for Handed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written until `end` was.
    fn until(taken: &mpsc::Receiver<Vec<u8>>, end: &str) -> String {
        let mut text = String::new();
        while !text.contains(end) {
            text += std::str::from_utf8(&taken.recv_timeout(LIMIT).expect("a write")).expect("UTF-8");
        }
        text
    }

    #[test]
    fn a_terminal_has_colours_unless_the_environment_says_otherwise() {
        let shows = |terminal: Option<&str>, no_color: Option<&str>| {
            shows_colours(|name| (if name == "TERM" { terminal } else { no_color }).map(OsString::from))
        };
        assert!(shows(Some("xterm"), None) && shows(Some("xterm"), Some("")));
        assert!(!shows(Some("xterm"), Some("1")) && !shows(Some("dumb"), None) && !shows(None, None));
    }

    #[test]
    fn switches_choose_the_lines_also_at_runtime() {
        let (hand, taken) = mpsc::sync_channel(0);
        let quiet = Switches { messages: false, level: Level::Info };
        let (subscriber, logging) = build(Style::Plain, quiet, None, Handed(hand)).expect("a log");
        let control = logging.control();
        let change = |messages, level| control.change(SwitchChange { messages, level }).expect("switched");
        tracing::subscriber::with_default(subscriber, || {
            let log = || {
                tracing::info!(target: MESSAGE_TARGET, "a message");
                tracing::info!(target: "slipstream::relay", "an event");
                tracing::debug!(target: "slipstream::relay", "a detail");
                tracing::debug!(target: "hyper", "a foreign detail");
                tracing::warn!(target: "hyper", "a foreign warning");
                tracing::error!(target: "slipstream::relay", "the end");
                let text = until(&taken, "the end\n");
                ["a message", "an event", "a detail", "a foreign detail", "a foreign warning"]
                    .map(|part| text.contains(part))
            };
            assert_eq!(log(), [false, true, false, false, true]);
            assert_eq!(change(Some(true), Some(Level::Debug)), Switches { messages: true, level: Level::Debug });
            assert_eq!(log(), [true, true, true, false, true]);
            assert_eq!(change(None, Some(Level::Error)), Switches { messages: true, level: Level::Error });
            assert_eq!(log(), [true, false, false, false, false], "the lines of messages are switched by themselves");
            assert_eq!(change(Some(false), None), Switches { messages: false, level: Level::Error });
            assert_eq!(log(), [false; 5]);
        });
        drop(taken);
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields() {
        let (hand, taken) = mpsc::sync_channel(0);
        let switches = Switches { messages: true, level: Level::Info };
        let (subscriber, _logging) = build(Style::Json, switches, None, Handed(hand)).expect("a log");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: MESSAGE_TARGET, key = "a\nb", "accepted");
            let line: serde_json::Value = serde_json::from_str(&until(&taken, "\n")).expect("JSON");
            assert_eq!((&line["message"], &line["key"]), (&"accepted".into(), &"a\nb".into()));
            assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &MESSAGE_TARGET.into()));
        });
        drop(taken);
    }
}
