//! From the events of spans to spans in the queue. Whoever brings an event never waits.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
pub(super) use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::resource::{attribute, text};
use super::spans;
use crate::logging::SPAN_TARGET;

/// Most spans that wait for the collector. One has about 1 KiB.
pub(super) const QUEUED_SPANS: usize = 4096;

/// Sampled, and of a parent in another process: the lowest byte has the flags of the trace, the next two bits say that.
const FLAGS: u32 = 0x301;

/// Takes the events of spans.
pub(super) struct SpanLayer(mpsc::Sender<Span>);

impl SpanLayer {
    pub(super) fn new(queue: mpsc::Sender<Span>) -> Self {
        Self(queue)
    }
}

impl<S: Subscriber> Layer<S> for SpanLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != SPAN_TARGET {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        if self.0.try_send(fields.into_span(now())).is_err() {
            spans::dropped(1);
        }
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    name: &'static str,
    trace_id: u128,
    parent_id: u64,
    took_ns: u64,
    attributes: Vec<KeyValue>,
}

impl Fields {
    /// The span that ends now.
    fn into_span(self, now: u64) -> Span {
        let Self { name, trace_id, parent_id, took_ns, mut attributes } = self;
        let (kind, operation) = match name {
            "accept" => (SpanKind::Consumer, "receive"),
            _ => (SpanKind::Producer, "send"),
        };
        attributes.push(text("messaging.system", "slipstream"));
        attributes.push(text("messaging.operation.name", name));
        attributes.push(text("messaging.operation.type", operation));
        Span {
            trace_id: trace_id.to_be_bytes().into(),
            span_id: new_id().into(),
            parent_span_id: parent_id.to_be_bytes().into(),
            flags: FLAGS,
            name: format!("slipstream.{name}"),
            kind: kind.into(),
            start_time_unix_nano: now.saturating_sub(took_ns),
            end_time_unix_nano: now,
            attributes,
            ..Span::default()
        }
    }
}

/// What the conventions of OpenTelemetry have a name for, and what they have none for.
fn attribute_name(field: &str) -> String {
    match field {
        "message_id" => "messaging.message.id".to_owned(),
        "to" => "messaging.destination.name".to_owned(),
        other => format!("slipstream.{other}"),
    }
}

impl Visit for Fields {
    fn record_u128(&mut self, field: &Field, value: u128) {
        if field.name() == "trace_id" {
            self.trace_id = value;
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "parent_id" => self.parent_id = value,
            "took_ns" => self.took_ns = value,
            name => {
                let value = Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX));
                self.attributes.push(attribute(attribute_name(name), value));
            }
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "span" => self.name = if value == "accept" { "accept" } else { "deliver" },
            name => self.attributes.push(text(attribute_name(name), value)),
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// An id that no other span has. It must not be zero.
fn new_id() -> [u8; 8] {
    let mut id = [0; 8];
    // Without randomness there is none that is sure to be new; the time is the next best.
    if getrandom::fill(&mut id).is_err() || id == [0; 8] {
        id = now().max(1).to_be_bytes();
    }
    id
}

/// Nanoseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "others compare spans with their own; a simulation exports none")]
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
