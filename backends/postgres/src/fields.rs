//! The fields of messages as bytes. The only place that knows bincode; what it writes stays readable for ever.
//!
//! A row is one byte that names the format and then its fields, integers in bincode's variable length. Trailing bytes are
//! refused, and so is a row that is larger than [`LIMIT`].

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{BorrowDecode, Encode};
use slipstream_store::{
    ClusterGroup, Fingerprint, Identity, Key, MessageId, MessageType, PeerId, Record, Result, Route, StoreError,
    Timestamp,
};
use ulid::Ulid;

/// The format of every row.
const FORMAT: u8 = 1;

/// The largest row, in bytes. Decoding never reserves more.
const LIMIT: usize = 1 << 26;

const CONFIG: Configuration<LittleEndian, Varint, Limit<LIMIT>> = bincode::config::standard().with_limit::<LIMIT>();

#[derive(Debug, Encode, BorrowDecode)]
struct FieldsRow<'a> {
    group: &'a str,
    id: &'a str,
    fingerprint: u64,
    message_type: &'a str,
    key: Option<&'a str>,
    expires_at: Option<u64>,
    received_at: u64,
    epoch: Option<u128>,
    route: u32,
}

#[derive(Debug, Encode, BorrowDecode)]
struct RouteRow<'a> {
    received_from: &'a str,
    path: Vec<&'a str>,
}

/// What is kept of a message beside its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) identity: Identity,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) message_type: MessageType,
    pub(crate) key: Option<Key>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) received_at: Timestamp,
    pub(crate) epoch: Option<Ulid>,
    /// Its place among the routes of its pack.
    pub(crate) route: usize,
}

/// The way that messages came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) received_from: PeerId,
    pub(crate) path: Vec<PeerId>,
}

/// Appends the fields of a message whose route has this place among those of its pack.
pub(crate) fn encode(record: &Record, route: u32, out: &mut Vec<u8>) -> Result<()> {
    let row = FieldsRow {
        group: record.identity.group.as_str(),
        id: record.identity.id.as_str(),
        fingerprint: record.fingerprint.as_u64(),
        message_type: record.message_type.as_str(),
        key: record.key.as_ref().map(Key::as_str),
        expires_at: record.expires_at.map(Timestamp::as_millis),
        received_at: record.received_at.as_millis(),
        epoch: record.epoch.map(u128::from),
        route,
    };
    append(&row, out)
}

/// The routes of a pack as one row.
pub(crate) fn encode_routes(routes: &[&Route]) -> Result<Vec<u8>> {
    let row = |route: &&'_ Route| (route.received_from.clone(), route.path.to_vec());
    let owned: Vec<_> = routes.iter().map(row).collect();
    let rows: Vec<RouteRow<'_>> = owned
        .iter()
        .map(|(from, path)| RouteRow { received_from: from.as_str(), path: path.iter().map(PeerId::as_str).collect() })
        .collect();
    let mut out = Vec::new();
    append(&rows, &mut out)?;
    Ok(out)
}

/// The fields of a message.
///
/// # Errors
/// `Corrupted` if the bytes are not what [`encode`] writes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Fields> {
    let row: FieldsRow<'_> = read(bytes)?;
    let damaged = |error: slipstream_store::InvalidId| StoreError::Corrupted(format!("fields of a message: {error}"));
    Ok(Fields {
        identity: Identity {
            group: ClusterGroup::new(row.group).map_err(damaged)?,
            id: MessageId::new(row.id).map_err(damaged)?,
        },
        fingerprint: Fingerprint::from_u64(row.fingerprint),
        message_type: MessageType::new(row.message_type).map_err(damaged)?,
        key: row.key.map(Key::new).transpose().map_err(damaged)?,
        expires_at: row.expires_at.map(Timestamp::from_millis),
        received_at: Timestamp::from_millis(row.received_at),
        epoch: row.epoch.map(Ulid::from),
        route: usize::try_from(row.route).unwrap_or(usize::MAX),
    })
}

/// The routes of a pack.
///
/// # Errors
/// `Corrupted` if the bytes are not what [`encode_routes`] writes.
pub(crate) fn decode_routes(bytes: &[u8]) -> Result<Vec<Way>> {
    let rows: Vec<RouteRow<'_>> = read(bytes)?;
    let peer = |text: &str| PeerId::new(text).map_err(|error| StoreError::Corrupted(format!("a route: {error}")));
    let way = |row: &RouteRow<'_>| {
        let path = row.path.iter().map(|text| peer(text)).collect::<Result<_>>()?;
        Ok(Way { received_from: peer(row.received_from)?, path })
    };
    rows.iter().map(way).collect()
}

fn append(row: &impl Encode, out: &mut Vec<u8>) -> Result<()> {
    out.push(FORMAT);
    bincode::encode_into_std_write(row, out, CONFIG)
        .map_err(|error| StoreError::Unsupported(format!("a message cannot be written: {error}")))?;
    Ok(())
}

fn read<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T> {
    let damaged = |what: &str| StoreError::Corrupted(format!("fields of a message: {what}"));
    match bytes.split_first() {
        Some((&FORMAT, rest)) => {
            let (row, read) = bincode::borrow_decode_from_slice(rest, CONFIG).map_err(|e| damaged(&e.to_string()))?;
            if read == rest.len() { Ok(row) } else { Err(damaged("bytes behind the end")) }
        }
        Some((format, _)) => Err(damaged(&format!("format {format} is not known"))),
        None => Err(damaged("no bytes")),
    }
}

#[cfg(test)]
mod tests {
    use slipstream_conformance::fixture::{message, t};

    use super::*;

    #[test]
    fn fields_come_back_and_damage_is_told() {
        let record = Record { expires_at: Some(t(90)), epoch: Some(Ulid::from_parts(1, 2)), ..message("m1", &["a"]) };
        let mut bytes = Vec::new();
        encode(&record, 3, &mut bytes).unwrap();
        let fields = decode(&bytes).unwrap();
        assert_eq!((&fields.identity, fields.fingerprint, fields.route), (&record.identity, record.fingerprint, 3));
        assert_eq!((&fields.key, fields.expires_at, fields.epoch), (&record.key, record.expires_at, record.epoch));
        for broken in [&bytes[..0], &bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()[..], &[9, 0]] {
            assert!(matches!(decode(broken), Err(StoreError::Corrupted(_))), "{broken:?}");
        }
        let routes = decode_routes(&encode_routes(&[&record.route]).unwrap()).unwrap();
        assert_eq!(
            (&routes[0].received_from, &routes[0].path[..]),
            (&record.route.received_from, &record.route.path[..])
        );
    }

    /// What was written once must be read for ever.
    #[test]
    fn the_bytes_never_change() {
        let mut bytes = Vec::new();
        encode(&message("m1", &["a"]), 0, &mut bytes).unwrap();
        assert_eq!(bytes, b"\x01\x09singleton\x02m1\x07\x02SK\x01\x09key of m1\x00\xfb\x10\x27\x00\x00".to_vec());
    }
}
