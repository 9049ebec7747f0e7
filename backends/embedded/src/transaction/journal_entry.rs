//! The row of the journal that a transaction writes.

use std::collections::BTreeMap;

use slipstream_store::{PeerId, Record, Result, Route};

use crate::rows::journal::{JournalRow, Names, Recorded, Redriven, RouteEntry, Settled, Stamped, state_code};
use crate::rows::runs::Runs;
use crate::transaction::deliveries::Deliveries;
use crate::transaction::imports::{Imported, Imports};
use crate::transaction::recording::{Recording, ResolvedRoute};

/// What was recorded and settled, and what is left of older rows, as of `carried_at`.
pub(crate) fn row<'r>(
    recording: &'r Recording<'_>,
    deliveries: &'r Deliveries,
    imports: &'r Imports<'_>,
    carried: &'r [JournalRow<'_>],
    carried_at: u64,
) -> Result<JournalRow<'r>> {
    let mut names = Names::default();
    let mut row = JournalRow::default();
    add_recorded(recording, &mut names, &mut row);
    for imported in &imports.imported {
        add_imported(imported, &mut names, &mut row);
    }
    for settled in &deliveries.settled {
        row.latest = row.latest.max(settled.at);
        row.settled.push(Settled {
            peer: names.of(settled.peer.as_str()),
            state: state_code(settled.state),
            at: settled.at,
            origin: settled.origin,
            runs: settled.bits.numbers(settled.block).collect(),
        });
    }
    for (peer, redriven) in &deliveries.redriven {
        row.redriven.push(Redriven { peer: names.of(peer.as_str()), ..*redriven });
    }
    for carried in carried {
        carry(carried, &mut names, &mut row)?;
        row.latest = row.latest.max(carried_at);
    }
    row.names = names.into_list();
    Ok(row)
}

fn add_recorded<'r>(recording: &'r Recording<'_>, names: &mut Names<'r>, row: &mut JournalRow<'r>) {
    row.routes = recording.routes.iter().map(|resolved| route_entry(resolved, names)).collect();
    // Neighbours mostly share their group and their type.
    let (mut last_group, mut last_type) = (("", 0), ("", 0));
    let mut stamped: BTreeMap<[u8; 16], Runs> = BTreeMap::new();
    for message in &recording.messages {
        let record = message.record;
        let group = record.identity.group.as_str();
        if last_group.0 != group {
            last_group = (group, names.of(group));
        }
        let message_type = record.message_type.as_str();
        if last_type.0 != message_type {
            last_type = (message_type, names.of(message_type));
        }
        row.latest = row.latest.max(record.received_at.as_millis());
        let route = u32::try_from(message.route).unwrap_or(u32::MAX);
        row.recorded.push(told(message.sequence, record, last_group.1, last_type.1, route));
        if let Some(epoch) = record.epoch {
            stamped.entry(epoch.to_bytes()).or_default().push(message.sequence);
        }
    }
    row.stamped.extend(stamped.into_iter().map(|(epoch, runs)| Stamped { epoch, runs }));
}

/// What a row tells of a message, with the numbers of its group, its type and its route there.
fn told(sequence: u64, record: &Record, group: u32, message_type: u32, route: u32) -> Recorded<'_> {
    Recorded {
        sequence,
        group,
        id: record.identity.id.as_str(),
        fingerprint: record.fingerprint.as_u64(),
        message_type,
        key: record.key.as_ref().map(|key| key.as_str()),
        received_at: record.received_at.as_millis(),
        route,
    }
}

fn add_imported<'r>(Imported { sequence, record }: &Imported<'r>, names: &mut Names<'r>, row: &mut JournalRow<'r>) {
    let Route { received_from, path, .. } = &*record.route;
    row.routes.push(RouteEntry {
        received_from: names.of(received_from.as_str()),
        path: path.iter().map(|peer| names.of(peer.as_str())).collect(),
        recipients: Vec::new(),
    });
    row.latest = row.latest.max(record.received_at.as_millis());
    let group = names.of(record.identity.group.as_str());
    let message_type = names.of(record.message_type.as_str());
    row.imported.push(told(*sequence, record, group, message_type, number_of_last(&row.routes)));
}

fn route_entry<'r>(resolved: &'r ResolvedRoute<'_>, names: &mut Names<'r>) -> RouteEntry {
    RouteEntry {
        received_from: names.of(resolved.route.received_from.as_str()),
        path: resolved.route.path.iter().map(|peer| names.of(peer.as_str())).collect(),
        recipients: resolved.recipients.iter().map(|(peer, _)| names.of(PeerId::as_str(peer))).collect(),
    }
}

/// Adds what is left of an older row to a row.
fn carry<'r>(carried: &'r JournalRow<'r>, names: &mut Names<'r>, row: &mut JournalRow<'r>) -> Result<()> {
    let mut routes = BTreeMap::new();
    for recorded in &carried.recorded {
        let recorded = moved(carried, recorded, &mut routes, names, row)?;
        row.recorded.push(recorded);
    }
    for imported in &carried.imported {
        let imported = moved(carried, imported, &mut routes, names, row)?;
        row.imported.push(imported);
    }
    for settled in &carried.settled {
        row.settled.push(Settled { peer: names.of(carried.name(settled.peer)?), ..settled.clone() });
    }
    row.stamped.extend(carried.stamped.iter().cloned());
    for redriven in &carried.redriven {
        row.redriven.push(Redriven { peer: names.of(carried.name(redriven.peer)?), ..*redriven });
    }
    Ok(())
}

/// What an older row says of a message, as it stands in a row that it is written to again. `routes` are those that were
/// moved, by their old number.
fn moved<'r>(
    carried: &'r JournalRow<'r>,
    recorded: &Recorded<'r>,
    routes: &mut BTreeMap<u32, u32>,
    names: &mut Names<'r>,
    row: &mut JournalRow<'r>,
) -> Result<Recorded<'r>> {
    let route = match routes.get(&recorded.route) {
        Some(&route) => route,
        None => {
            let old = carried.route(recorded.route)?;
            let mut moved = |name| Ok(names.of(carried.name(name)?));
            row.routes.push(RouteEntry {
                received_from: moved(old.received_from)?,
                path: old.path.iter().copied().map(&mut moved).collect::<Result<_>>()?,
                recipients: old.recipients.iter().copied().map(&mut moved).collect::<Result<_>>()?,
            });
            let route = number_of_last(&row.routes);
            routes.insert(recorded.route, route);
            route
        }
    };
    Ok(Recorded {
        group: names.of(carried.name(recorded.group)?),
        message_type: names.of(carried.name(recorded.message_type)?),
        route,
        ..*recorded
    })
}

fn number_of_last(routes: &[RouteEntry]) -> u32 {
    u32::try_from(routes.len().saturating_sub(1)).unwrap_or(u32::MAX)
}
