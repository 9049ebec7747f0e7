//! A draft that is ready: the writes for the engine and the changes for the ledger.

use std::collections::BTreeMap;

use slipstream_store::{PeerId, Result};

use crate::codec::{self, OwedRow, SeenRow};
use crate::deliveries::message_row;
use crate::draft::{Draft, RecordedHere, ResolvedRoute};
use crate::engine::{Table, Write};
use crate::journal::{JournalRow, Names, Recorded, Redriven, RouteEntry, Settled, state_code};
use crate::keys;
use crate::ledger::{Changes, OldestRow, OwedChange};
use crate::owned::OwnedMessage;
use crate::peers;

/// The key of the only row of the table of what there is once a store.
pub(crate) const META: &[u8] = b"ledger";

/// A row that is written, or removed where it has no value: its table, its key and its value.
type RowWrite = (Table, Vec<u8>, Option<Vec<u8>>);

/// What a draft came to.
pub(crate) struct Prepared<'b> {
    recorded: Vec<RecordedHere<'b>>,
    routes: Vec<ResolvedRoute<'b>>,
    appended: Vec<OwnedMessage>,
    removed_messages: Vec<(u64, u64)>,
    rows: Vec<RowWrite>,
    pub(crate) changes: Changes,
}

impl Prepared<'_> {
    /// The writes, in order. None where nothing changes.
    pub(crate) fn writes(&self) -> Vec<Write<'_>> {
        let mut writes = Vec::with_capacity(self.recorded.len() + self.rows.len() + 4);
        // None of those that are added here. First, so that these can have their room.
        writes.extend(self.removed_messages.iter().map(|&(first, last)| Write::RemoveMessages { first, last }));
        let owed = self.recorded.iter().filter(|recorded| !self.routes[recorded.route].recipients.is_empty());
        let mut appended = self.appended.iter().peekable();
        for recorded in owed {
            while let Some(first) = appended.next_if(|message| message.sequence < recorded.sequence) {
                writes.push(Write::Message(first.row()));
            }
            writes.push(Write::Message(message_row(recorded, &self.routes[recorded.route])));
        }
        writes.extend(appended.map(|message| Write::Message(message.row())));
        writes.extend(self.rows.iter().map(|(table, key, value)| match value {
            Some(value) => Write::Put { table: *table, key, value },
            None => Write::Remove { table: *table, key },
        }));
        writes
    }
}

