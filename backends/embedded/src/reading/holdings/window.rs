//! A window of neighbouring messages, put together from all tables.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use hashbrown::HashMap;
use slipstream_store::{Fate, HeldMessage, HeldState, PeerId, Result, StoreError, Timestamp};

use super::draft::{Draft, Kept, peer, read_kept, sequence, text_of, told_of, window_end};
use super::once::Known;
use crate::engine::Tables;
use crate::rows::bits::{Bits, block_of};
use crate::rows::codec::{self, DeadRow, NoteRow, OwedRow, RedrivenRow};
use crate::rows::journal::{JournalRow, state_of};
use crate::rows::table::Table;
use crate::rows::{keys, packed, read};

/// How many blocks a window has: with a fan-out of fifty, 400,000 deliveries.
const BLOCKS: u64 = 8;

/// Most bytes of texts on a page.
const PAGE_BYTES: usize = 4 << 20;

/// The messages with sequences of a range.
pub(super) struct Window {
    range: Range<u64>,
    identities_from: u64,
    drafts: BTreeMap<u64, Draft>,
}

impl Window {
    /// Reads the window that begins with this sequence.
    pub(super) fn read(tables: &dyn Tables, known: &Known, first: u64) -> Result<Self> {
        let (end, identities_from) = (window_end(first, BLOCKS), known.identities_from);
        let mut window = Self { range: first..end, identities_from, drafts: BTreeMap::new() };
        for span in known.spans.iter().filter(|span| span.meets(first, end)) {
            let value = tables.get(Table::Journal, &keys::number(span.commit))?;
            let value = value.ok_or_else(|| StoreError::Corrupted(format!("commit {} has gone", span.commit)))?;
            let row = codec::decode_journal(&value)?;
            row.check_runs(known.next_sequence)?;
            window.take_told(&row)?;
            window.take_settled(&row)?;
        }
        window.take_dead(tables)?;
        window.take_redriven(tables, known)?;
        for (peer, number) in &known.peers {
            window.take_owed(tables, &peer.id, *number)?;
        }
        window.drafts.retain(|_, draft| draft.told.is_some() || draft.kept.is_some());
        Ok(window)
    }

    pub(super) fn covers(&self, first: u64) -> bool {
        self.range.contains(&first)
    }

    pub(super) fn end(&self) -> u64 {
        self.range.end
    }

    /// What happened to the deliveries of a message to a peer, if the message is of this window.
    fn fate(&mut self, origin: u64, peer: PeerId) -> Option<&mut Fate> {
        let inside = self.range.contains(&origin);
        inside.then(|| self.drafts.entry(origin).or_default().fates.entry(peer).or_default())
    }

    fn take_told(&mut self, row: &JournalRow<'_>) -> Result<()> {
        let recorded = row.recorded.iter().map(|told| (told, false));
        for (told, imported) in recorded.chain(row.imported.iter().map(|told| (told, true))) {
            if self.range.contains(&told.sequence) {
                let told_of = told_of(row, told, imported)?;
                self.drafts.entry(told.sequence).or_default().told = Some(told_of);
            }
        }
        for redriven in row.redriven.iter().filter(|redriven| self.range.contains(&redriven.origin)) {
            let (peer, under) = (peer(row.name(redriven.peer)?)?, sequence(redriven.sequence)?);
            self.drafts.entry(redriven.origin).or_default().fates.entry(peer).or_default().had(under);
        }
        Ok(())
    }

    fn take_settled(&mut self, row: &JournalRow<'_>) -> Result<()> {
        for settled in &row.settled {
            let (peer, state) = (peer(row.name(settled.peer)?)?, state_of(settled.state)?);
            let at = Timestamp::from_millis(settled.at);
            if let Some(origin) = settled.origin {
                if let (Some(under), Some(fate)) = (settled.runs.sequences().next(), self.fate(origin, peer)) {
                    fate.was_settled(sequence(under)?, at, state);
                }
                continue;
            }
            for (first, count) in settled.runs.iter() {
                let all = first.max(self.range.start)..first.saturating_add(count).min(self.range.end);
                for number in all {
                    let under = sequence(number)?;
                    self.drafts
                        .entry(number)
                        .or_default()
                        .fates
                        .entry(peer.clone())
                        .or_default()
                        .was_settled(under, at, state);
                }
            }
        }
        Ok(())
    }

