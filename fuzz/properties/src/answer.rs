//! What a dialled server answers to an upgrade request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use slipstream::link::{Announced, HandshakeError, Offer, Role, Secret, offer};

use crate::frames::{expected, limits};
use crate::head;
use crate::link::{Outcome, alone, linked};
use crate::scripted::{Pieces, Scripted, Then};
use crate::told::assert_short;

/// Longest text that says why there is no link. What a server says itself is cut, too, at a third of this.
const MOST_TOLD: usize = 4_096;

/// The line of a script that is completed with the answer to the key of the request, which is another each time.
const PLACEHOLDER: &[u8] = b"Sec-WebSocket-Accept: $ACCEPT\r\n";

/// A token that no answer has.
const TOKEN: &str = "hush-4f1c9a7b";

/// Asks for a link: the first byte says how the answer comes in pieces, the rest is the answer, in whose head `$ACCEPT`
/// stands for what fits the request.
///
/// - What comes of it is the same however the answer comes in pieces.
/// - Why there is no link is told in a short line without the token.
/// - If there is one, what follows the answer is the beginning of the link.
pub fn answer(input: &[u8]) {
    let Some((&pieces, script)) = input.split_first() else { return };
    let whole = asked(script, Pieces::WHOLE);
    match (&whole, asked(script, Pieces(pieces))) {
        // What is wrong with HTTP is told when half of it is there or when all is, as hyper pleases, or that it ends there.
        (Err(HandshakeError::Http(_) | HandshakeError::HungUp { .. }), Err(HandshakeError::Http(_))) => {}
        (Err(HandshakeError::Http(_)), Err(HandshakeError::HungUp { .. })) => {}
        (whole, in_pieces) => assert_eq!(format!("{in_pieces:?}"), format!("{whole:?}")),
    }
    match whole {
        Ok((_, outcome)) => {
            let (_, rest) = head::split(script).unwrap_or_default();
            assert_eq!(outcome, expected(rest, Role::Client, &limits(300)).outcome);
        }
        Err(error) => {
            let told = error.to_string();
            assert_short(&told, MOST_TOLD);
            assert!(!told.contains(TOKEN), "{told}");
        }
    }
}

/// The script with what fits the request.
fn completed(script: &[u8], request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request);
    let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap_or_default();
    let accept = STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
    // A refusal may repeat the line, and be cut within it.
    let grants = script.starts_with(b"HTTP/1.1 101 ");
    let head = head::split(script).map_or(0, |(head, _)| head.len());
    match script[..head].windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER) {
        Some(at) if grants => {
            let line = format!("Sec-WebSocket-Accept: {accept}\r\n");
            [&script[..at], line.as_bytes(), &script[at + PLACEHOLDER.len()..]].concat()
        }
        _ => script.to_vec(),
    }
}

/// What came of asking: what the server says of itself, and the link; or why there is none.
fn asked(script: &[u8], pieces: Pieces) -> Result<(Announced, Outcome), HandshakeError> {
    let asked = Offer { token: Some(Secret::new(TOKEN.to_owned())), ..Offer::default() };
    alone(async {
        let (stream, _) = Scripted::new(script, pieces, Then::End);
        let (socket, announced) = offer(Box::new(stream.answering(completed)), "host", "/", &asked).await?;
        Ok((announced, linked(socket, Role::Client, limits(300)).await))
    })
}