impl<'b> Draft<'_, 'b> {
    /// Turns the draft into writes and changes. `carried` are rows of the journal that are written again, as of
    /// `carried_at`.
    pub(crate) fn finish(mut self, carried: &[JournalRow<'_>], carried_at: u64) -> Result<Prepared<'b>> {
        self.end()?;
        let mut rows = Vec::with_capacity(self.owed.len() + self.rows.len() + 8);
        self.journal(carried, carried_at, &mut rows)?;
        for ((table, key), value) in std::mem::take(&mut self.rows) {
            rows.push((table, key, value));
        }
        for touched in self.owed.iter().filter(|touched| touched.now.bits != touched.before.bits) {
            let bits = touched.now.bits;
            let value = if bits.is_empty() { None } else { Some(codec::encode(&OwedRow { bits: bits.to_bytes() })?) };
            rows.push((Table::Owed, keys::pair(touched.number, touched.block), value));
        }
        for (&key, block) in &self.seen {
            let row = block.map(|block| SeenRow { bits: block.bits.to_bytes(), latest: block.latest });
            rows.push((Table::Seen, keys::epoch_block(key), row.map(|row| codec::encode(&row)).transpose()?));
        }
        for (&number, block) in &self.blocks {
            let value = block.map(|block| codec::encode(&block.row())).transpose()?;
            rows.push((Table::Blocks, keys::number(number), value));
        }
        for (id, state) in &self.peers {
            let value = state.as_ref().map(peers::encode).transpose()?;
            rows.push((Table::Peers, id.as_str().as_bytes().to_vec(), value));
        }
        if !rows.is_empty() || self.counters != self.ledger.counters || self.relay != self.ledger.relay {
            let meta = codec::encode(&self.counters.row(self.relay.as_ref()))?;
            rows.push((Table::Meta, META.to_vec(), Some(meta)));
        }
        Ok(self.into_prepared(rows))
    }

    fn into_prepared(self, rows: Vec<RowWrite>) -> Prepared<'b> {
        let owed = self.owed.into_iter().map(|touched| OwedChange {
            before: touched.before.bits.count(),
            peer: touched.peer,
            number: touched.number,
            block: touched.block,
            now: touched.now,
        });
        let changes = Changes {
            counters: self.counters,
            relay: self.relay,
            peers: self.peers.into_iter().collect(),
            identities: self.new_identities,
            forgotten_identities: self.forgotten_identities,
            owed: owed.collect(),
            seen: self.seen.into_iter().collect(),
            blocks: self.blocks.into_iter().collect(),
            dirty: self.dirty,
            clean: self.clean,
            oldest_row: self.oldest_row,
        };
        Prepared {
            recorded: self.recorded,
            routes: self.routes,
            appended: self.appended,
            removed_messages: self.removed_messages,
            rows,
            changes,
        }
    }

    /// Adds the row of the journal, where there is anything to put in.
    fn journal(&mut self, carried: &[JournalRow<'_>], carried_at: u64, rows: &mut Vec<RowWrite>) -> Result<()> {
        let commit = self.counters.next_commit;
        let row = self.journal_row(carried, carried_at)?;
        if row.is_empty() {
            return Ok(());
        }
        let value = codec::encode(&row)?;
        let oldest = OldestRow { commit, latest: row.latest, last_recorded: row.last_recorded() };
        self.oldest_row.get_or_insert(oldest);
        self.counters.next_commit += 1;
        self.counters.journal_bytes += value.len() as u64;
        rows.push((Table::Journal, keys::number(commit), Some(value)));
        Ok(())
    }

    fn journal_row<'r>(&'r self, carried: &'r [JournalRow<'_>], carried_at: u64) -> Result<JournalRow<'r>> {
        let mut names = Names::default();
        let mut row = JournalRow::default();
        self.journal_recorded(&mut names, &mut row);
        for settled in &self.settled {
            row.latest = row.latest.max(settled.at);
            row.settled.push(Settled {
                peer: names.of(settled.peer.as_str()),
                state: state_code(settled.state),
                at: settled.at,
                origin: settled.origin,
                runs: settled.bits.runs(settled.block, 1).map(|(first, last)| (first, last - first + 1)).collect(),
            });
        }
        for (peer, redriven) in &self.redriven {
            row.redriven.push(Redriven { peer: names.of(peer.as_str()), ..*redriven });
        }
        for carried in carried {
            carry(carried, &mut names, &mut row)?;
            row.latest = row.latest.max(carried_at);
        }
        row.names = names.into_list();
        Ok(row)
    }

    fn journal_recorded<'r>(&'r self, names: &mut Names<'r>, row: &mut JournalRow<'r>) {
        row.routes = self.routes.iter().map(|resolved| route_entry(resolved, names)).collect();
        // Neighbours mostly share their group and their type.
        let (mut last_group, mut last_type) = (("", 0), ("", 0));
        for here in &self.recorded {
            let record = here.record;
            let group = record.identity.group.as_str();
            if last_group.0 != group {
                last_group = (group, names.of(group));
            }
            let message_type = record.message_type.as_str();
            if last_type.0 != message_type {
                last_type = (message_type, names.of(message_type));
            }
            row.latest = row.latest.max(record.received_at.as_millis());
            row.recorded.push(Recorded {
                sequence: here.sequence,
                group: last_group.1,
                id: record.identity.id.as_str(),
                fingerprint: record.fingerprint.as_u64(),
                message_type: last_type.1,
                key: record.key.as_ref().map(|key| key.as_str()),
                received_at: record.received_at.as_millis(),
                route: u32::try_from(here.route).unwrap_or(u32::MAX),
            });
        }
    }
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
        let route = match routes.get(&recorded.route) {
            Some(&route) => route,
            None => {
                let old = carried.route(recorded.route)?;
                let mut moved = |name| Ok(names.of(carried.name(name)?));
                let entry = RouteEntry {
                    received_from: moved(old.received_from)?,
                    path: old.path.iter().copied().map(&mut moved).collect::<Result<_>>()?,
                    recipients: old.recipients.iter().copied().map(&mut moved).collect::<Result<_>>()?,
                };
                row.routes.push(entry);
                let route = u32::try_from(row.routes.len() - 1).unwrap_or(u32::MAX);
                routes.insert(recorded.route, route);
                route
            }
        };
        row.recorded.push(Recorded {
            group: names.of(carried.name(recorded.group)?),
            message_type: names.of(carried.name(recorded.message_type)?),
            route,
            ..*recorded
        });
    }
    for settled in &carried.settled {
        row.settled.push(Settled { peer: names.of(carried.name(settled.peer)?), ..settled.clone() });
    }
    for redriven in &carried.redriven {
        row.redriven.push(Redriven { peer: names.of(carried.name(redriven.peer)?), ..*redriven });
    }
    Ok(())
}
