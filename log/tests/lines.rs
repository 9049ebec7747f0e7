//! Lines, beside those that tracing-subscriber writes of the same events.

#![cfg(test)]

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use proptest::prelude::*;
use slipstream_log::{Lines, Style};
use tracing::{Event, Subscriber, debug, error, info, trace, warn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

/// What was written.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn take(&self) -> String {
        let bytes = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes).expect("UTF-8")
    }
}

struct Ours(Lines);

impl<S: Subscriber> Layer<S> for Ours {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.put(event, true);
    }
}

/// The line of what `log` logs, and that of tracing-subscriber, each without its time.
fn both(style: Style, log: impl FnOnce()) -> [String; 2] {
    let (ours, theirs) = (Text::default(), Text::default());
    let (lines, writing) = Lines::start(ours.clone(), style).expect("a thread");
    let writer = theirs.clone();
    let fmt = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let fmt: Box<dyn Layer<_> + Send + Sync> = match style {
        Style::Plain => fmt.with_ansi(false).boxed(),
        Style::Coloured => fmt.with_ansi(true).boxed(),
        Style::Json => fmt.json().flatten_event(true).boxed(),
    };
    tracing::subscriber::with_default(Registry::default().with(fmt).with(Ours(lines)), log);
    drop(writing);
    [ours, theirs].map(|text| without_time(&text.take()))
}

/// With `T` for a time in RFC 3339 with six digits of the second's fraction.
fn without_time(line: &str) -> String {
    let is_time = |part: &str| {
        let shape = part.chars().map(|c| if c.is_ascii_digit() { '0' } else { c });
        shape.eq("0000-00-00T00:00:00.000000Z".chars())
    };
    let at = (0..line.len()).find(|&at| line.get(at..at + 27).is_some_and(is_time)).expect("a time");
    format!("{}T{}", &line[..at], &line[at + 27..])
}

fn agree(style: Style, log: impl FnOnce()) -> String {
    let [ours, theirs] = both(style, log);
    assert_eq!(ours, theirs, "in {style:?}");
    ours
}

const STYLES: [Style; 3] = [Style::Plain, Style::Coloured, Style::Json];

#[test]
fn each_level_and_each_kind_of_value_is_a_line_like_theirs() {
    for style in STYLES {
        agree(style, || error!(error = %io::Error::other("full"), "no room"));
        agree(style, || warn!(left_out = 3, of = 4_u64, less = -1_i64, "{} lines", 3));
        agree(style, || info!(target: "slipstream::relay", yes = true, no = false, half = 0.5, one = 1.0, "values"));
        agree(style, || debug!(a_list = ?["one", "two"], nothing = None::<u64>, some = Some("x"), "more"));
        agree(style, || {
            trace!(big = u128::MAX, small = i128::MIN, huge = f64::INFINITY, no_number = f64::NAN, "numbers")
        });
        agree(style, || info!(only = "a field"));
        agree(style, || info!(message = "a text for a message", "and.dots" = 1, "a \"name\"" = 2, r#type = "SK"));
    }
}

/// Texts of what stands in a line otherwise than it is, and a few others.
const ODD: &str = "[\\x00-\\x1f\"\\\\\\x7f-\\u{a0}\u{2028}é😀a]{0,8}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_a_text_has_its_line_is_like_theirs(any in any::<String>(), odd in ODD) {
        for text in [&any, &odd] {
            for style in STYLES {
                let line = agree(style, || info!(shown = %text, quoted = text.as_str(), debugged = ?text, "{text}"));
                if style == Style::Json {
                    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                    let debugged = format!("{text:?}");
                    for (field, value) in [("message", text), ("shown", text), ("quoted", text), ("debugged", &debugged)] {
                        prop_assert_eq!(line[field].as_str(), Some(value.as_str()), "as {}", field);
                    }
                }
            }
        }
    }
}
