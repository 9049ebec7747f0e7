//! The applications that are held for from the start, as `SLIPSTREAM_SUBSCRIBERS` and the `[[subscriber]]` tables give
//! them.

use super::entry::{Entry, name, switch, tags};
use super::list::List;
use crate::relay::Subscriber;

/// Most subscribers of a relay.
pub const MAX_SUBSCRIBERS: usize = 10_000;

pub(in crate::config) const SUBSCRIBERS: List<Subscriber> = List {
    what: "subscribers",
    table: "subscriber",
    most: MAX_SUBSCRIBERS,
    fields: &["id", "tags", "clusterGroupId", "coalesce"],
    read: subscriber,
};

fn subscriber(entry: &mut Entry<'_>) -> Option<Subscriber> {
    entry.id = entry.shown("id", name);
    if !entry.has("id") {
        entry.faults.push("id: it is missing; expected the id under which the application links".to_owned());
    }
    let tags = entry.shown("tags", tags);
    let group = entry.shown("clusterGroupId", name);
    let coalesce = entry.shown("coalesce", switch);
    Some(Subscriber {
        id: entry.id.clone()?,
        tags: tags.filter(|tags| !tags.is_empty()),
        group,
        coalesce: coalesce.unwrap_or_default(),
    })
}
