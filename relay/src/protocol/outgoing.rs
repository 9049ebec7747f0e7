//! What an outgoing text says of whom it is for and of its trace, read back from it: a store keeps the text and not how
//! it was routed.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use slipstream_store::{PeerId, Tag};

use super::fields::{Field, Fields, read};
use super::trace::TraceContext;

static TARGETED_INSTANCES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"targetedInstances\""));

static TRACEPARENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"traceparent\""));

/// `targetedInstances` of an outgoing text; empty where it is for everyone.
#[must_use]
pub fn targeted_instances(text: &[u8]) -> Box<[PeerId]> {
    // Mostly there are none, and finding that out must not cost a pass over the JSON.
    if TARGETED_INSTANCES.find(text).is_none() {
        return Box::default();
    }
    ids(text, Field::TargetedInstances)
}

/// `targetedTags` of an outgoing text; empty where it is for all tags.
#[must_use]
pub fn targeted_tags(text: &[u8]) -> Box<[Tag]> {
    let tags = fields(text).and_then(|fields| read::names(&fields, Field::TargetedTags, usize::MAX).ok());
    tags.unwrap_or_default().into()
}

/// `messagePath` of an outgoing text.
#[must_use]
pub fn path(text: &[u8]) -> Box<[PeerId]> {
    ids(text, Field::MessagePath)
}

/// The trace that an outgoing text belongs to, if it names one.
#[must_use]
pub fn trace_context(text: &[u8]) -> Option<TraceContext> {
    TRACEPARENT.find(text)?;
    TraceContext::read(&fields(text)?)
}

/// The ids in a field. No limit is looked at again.
fn ids(text: &[u8], field: Field) -> Box<[PeerId]> {
    let ids = fields(text).and_then(|fields| read::names(&fields, field, usize::MAX).ok());
    ids.unwrap_or_default().into()
}

/// The fields of a text. It was written by this relay, so that it can be read.
fn fields(text: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields::new(usize::MAX);
    fields.scan(std::str::from_utf8(text).ok()?).ok()?;
    Some(fields)
}
