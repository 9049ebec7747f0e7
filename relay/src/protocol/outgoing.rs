//! What an outgoing text says of whom it is for, read back from it: a store keeps the text and not how it was routed.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use slipstream_store::PeerId;

use super::fields::{Field, Fields, read};

static TARGETED_INSTANCES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"targetedInstances\""));

/// `targetedInstances` of an outgoing text; empty where it is for everyone.
#[must_use]
pub fn targeted_instances(text: &[u8]) -> Box<[PeerId]> {
    // Mostly there are none, and finding that out must not cost a pass over the JSON.
    if TARGETED_INSTANCES.find(text).is_none() {
        return Box::default();
    }
    ids(text, Field::TargetedInstances)
}

/// `messagePath` of an outgoing text.
#[must_use]
pub fn path(text: &[u8]) -> Box<[PeerId]> {
    ids(text, Field::MessagePath)
}

/// The ids in a field. The text was written by this relay, so that it can be read; no limit is looked at again.
fn ids(text: &[u8], field: Field) -> Box<[PeerId]> {
    let mut fields = Fields::new(usize::MAX);
    let read = std::str::from_utf8(text).is_ok_and(|text| fields.scan(text).is_ok());
    let ids = read.then(|| read::names(&fields, field, usize::MAX).ok()).flatten();
    ids.unwrap_or_default().into()
}