    /// Dead letters that were not redriven.
    fn take_dead(&mut self, tables: &dyn Tables) -> Result<()> {
        let (first, end) = (keys::number(self.range.start), keys::number(self.range.end));
        tables.scan(Table::Dead, &first, &end, &mut |key, value| {
            let (number, id) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Dead))?;
            let row: DeadRow<'_> = codec::decode(value, "a dead letter")?;
            if row.origin.is_none()
                && let (under, Some(fate)) = (sequence(number)?, self.fate(number, peer(id)?))
            {
                fate.is_open(under, dead(&row));
                self.keep(number, Kept::Dead(key.to_vec()));
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Deliveries that were redriven and are pending or dead letters.
    fn take_redriven(&mut self, tables: &dyn Tables, known: &Known) -> Result<()> {
        let (first, end) = (keys::number(self.range.start), keys::number(self.range.end));
        tables.scan(Table::Redriven, &first, &end, &mut |key, value| {
            let (origin, id) = keys::split_sequence_and_peer(key).ok_or_else(|| read::bad_key(Table::Redriven))?;
            let RedrivenRow { sequence: number } = codec::decode(value, "a redriven delivery")?;
            let (id, under) = (peer(id)?, sequence(number)?);
            let key = keys::sequence_and_peer(number, id.as_str());
            let (state, kept) = match tables.get(Table::Dead, &key)? {
                Some(value) => (dead(&codec::decode(&value, "a dead letter")?), Kept::Dead(key)),
                None => {
                    let of = known.peers.iter().find(|(peer, _)| peer.id == id);
                    let lost = || StoreError::Corrupted(format!("{id} is owed {number} but not remembered"));
                    let note = tables.get(Table::Notes, &keys::pair(of.ok_or_else(lost)?.1, number))?;
                    let note = note.map(|note| codec::decode(&note, "a note")).transpose()?;
                    (pending(&note.unwrap_or_default()), Kept::Packed(number))
                }
            };
            if let Some(fate) = self.fate(origin, id) {
                fate.is_open(under, state);
                self.keep(origin, kept);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// What a peer is owed that was not redriven.
    fn take_owed(&mut self, tables: &dyn Tables, id: &PeerId, number: u64) -> Result<()> {
        let mut notes: HashMap<u64, NoteRow> = HashMap::new();
        let (first, last) = (keys::pair(number, self.range.start), keys::pair(number, self.range.end - 1));
        tables.scan(Table::Notes, &first, &last, &mut |key, value| {
            let under = keys::last_number(key).ok_or_else(|| read::bad_key(Table::Notes))?;
            notes.insert(under, codec::decode(value, "a note")?);
            Ok(ControlFlow::Continue(()))
        })?;
        let blocks = block_of(self.range.start)..=block_of(self.range.end - 1);
        let (first, last) = (keys::pair(number, *blocks.start()), keys::pair(number, *blocks.end()));
        tables.scan(Table::Owed, &first, &last, &mut |key, value| {
            let block = keys::last_number(key).ok_or_else(|| read::bad_key(Table::Owed))?;
            let row: OwedRow = codec::decode(value, "a block of pending deliveries")?;
            for under in Bits::from_bytes(&row.bits).numbers(block) {
                let note = notes.get(&under).copied().unwrap_or_default();
                if note.origin.is_none()
                    && let (at, Some(fate)) = (sequence(under)?, self.fate(under, id.clone()))
                {
                    fate.is_open(at, pending(&note));
                    self.keep(under, Kept::Packed(under));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn keep(&mut self, origin: u64, kept: Kept) {
        self.drafts.entry(origin).or_default().kept = Some(kept);
    }

    /// The messages from this sequence on, as many as make a page: at most those of a block.
    pub(super) fn page(&self, tables: &dyn Tables, first: u64) -> Result<Vec<HeldMessage>> {
        let Some((&first, _)) = self.drafts.range(first..).next() else { return Ok(Vec::new()) };
        let block = block_of(first);
        let mut wanted = Bits::NONE;
        for (origin, draft) in self.drafts.range(first..window_end(first, 1)) {
            if matches!(draft.kept, Some(Kept::Packed(number)) if number == *origin) {
                wanted.set(*origin);
            }
        }
        let (mut texts, mut bytes) = (HashMap::new(), 0);
        let mut end = window_end(first, 1);
        let flow = packed::messages(tables, block, wanted, &mut |row| {
            bytes += row.text.len();
            if bytes > PAGE_BYTES && !texts.is_empty() {
                end = row.sequence;
                return Ok(ControlFlow::Break(()));
            }
            texts.insert(row.sequence, text_of(row)?);
            Ok(ControlFlow::Continue(()))
        });
        flow.map(drop)?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for (&origin, draft) in self.drafts.range(first..end) {
            let text = match &draft.kept {
                None => None,
                Some(kept) => Some(texts.remove(&origin).map_or_else(|| read_kept(tables, origin, kept), Ok)?),
            };
            bytes += text.as_ref().map_or(0, |text| text.text.len());
            if bytes > PAGE_BYTES && !page.is_empty() {
                break;
            }
            page.extend(draft.message(origin, self.identities_from, text)?);
        }
        Ok(page)
    }
}

fn pending(note: &NoteRow) -> HeldState {
    HeldState::Pending { attempts: note.attempts, last_attempt_at: read::times(note.last_attempt_at) }
}

fn dead(row: &DeadRow<'_>) -> HeldState {
    HeldState::Dead { reason: row.reason.into(), attempts: row.attempts, at: Timestamp::from_millis(row.dead_at) }
}
