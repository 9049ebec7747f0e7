//! What a line says and looks like.

use std::cell::Cell;
use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::clock::Clock;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a person.
    Plain,
    /// For a person at a terminal.
    Coloured,
    /// One JSON object a line.
    Json,
}

/// A line that is being written. Fields come in their order, between [`Line::begin`] and [`Line::end`].
struct Line<'a> {
    style: Style,
    bytes: &'a mut Vec<u8>,
}

/// What a thread keeps from line to line.
#[derive(Default)]
struct Draft {
    bytes: Vec<u8>,
    clock: Clock,
}

thread_local! {
    static DRAFT: Cell<Draft> = Cell::default();
}

impl Style {
    /// Makes the line of an event, and hands it to `put`.
    pub(super) fn event(self, event: &Event<'_>, put: impl FnOnce(&[u8])) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        self.line(level, target, |line| event.record(line), put);
    }

    /// Makes the line that says how many others were left out.
    pub(super) fn left_out(self, count: usize) -> Vec<u8> {
        let say = |line: &mut Line<'_>| {
            let reason = "log lines were left out, because stderr was slower than the relay or took none";
            line.field("message", &Shown(&format_args!("{reason}")));
            line.field("dropped", &count);
        };
        let mut text = Vec::new();
        self.line(Level::WARN, "slipstream::logging", say, |line| text.extend_from_slice(line));
        text
    }

    fn line(self, level: Level, target: &str, say: impl FnOnce(&mut Line<'_>), put: impl FnOnce(&[u8])) {
        // Whoever logs while he is being logged finds an empty one.
        let mut draft = DRAFT.take();
        draft.bytes.clear();
        let mut line = Line { style: self, bytes: &mut draft.bytes };
        line.begin(&mut draft.clock, level, target);
        say(&mut line);
        line.end(target);
        put(&draft.bytes);
        DRAFT.set(draft);
    }
}

/// Writing to memory does not fail.
impl Line<'_> {
    fn begin(&mut self, clock: &mut Clock, level: Level, target: &str) {
        let now = clock.now();
        match self.style {
            Style::Plain | Style::Coloured => {
                let (colour, name) = match level {
                    Level::ERROR => ("31", "ERROR"),
                    Level::WARN => ("33", " WARN"),
                    Level::INFO => ("32", " INFO"),
                    Level::DEBUG => ("34", "DEBUG"),
                    Level::TRACE => ("35", "TRACE"),
                };
                self.coloured(DIM, now);
                self.text(" ");
                self.coloured(colour, name);
                self.text(" ");
                self.coloured(DIM, target);
                self.coloured(DIM, ":");
            }
            Style::Json => {
                for part in [r#"{"timestamp":""#, now, r#"","level":""#, level.as_str(), "\""] {
                    self.text(part);
                }
            }
        }
    }

    fn field(&mut self, name: &str, value: &(impl fmt::Debug + Serialize)) {
        match self.style {
            Style::Plain | Style::Coloured if name == "message" => {
                self.text(" ");
                let start = self.bytes.len();
                let _ = write!(self, "{value:?}");
                self.disarm(start);
            }
            Style::Plain | Style::Coloured => {
                self.text(" ");
                self.coloured(ITALIC, name);
                self.coloured(DIM, "=");
                let _ = write!(self, "{value:?}");
            }
            Style::Json => {
                self.text(",");
                let _ = serde_json::to_writer(&mut *self.bytes, name);
                self.text(":");
                let _ = serde_json::to_writer(&mut *self.bytes, value);
            }
        }
    }

    fn end(&mut self, target: &str) {
        match self.style {
            Style::Plain | Style::Coloured => self.text("\n"),
            Style::Json => {
                self.field("target", &target);
                self.text("}\n");
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn coloured(&mut self, colour: &str, text: &str) {
        if self.style == Style::Coloured {
            let _ = write!(self, "\x1b[{colour}m{text}\x1b[0m");
        } else {
            self.text(text);
        }
    }

    /// Takes from what stands there since `start` what a terminal would obey.
    fn disarm(&mut self, start: usize) {
        let obeyed = |c: char| matches!(c, '\x07' | '\x08' | '\x0c' | '\x1b' | '\x7f'..='\u{9f}');
        let text = String::from_utf8_lossy(&self.bytes[start..]);
        if !text.contains(obeyed) {
            return;
        }
        let text = text.into_owned();
        self.bytes.truncate(start);
        for c in text.chars() {
            let _ = match c {
                c if !obeyed(c) => self.write_char(c),
                c if c.is_ascii() => write!(self, "\\x{:02x}", u32::from(c)),
                c => write!(self, "\\u{{{:x}}}", u32::from(c)),
            };
        }
    }
}

const DIM: &str = "2";
const ITALIC: &str = "3";

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

impl Visit for Line<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.field("message", &Shown(&format_args!("{value}"))),
            name => self.field(name, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), &Shown(value));
    }
}

/// A value that is written as it shows itself.
struct Shown<'a>(&'a dyn fmt::Debug);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_log_while_it_is_logged() {
        let mut lines = Vec::new();
        let mut inner = Vec::new();
        let outside = |line: &mut Line<'_>| {
            let inside = |line: &mut Line<'_>| line.field("value", &1);
            Style::Json.line(Level::INFO, "inside", inside, |line| inner.extend_from_slice(line));
            line.field("value", &2);
        };
        Style::Json.line(Level::INFO, "outside", outside, |line| lines.extend_from_slice(line));
        for (line, end) in [(inner, r#","value":1,"target":"inside"}"#), (lines, r#","value":2,"target":"outside"}"#)] {
            let line = String::from_utf8_lossy(&line);
            assert!(line.starts_with(r#"{"timestamp":""#) && line.ends_with(&format!("{end}\n")), "{line}");
        }
    }
}
