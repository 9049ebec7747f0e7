//! Export to an OpenTelemetry collector, over OTLP/HTTP with protobuf, behind the cargo feature `otlp`.
//!
//! Spans are made of the events of the target `slipstream::span`, and wait in a bounded queue; what does not fit is dropped
//! and counted. Metrics are those of the metrics page, and are read from its text: so the two never differ, and nothing
//! is recorded twice. The messages of the protocol come from `opentelemetry-proto`. Its exporters are not used, since they
//! do not tell how much they drop.
//!
//! | file | subject |
//! | --- | --- |
//! | `exporter` | the tasks that export, from the start of the relay to its end |
//! | `layer` | from events to spans in the queue |
//! | `spans`, `metrics` | what is sent, when, and what is counted |
//! | `page` | the metrics page, read |
//! | `points` | from the page to the metrics of the protocol |
//! | `collector` | one request to the collector |
//! | `resource` | who this relay is to a collector |

#[cfg(not(feature = "otlp"))]
mod absent;
#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod layer;
#[cfg(feature = "otlp")]
mod metrics;
#[cfg(feature = "otlp")]
mod page;
#[cfg(feature = "otlp")]
mod points;
#[cfg(feature = "otlp")]
mod resource;
#[cfg(feature = "otlp")]
mod spans;

#[cfg(not(feature = "otlp"))]
pub(crate) use self::absent::Exporter;
#[cfg(feature = "otlp")]
pub(crate) use self::exporter::Exporter;
