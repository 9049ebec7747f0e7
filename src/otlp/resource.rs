//! Who this relay is to a collector.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use slipstream_store::PeerId;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The relay of this process.
pub(super) fn of(relay: &PeerId) -> Resource {
    let attributes =
        [("service.name", "slipstream"), ("service.version", VERSION), ("service.instance.id", relay.as_str())];
    Resource { attributes: attributes.map(|(name, value)| text(name, value)).into(), ..Resource::default() }
}

/// What measures.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "slipstream".to_owned(),
        version: VERSION.to_owned(),
        ..InstrumentationScope::default()
    }
}

/// An attribute that is a text.
pub(super) fn text(name: impl Into<String>, value: impl Into<String>) -> KeyValue {
    attribute(name, Value::StringValue(value.into()))
}

/// An attribute.
pub(super) fn attribute(name: impl Into<String>, value: Value) -> KeyValue {
    KeyValue { key: name.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
