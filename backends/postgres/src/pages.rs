//! Pages: what a peer is owed, and dead letters.

use bytes::Bytes;
use slipstream_store::{
    ClusterGroup, DeadLetter, DeadLetterCursor, DeadLetterFilter, DeadLetterReason, DeliveryState, Identity, MessageId,
    Page, PageLimit, PeerId, Pending, Result, Sequence, StoreError, Timestamp,
};
use tokio_postgres::Row;

use crate::bits::Bits;
use crate::errors::unreadable;
use crate::pool::Pool;
use crate::{fields, sequences};

const PENDING: &str = "SELECT * FROM slipstream.pending($1, $2, $3, $4)";

/// Texts are read up to the first that does not fit. It comes, too, so that `more` is known; so does the second, if the
/// first is larger than a page.
const DEAD: &str = "
    SELECT seq, peer, id, grp, reason, attempts, dead_at, meta, text
    FROM (SELECT d.*, sum(size) OVER before AS bytes, row_number() OVER (ORDER BY seq, peer) AS nth
          FROM (SELECT *, octet_length(text) AS size FROM slipstream.dead
                WHERE (seq, peer) > ($1, $2) AND ($3::text IS NULL OR peer = $3) AND ($4::text IS NULL OR id = $4)
                  AND ($5::bytea IS NULL OR reason = $5
                       OR position('\\x3a'::bytea IN reason) > 0
                          AND substring(reason FROM 1 FOR position('\\x3a'::bytea IN reason) - 1) = $5)
                ORDER BY seq, peer LIMIT $6) d
          WINDOW before AS (ORDER BY seq, peer ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) e
    WHERE nth <= 2 OR bytes <= $7 ORDER BY seq, peer";

/// A time as it was read.
pub(crate) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// A number of attempts as it was read.
pub(crate) fn attempts(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// How a delivery was settled, by its number in the schema; nothing for another number.
pub(crate) fn settled_as(state: i16) -> Option<DeliveryState> {
    match state {
        1 => Some(DeliveryState::Acknowledged),
        2 => Some(DeliveryState::Superseded),
        3 => Some(DeliveryState::Expired),
        4 => Some(DeliveryState::Dead),
        _ => None,
    }
}

/// A page that is being filled.
struct Filling<T> {
    page: Page<T>,
    bytes: usize,
    limit: PageLimit,
}

impl<T> Filling<T> {
    fn new(limit: PageLimit) -> Self {
        Self { page: Page { items: Vec::new(), more: false }, bytes: 0, limit }
    }

    /// Whether an item with so long a text still belongs on the page.
    fn takes(&mut self, text: usize) -> bool {
        let is_full = u32::try_from(self.page.items.len()).is_ok_and(|count| count >= self.limit.items.get());
        self.bytes = self.bytes.saturating_add(text);
        let fits = self.page.items.is_empty() || !is_full && self.bytes <= self.limit.bytes.get();
        self.page.more |= !fits;
        fits
    }
}

/// A page of what a peer is owed.
pub(crate) async fn pending(
    readers: &Pool,
    peer: &PeerId,
    after: Option<Sequence>,
    limit: PageLimit,
) -> Result<Page<Pending>> {
    // Beyond the last pack there is nothing, wherever exactly.
    let after = after.map_or(0, |after| sequences::number(after).min(1 << 61));
    let (items, bytes) = (i64::from(limit.items.get()), i64::try_from(limit.bytes.get()).unwrap_or(i64::MAX));
    let rows = readers.query(PENDING, &[&peer.as_str(), &after, &items, &bytes]).await?;
    let mut filling = Filling::new(limit);
    for row in &rows {
        let pack = PackRow::read(row).map_err(|error| unreadable(&error))?;
        for (nth, index) in pack.bits.ones().enumerate() {
            let (meta, text) = pack.parts(nth, index)?;
            if !filling.takes(text.len()) {
                return Ok(filling.page);
            }
            filling.page.items.push(pack.item(index, meta, text)?);
        }
    }
    Ok(filling.page)
}

/// The fields of all messages of a pack and where each ends, and so their texts.
type Whole<'a> = (Vec<i32>, &'a [u8], Vec<i32>, Bytes);

/// What is owed of a pack.
struct PackRow<'a> {
    pack: i64,
    redriven: bool,
    bits: Bits,
    whole: Option<Whole<'a>>,
    parts: Vec<(&'a [u8], &'a [u8])>,
    tried: Vec<(i64, i64, i64)>,
}

