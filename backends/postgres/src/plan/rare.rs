//! The rare operations, each by itself. They are JSON, but for texts, which may hold a zero byte.

use std::sync::Arc;

use serde_json::{Value, json};
use slipstream_store::{Operation, Peer, PeerKind, Record, Result, StoreError, Tag};

use super::deliveries::millis;
use super::parameters::Parameters;
use super::planned::Asked;
use super::steps::count;
use crate::{fields, sequences};

/// Adds a step for a rare operation.
pub(super) fn take<'a>(parameters: &mut Parameters<'a>, operation: &'a Operation) -> Result<Asked> {
    claims(parameters, operation)?;
    let value = match operation {
        Operation::RememberPeer(peer) => json!({ "op": "remember", "described": described(peer) }),
        Operation::AdoptPeer { alias, peer } => {
            let value = json!({ "op": "adopt", "alias": alias.as_str(), "described": described(peer) });
            // No pack is made under its number: others see by this that older deliveries are new to somebody.
            return with_pack(parameters, value, 0).map(|(at, _)| Asked::Rare { at });
        }
        Operation::ForgetPeer { peer, at } => json!({ "op": "forget", "peer": peer.as_str(), "at": millis(*at) }),
        Operation::NameRelay { id } => json!({ "op": "name", "id": id.as_str() }),
        Operation::Discard { peer, sequence } => {
            json!({ "op": "discard", "peer": peer.as_str(), "sequence": sequences::number(*sequence) })
        }
        Operation::Redrive { peer, sequence } => {
            let sequence = sequences::number(*sequence);
            let value = json!({ "op": "redrive", "peer": peer.as_str(), "sequence": sequence });
            return with_pack(parameters, value, 0).map(|(at, pack)| Asked::Redrive { at, pack });
        }
        Operation::ImportDeadLetter { peer, message, reason, attempts, dead_at } => {
            let value = json!({
                "op": "import", "peer": peer.as_str(), "class": reason.class(), "attempts": attempts,
                "dead_at": millis(*dead_at), "id": message.identity.id.as_str(),
                "group": message.identity.group.as_str(), "received": millis(message.received_at),
                "expires": message.expires_at.map(millis),
            });
            let blob = blobs(parameters, message, reason.to_string())?;
            return with_pack(parameters, value, blob).map(|(at, pack)| Asked::Import { at, pack });
        }
        unknown => return Err(StoreError::Unsupported(format!("this store does not know {unknown:?}"))),
    };
    Ok(Asked::Rare { at: parameters.rare_step(value, -1, 0)? })
}

/// Has the rows of the peers locked that are changed.
fn claims<'a>(parameters: &mut Parameters<'a>, operation: &'a Operation) -> Result<()> {
    let peers = match operation {
        Operation::RememberPeer(peer) => [Some(&peer.id), None],
        Operation::AdoptPeer { alias, peer } => [Some(alias), Some(&peer.id)],
        Operation::ForgetPeer { peer, .. } => [Some(peer), None],
        _ => return Ok(()),
    };
    parameters.claims.alters = true;
    peers.into_iter().flatten().try_for_each(|peer| parameters.claims.place(peer.as_str()).map(drop))
}

/// Adds a step that may make a pack; returns its place and the number of the pack.
fn with_pack(parameters: &mut Parameters<'_>, value: Value, blob: i32) -> Result<(usize, i32)> {
    let pack = parameters.packs;
    parameters.packs += 1;
    Ok((parameters.rare_step(value, pack, blob)?, pack))
}

/// Adds the bytes of an import; returns where they begin.
fn blobs(parameters: &mut Parameters<'_>, message: &Record, reason: String) -> Result<i32> {
    let first = count(parameters.blobs.len() + 1)?;
    let mut meta = Vec::new();
    fields::encode(message, 0, &mut meta)?;
    let routes = fields::encode_routes(&[&Arc::clone(&message.route)])?;
    parameters.blobs.extend([meta, routes, message.text.to_vec(), reason.into_bytes()]);
    Ok(first)
}

fn described(peer: &Peer) -> Value {
    json!({
        "id": peer.id.as_str(),
        "kind": match peer.kind { PeerKind::Application => "application", PeerKind::Relay => "relay" },
        "group": peer.group.as_str(),
        "tags": peer.tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
        "durable": peer.durable,
        "last_seen": millis(peer.last_seen),
        "alias": peer.alias.as_ref().map(slipstream_store::PeerId::as_str),
        "paused": peer.paused,
    })
}
