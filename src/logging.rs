//! Log lines: which are written, how they look, and how they reach stderr without ever holding up the relay.
//!
//! Lines go through a bounded queue to a thread of its own. Where stderr is slower than the relay, lines are left out
//! and counted, and the log says how many.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::{Arc, OnceLock};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use crate::config::LogFormat;

/// The target of the one line a message. Such an event has level info.
pub const MESSAGE_TARGET: &str = "slipstream::message";

/// Most lines that wait for stderr.
const QUEUED_LINES: usize = 8192;

/// Bytes that are collected before one write; what is there when the queue is empty is written at once.
const WRITE_BYTES: usize = 64 * 1024;

/// What is logged, beside warnings and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// One line a message.
    pub messages: bool,
    /// The level of Slipstream's own events: debug, or else info.
    pub debug: bool,
}

impl Switches {
    fn filter(self) -> Targets {
        let own = if self.debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
        let messages = if self.messages { own } else { LevelFilter::OFF };
        Targets::new()
            .with_default(LevelFilter::INFO)
            .with_target("slipstream", own)
            .with_target(MESSAGE_TARGET, messages)
    }
}

/// The log of this process. Dropping it writes what is queued, for which it waits about a second at most; lines that
/// come later are lost.
#[derive(Debug)]
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
    dropped: ErrorCounter,
    _worker: WorkerGuard,
}

/// Starts the log of this process, on stderr.
///
/// # Errors
/// Where the process has a log already.
pub fn install(format: LogFormat, switches: Switches) -> Result<Logging, tracing::subscriber::SetGlobalDefaultError> {
    let stderr = io::stderr();
    let colours = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (subscriber, logging) = build(format, switches, colours, stderr);
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(logging)
}

impl Logging {
    /// Changes what is logged, from the next event on.
    ///
    /// # Errors
    /// Where the log's lock was poisoned by a panic; nothing changed.
    pub fn switch(&self, switches: Switches) -> Result<(), reload::Error> {
        self.filter.reload(switches.filter())
    }

    /// How many lines were left out so far, because stderr was too slow.
    #[must_use]
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

fn build(
    format: LogFormat,
    switches: Switches,
    colours: bool,
    sink: impl Write + Send + 'static,
) -> (impl Subscriber + Send + Sync, Logging) {
    let counter = Arc::new(OnceLock::new());
    let sink =
        Sink { lines: BufWriter::with_capacity(WRITE_BYTES, sink), format, counter: Arc::clone(&counter), told: 0 };
    let (queue, worker) =
        NonBlockingBuilder::default().buffered_lines_limit(QUEUED_LINES).thread_name("log").finish(sink);
    let dropped = counter.get_or_init(|| queue.error_counter()).clone();
    // The filter stands below the layer that formats, so that an event that is switched off costs one load of its
    // callsite's cached interest.
    let (filter, handle) = reload::Layer::new(switches.filter());
    let subscriber = Registry::default().with(filter).with(lines(format, colours, queue));
    let logging = Logging { filter: handle, dropped, _worker: worker };
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
    told: usize,
}

impl<W: Write> Sink<W> {
    fn tell_dropped(&mut self) -> io::Result<()> {
        let dropped = self.counter.get().map_or(0, ErrorCounter::dropped_lines);
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

const TOO_SLOW: &str = "log lines were left out, because stderr is slower than the relay";

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lines.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tell_dropped()?;
        self.lines.flush()
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
    fn switches_choose_the_lines_also_at_runtime() {
        let (hand, taken) = mpsc::sync_channel(0);
        let quiet = Switches { messages: false, debug: false };
        let (subscriber, logging) = build(LogFormat::Human, quiet, false, Handed(hand));
        tracing::subscriber::with_default(subscriber, || {
            let log = || {
                tracing::info!(target: MESSAGE_TARGET, "a message");
                tracing::debug!(target: "slipstream::relay", "a detail");
                tracing::debug!(target: "hyper", "a foreign detail");
                tracing::info!(target: "slipstream::relay", "the end");
            };
            log();
            let text = until(&taken, "the end\n");
            assert!(!text.contains("a message") && !text.contains("detail"), "{text}");
            logging.switch(Switches { messages: true, debug: true }).expect("switched");
            log();
            let text = until(&taken, "the end\n");
            assert!(text.contains(" INFO slipstream::message: a message\n"), "{text}");
            assert!(text.contains("DEBUG slipstream::relay: a detail\n") && !text.contains("foreign"), "{text}");
        });
        drop(taken);
    }

    #[test]
    fn a_json_line_is_one_object_with_its_fields() {
        let (hand, taken) = mpsc::sync_channel(0);
        let (subscriber, _logging) =
            build(LogFormat::Json, Switches { messages: true, debug: false }, true, Handed(hand));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: MESSAGE_TARGET, key = "a\nb", "accepted");
            let line: serde_json::Value = serde_json::from_str(&until(&taken, "\n")).expect("JSON");
            assert_eq!((&line["message"], &line["key"]), (&"accepted".into(), &"a\nb".into()));
            assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &MESSAGE_TARGET.into()));
        });
        drop(taken);
    }

    #[test]
    fn a_stderr_that_stands_still_loses_lines_and_says_so() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let (hand, taken) = mpsc::sync_channel(0);
            let (subscriber, logging) = build(format, Switches { messages: true, debug: false }, false, Handed(hand));
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
