//! Requests to the port for operators.

use super::dice::Dice;

/// The largest header, and the largest body, that an attacker sends.
const GIANT: usize = 128 << 10;

/// A request of any kind.
pub(super) fn any(dice: &mut Dice) -> Vec<u8> {
    let whole = request(dice);
    match dice.below(10) {
        0 => dice.bytes(GIANT),
        1 | 2 => dice.cut(whole),
        3 => dice.spoil(whole),
        // One after the other, without reading an answer.
        4 => whole.repeat(1 + dice.below(20)),
        _ => whole,
    }
}

fn request(dice: &mut Dice) -> Vec<u8> {
    let method = match dice.below(12) {
        0 => dice.word(30),
        1 => "HEAD".to_owned(),
        2 | 3 => "PUT".to_owned(),
        4 | 5 => "POST".to_owned(),
        6 => "DELETE".to_owned(),
        _ => "GET".to_owned(),
    };
    let path = match dice.below(17) {
        0 => format!("/{}", dice.word(8_000)),
        1 => format!("/../{}", "%2e%2e/".repeat(dice.below(50))),
        2 | 3 => "/api/v1/logging".to_owned(),
        4 | 5 => "/api/v1/backup".to_owned(),
        6 => format!("/api/{}", dice.word(20)),
        7 => "/readyz".to_owned(),
        8 => "/healthz?".to_owned() + &dice.word(50),
        9 => format!("/api/v1/peers/{}/{}", dice.word(140), dice.one(&["pause", "resume", "disconnect", ""])),
        10 => format!("/api/v1/peers?limit={}&after={}", dice.below(2_000), dice.word(140)),
        11 => format!("/api/v1/messages/{}?clusterGroupId={}", dice.word(200), dice.word(20)),
        12 => format!("/api/v1/dead-letters?limit={}&payload=true&reason={}", dice.below(2_000), dice.word(4_000)),
        13 => format!("/api/v1/dead-letters/{}", dice.one(&["redrive?all=true&rate=1", "groups", "sweep", "a/1"])),
        _ => "/metrics".to_owned(),
    };
    let body = body(dice);
    let length = if dice.once_in(6) { dice.length(1 << 40) } else { body.len() };
    let headers = match dice.below(8) {
        0 => format!("X-Long: {}\r\n", dice.word(GIANT)),
        1 => (0..dice.below(300)).map(|number| format!("X-{number}: x\r\n")).collect(),
        2 => format!("Origin: http://{}\r\n", dice.word(40)),
        3 => format!("Sec-Fetch-Site: {}\r\n", dice.one(&["same-origin", "cross-site", "none"])),
        4 => "Expect: 100-continue\r\n".to_owned(),
        5 => "Transfer-Encoding: chunked\r\n".to_owned(),
        _ => String::new(),
    };
    let kind = dice.one(&["application/json", "application/json", "text/plain", ""]);
    let host = dice.one(&["127.0.0.1", "localhost", "relay.example", ""]);
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn body(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => r#"{"messageLogs":false}"#.to_owned(),
        1 => format!(r#"{{"level":"{}"}}"#, dice.one(&["info", "warn", "loud", ""])),
        2 => format!(r#"{{"name":"{}"}}"#, dice.word(300)),
        3 => r#"{"name":"../../etc/passwd"}"#.to_owned(),
        4 => dice.word(GIANT),
        5 => "[".repeat(dice.length(GIANT)),
        _ => String::new(),
    }
}