impl<'a> PackRow<'a> {
    fn read(row: &'a Row) -> Result<Self, tokio_postgres::Error> {
        let numbers = |name| row.try_get::<_, Option<Vec<i64>>>(name).map(Option::unwrap_or_default);
        let parts = |name| row.try_get::<_, Option<Vec<&'a [u8]>>>(name).map(Option::unwrap_or_default);
        let whole = match row.try_get::<_, Option<&'a [u8]>>("meta")? {
            Some(meta) => {
                let texts = Bytes::copy_from_slice(row.try_get("texts")?);
                Some((row.try_get("meta_ends")?, meta, row.try_get("text_ends")?, texts))
            }
            None => None,
        };
        let tries = numbers("tries")?.into_iter().zip(numbers("tried_at")?);
        Ok(Self {
            pack: row.try_get("pack")?,
            redriven: row.try_get("redriven")?,
            bits: row.try_get("bits")?,
            whole,
            parts: parts("metas")?.into_iter().zip(parts("parts")?).collect(),
            tried: numbers("tried")?.into_iter().zip(tries).map(|(seq, (number, at))| (seq, number, at)).collect(),
        })
    }

    /// The fields and the text of a message, which is the `nth` of those that are owed.
    fn parts(&self, nth: usize, index: usize) -> Result<(&'a [u8], Bytes)> {
        let missing = || StoreError::Corrupted(format!("pack {}: message {index} is not there", self.pack));
        let Some((meta_ends, meta, text_ends, texts)) = &self.whole else {
            let (meta, text) = self.parts.get(nth).ok_or_else(missing)?;
            return Ok((meta, Bytes::copy_from_slice(text)));
        };
        let meta = meta.get(range(meta_ends, index).ok_or_else(missing)?).ok_or_else(missing)?;
        let text = range(text_ends, index).filter(|range| range.end <= texts.len()).ok_or_else(missing)?;
        Ok((meta, texts.slice(text)))
    }

    fn item(&self, index: usize, meta: &[u8], text: Bytes) -> Result<Pending> {
        let sequence = sequences::sequence(self.pack, index)?;
        let fields = fields::decode(meta)?;
        let tried = self.tried.iter().find(|(seq, ..)| *seq == sequences::number(sequence));
        Ok(Pending {
            sequence,
            identity: fields.identity,
            message_type: fields.message_type,
            key: fields.key,
            expires_at: fields.expires_at,
            received_at: fields.received_at,
            attempts: tried.map_or(0, |(_, number, _)| attempts(*number)),
            last_attempt_at: tried.map(|(_, _, at)| time(*at)),
            redriven: self.redriven,
            text,
        })
    }
}

/// Where a part lies, by where each ends.
pub(crate) fn range(ends: &[i32], index: usize) -> Option<std::ops::Range<usize>> {
    let end = usize::try_from(*ends.get(index)?).ok()?;
    let start = match index.checked_sub(1) {
        Some(before) => usize::try_from(*ends.get(before)?).ok()?,
        None => 0,
    };
    (start <= end).then_some(start..end)
}

/// A page of dead letters.
pub(crate) async fn dead_letters(
    readers: &Pool,
    filter: &DeadLetterFilter,
    after: Option<DeadLetterCursor>,
    limit: PageLimit,
) -> Result<Page<DeadLetter>> {
    let (seq, after) = match &after {
        Some(cursor) => (sequences::number(cursor.sequence), cursor.peer.as_str()),
        None => (0, ""),
    };
    let peer = filter.peer.as_ref().map(PeerId::as_str);
    let id = filter.message_id.as_ref().map(MessageId::as_str);
    let reason = filter.reason.as_ref().map(|reason| reason.to_string().into_bytes());
    let (items, bytes) = (i64::from(limit.items.get()) + 1, i64::try_from(limit.bytes.get()).unwrap_or(i64::MAX));
    let rows = readers.query(DEAD, &[&seq, &after, &peer, &id, &reason, &items, &bytes]).await?;
    let mut filling = Filling::new(limit);
    for row in &rows {
        let dead = dead_letter(row)?;
        if !filling.takes(dead.text.len()) {
            break;
        }
        filling.page.items.push(dead);
    }
    Ok(filling.page)
}

fn dead_letter(row: &Row) -> Result<DeadLetter> {
    let damaged = |error: slipstream_store::InvalidId| StoreError::Corrupted(format!("a dead letter: {error}"));
    let read = || -> Result<_, tokio_postgres::Error> {
        let names: [&str; 3] = [row.try_get("peer")?, row.try_get("grp")?, row.try_get("id")?];
        let bytes: [&[u8]; 3] = [row.try_get("reason")?, row.try_get("meta")?, row.try_get("text")?];
        let numbers: [i64; 3] = [row.try_get("seq")?, row.try_get("attempts")?, row.try_get("dead_at")?];
        Ok((names, bytes, numbers))
    };
    let ([peer, group, id], [reason, meta, text], [seq, tries, at]) = read().map_err(|error| unreadable(&error))?;
    let fields = fields::decode(meta)?;
    Ok(DeadLetter {
        sequence: sequences::read(seq)?,
        peer: PeerId::new(peer).map_err(damaged)?,
        identity: Identity {
            group: ClusterGroup::new(group).map_err(damaged)?,
            id: MessageId::new(id).map_err(damaged)?,
        },
        message_type: fields.message_type,
        key: fields.key,
        reason: reason_of(reason)?,
        attempts: attempts(tries),
        dead_at: time(at),
        text: Bytes::copy_from_slice(text),
    })
}

/// A reason as it was read.
pub(crate) fn reason_of(bytes: &[u8]) -> Result<DeadLetterReason> {
    let text = std::str::from_utf8(bytes).map_err(|_| StoreError::Corrupted("a reason is no text".to_owned()))?;
    Ok(DeadLetterReason::from(text))
}
