//! What this relay did with a message whose sender records its trace, as `tracing` events of the target
//! `slipstream::span` at the level trace, for whoever makes spans of them. Where nobody listens, that costs a look at the
//! message's flags.
//!
//! An event comes at the end of what it tells of, which began `took_ns` nanoseconds earlier. It never has the value of a
//! message.

use std::time::Duration;

use slipstream_store::{PeerId, Record};
use tracing::{Level, enabled, trace};

use crate::protocol::TraceContext;

/// What a delivery keeps of the trace of its message: nothing, unless somebody listens and the trace is sampled. The message
/// is not looked at otherwise.
pub(super) fn kept(context: impl FnOnce() -> Option<TraceContext>) -> Option<Box<TraceContext>> {
    if !enabled!(target: "slipstream::span", Level::TRACE) {
        return None;
    }
    context().filter(|context| context.sampled).map(Box::new)
}

/// A message was confirmed, so long after it was read. `outcome` is `recorded`, or `duplicate` if it was before.
pub(super) fn accepted(context: &TraceContext, record: &Record, outcome: &'static str, took: Duration) {
    if context.sampled {
        trace!(
            target: "slipstream::span",
            span = "accept",
            trace_id = context.trace_id.0,
            parent_id = context.parent_id.0,
            took_ns = nanoseconds(took),
            message_id = record.identity.id.as_str(),
            cluster_group = record.identity.group.as_str(),
            r#type = record.message_type.as_str(),
            from = record.route.received_from.as_str(),
            recipients = record.route.recipients.len(),
            outcome,
        );
    }
}

/// What a span of a delivery tells.
pub(super) struct Delivered<'a> {
    pub(super) context: &'a TraceContext,
    pub(super) message_id: &'a str,
    pub(super) cluster_group: &'a str,
    pub(super) to: &'a PeerId,
    /// How often it was sent again.
    pub(super) republished: u32,
    /// From when it was sent last.
    pub(super) took: Duration,
}

/// A delivery was acknowledged.
pub(super) fn delivered(delivered: &Delivered<'_>) {
    let Delivered { context, message_id, cluster_group, to, republished, took } = *delivered;
    if context.sampled {
        trace!(
            target: "slipstream::span",
            span = "deliver",
            trace_id = context.trace_id.0,
            parent_id = context.parent_id.0,
            took_ns = nanoseconds(took),
            message_id,
            cluster_group,
            to = to.as_str(),
            republished,
        );
    }
}

fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
