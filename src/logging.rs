//! Log lines: which are written, how they look, and how they reach stderr without ever holding up the relay.
//!
//! Lines go through a bounded queue to a thread of its own. Where stderr is slower than the relay, lines are left out
//! and counted, and the log says how many.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{FilterFn, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt as _};
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

/// Most lines that wait for stderr.
const QUEUED_LINES: usize = 8192;

/// Bytes that are collected before one write; what is there when the queue is empty is written at once.
const WRITE_BYTES: usize = 64 * 1024;

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
    dropped: ErrorCounter,
    _worker: WorkerGuard,
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
/// Where the process has a log already.
pub fn install(
    format: LogFormat,
    switches: Switches,
    spans: Option<Beside>,
) -> Result<Logging, tracing::subscriber::SetGlobalDefaultError> {
    let stderr = io::stderr();
    let colours = stderr.is_terminal() && !wants_plain_text();
    let (subscriber, logging) = build(format, switches, spans, colours, stderr);
    tracing::subscriber::set_global_default(subscriber)?;
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

    /// How many lines were left out so far, because stderr was too slow.
    #[must_use]
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
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
    format: LogFormat,
    switches: Switches,
    spans: Option<Beside>,
    colours: bool,
    sink: impl Write + Send + 'static,
) -> (impl Subscriber + Send + Sync, Logging) {
    let counter = Arc::new(OnceLock::new());
    let sink = Sink {
        lines: BufWriter::with_capacity(WRITE_BYTES, sink),
        format,
        counter: Arc::clone(&counter),
        failed: 0,
        told: 0,
    };
    let (queue, worker) =
        NonBlockingBuilder::default().buffered_lines_limit(QUEUED_LINES).thread_name("log").finish(sink);
    let dropped = counter.get_or_init(|| queue.error_counter()).clone();
    // The filter stands below the layer that formats, so that an event that is switched off costs one load of its
    // callsite's cached interest.
    let has_spans = spans.is_some();
    let (filter, handle) = reload::Layer::new(switches.filter(has_spans));
    let lines = match lines(format, colours, queue) {
        lines if has_spans => lines.with_filter(FilterFn::new(|event| event.target() != SPAN_TARGET)).boxed(),
        lines => lines,
    };
    let subscriber = Registry::default().with(filter).with(spans).with(lines);
    let control = LogControl { filter: handle, current: Arc::new(Mutex::new(switches)), spans: has_spans };
    let logging = Logging { control, dropped, _worker: worker };
    (subscriber, logging)
}

fn lines<S>(format: LogFormat, colours: bool, queue: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(queue);
    match format {
        LogFormat::Human => lines.with_ansi(colours).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// Where the thread of the log writes. It says how many lines did not come through the queue.
struct Sink<W: Write> {
    lines: BufWriter<W>,
    format: LogFormat,
    counter: Arc<OnceLock<ErrorCounter>>,
    /// Lines that stderr did not take.
    failed: usize,
    told: usize,
}

impl<W: Write> Sink<W> {
    fn tell_dropped(&mut self) -> io::Result<()> {
        let dropped = self.counter.get().map_or(0, ErrorCounter::dropped_lines).saturating_add(self.failed);
        if dropped == self.told {
            return Ok(());
        }
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now)).map_err(io::Error::other)?;
        let count = dropped.saturating_sub(self.told);
        match self.format {
            LogFormat::Human => writeln!(self.lines, "{now}  WARN slipstream::logging: {TOO_SLOW} dropped={count}")?,
            LogFormat::Json => writeln!(
                self.lines,
                r#"{{"timestamp":"{now}","level":"WARN","message":"{TOO_SLOW}","dropped":{count},"target":"slipstream::logging"}}"#
            )?,
        }
        self.told = dropped;
        Ok(())
    }
}

const TOO_SLOW: &str = "log lines were left out, because stderr was slower than the relay or took none";

/// It never fails: the thread of the log could tell nobody, and goes on.
impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.lines.write_all(bytes).is_err() {
            self.failed = self.failed.saturating_add(1);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What was not written is kept up to the size of the buffer, and counted beyond.
        let _ = self.tell_dropped().and_then(|()| self.lines.flush());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
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
        let (subscriber, logging) = build(LogFormat::Human, quiet, None, false, Handed(hand));
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
        let (subscriber, _logging) =
            build(LogFormat::Json, Switches { messages: true, level: Level::Info }, None, true, Handed(hand));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: MESSAGE_TARGET, key = "a\nb", "accepted");
            let line: serde_json::Value = serde_json::from_str(&until(&taken, "\n")).expect("JSON");
            assert_eq!((&line["message"], &line["key"]), (&"accepted".into(), &"a\nb".into()));
            assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &MESSAGE_TARGET.into()));
        });
        drop(taken);
    }

    #[test]
    fn a_stderr_that_takes_nothing_loses_lines_and_says_so_once_it_takes_some() {
        /// A disk that is full until there is room.
        struct Room(Arc<AtomicBool>, Arc<Mutex<Vec<u8>>>);

        impl Write for Room {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if !self.0.load(Ordering::SeqCst) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.1.lock().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let (room, written) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let counter = Arc::new(OnceLock::new());
        let lines = BufWriter::with_capacity(16, Room(Arc::clone(&room), Arc::clone(&written)));
        let mut sink = Sink { lines, format: LogFormat::Human, counter, failed: 0, told: 0 };
        for line in ["one\n", "a line that is longer than the buffer\n", "two\n", "many more lines\n"] {
            sink.write_all(line.as_bytes()).and_then(|()| sink.flush()).expect("it never fails");
        }
        room.store(true, Ordering::SeqCst);
        sink.write_all(b"three\n").and_then(|()| sink.flush()).expect("it never fails");
        let text = String::from_utf8(written.lock().clone()).expect("UTF-8");
        assert!(text.starts_with("one\ntwo\nthree\n"), "{text}");
        assert!(text.contains(TOO_SLOW) && text.ends_with("dropped=2\n"), "{text}");
    }

    #[test]
    fn a_stderr_that_stands_still_loses_lines_and_says_so() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let (hand, taken) = mpsc::sync_channel(0);
            let (subscriber, logging) =
                build(format, Switches { messages: true, level: Level::Info }, None, false, Handed(hand));
            tracing::subscriber::with_default(subscriber, || {
                // The thread takes lines until its buffer is full or it tries to write; the rest waits in the queue.
                while logging.dropped_lines() < 10 {
                    tracing::info!("a line");
                }
            });
            let dropped = logging.dropped_lines();
            let count = match format {
                LogFormat::Human => format!("dropped={dropped}\n"),
                LogFormat::Json => format!("\"dropped\":{dropped},"),
            };
            let text = until(&taken, &count);
            assert!(text.contains(TOO_SLOW), "{text}");
            drop(taken);
        }
    }
}
