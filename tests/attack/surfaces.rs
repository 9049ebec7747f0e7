//! The ways in from outside, and what an attacker does on each.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::dice::Dice;
use super::limits::{ADDRESSES, AT_ADMIN, FEW, MANY};
use super::line::{self, Line};
use super::requests::{knock, request, who};
use super::{http, proxy_header, records};
use crate::support::Sealer;

/// A way in from outside.
pub(crate) trait Surface: Send + Sync + 'static {
    /// How many connections the attacker may have there at a time.
    const CONNECTIONS: u64;

    /// Does one thing, and returns the connection on which it did: it may be kept open, or dropped.
    fn act(&self, dice: &mut Dice) -> impl Future<Output = Option<Line>> + Send;
}

/// The listener without TLS.
#[derive(Debug)]
pub(crate) struct Plain(pub(crate) SocketAddr);

impl Surface for Plain {
    const CONNECTIONS: u64 = FEW;

    async fn act(&self, dice: &mut Dice) -> Option<Line> {
        let mut line = Line::dial(dice.address(2, ADDRESSES), self.0).await?;
        knock(&mut line, b"", "", dice).await;
        Some(line)
    }
}

/// The listener with mutual TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) relay: SocketAddr,
    /// Shows a certificate that is accepted.
    pub(crate) member: Sealer,
    /// Shows one of another authority.
    pub(crate) stranger: Sealer,
    /// Shows none.
    pub(crate) nobody: Sealer,
}

impl Surface for Tls {
    const CONNECTIONS: u64 = FEW;

    async fn act(&self, dice: &mut Dice) -> Option<Line> {
        let stream = line::dial(dice.address(2, ADDRESSES), self.relay).await?;
        let who = match dice.below(8) {
            0 => &self.nobody,
            1 => &self.stranger,
            _ => &self.member,
        };
        if dice.once_in(2) {
            let mut line = Line(Box::new(stream));
            records::break_off(&mut line, who.connection(self.relay.ip()), dice).await;
            return Some(line);
        }
        let mut line = Line(who.seal(self.relay.ip(), stream).await.ok()?);
        knock(&mut line, b"", "", dice).await;
        Some(line)
    }
}

/// The listener behind a proxy that is trusted: from the proxy itself, and past it.
#[derive(Debug)]
pub(crate) struct Proxied(pub(crate) SocketAddr);

/// The proxy that the relay trusts.
pub(crate) const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 3, 1));

impl Surface for Proxied {
    const CONNECTIONS: u64 = MANY;

    async fn act(&self, dice: &mut Dice) -> Option<Line> {
        let from = if dice.once_in(4) { dice.address(2, ADDRESSES) } else { PROXY };
        let mut line = Line::dial(from, self.0).await?;
        let (header, forwarded) = (proxy_header::any(dice), proxy_header::forwarded_for(dice));
        knock(&mut line, &header, &forwarded, dice).await;
        Some(line)
    }
}

/// The listener that asks for a credential. The attacker comes from everywhere.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) relay: SocketAddr,
    /// A token that is good for `app-*`.
    pub(crate) token: String,
}

impl Surface for Credentials {
    const CONNECTIONS: u64 = MANY;

    async fn act(&self, dice: &mut Dice) -> Option<Line> {
        let mut line = Line::dial(dice.any_address(), self.relay).await?;
        let (token, word) = (&self.token, dice.word(200));
        let headers = match dice.below(8) {
            0 => String::new(),
            1 => format!("Authorization: Bearer {token}\r\n"),
            2 => format!("Authorization: Bearer {token}x\r\n"),
            3 => format!("Authorization: {word} {word}\r\n"),
            4 => format!("Sec-WebSocket-Protocol: slipstream.v1, slipstream.bearer.{word}\r\n"),
            5 => format!("Sec-WebSocket-Protocol: slipstream.bearer.{token}, slipstream.bearer.{word}\r\n"),
            6 => format!("Authorization: Bearer {word}\r\nSec-WebSocket-Protocol: slipstream.bearer.{token}\r\n"),
            _ => format!("Authorization: Bearer {word}\r\n"),
        };
        if dice.once_in(3) {
            knock(&mut line, b"", &headers, dice).await;
        } else if line.say(&request(&who(dice), &headers)).await && dice.once_in(2) {
            line.is_granted().await;
        }
        Some(line)
    }
}

/// The port for operators.
#[derive(Debug)]
pub(crate) struct Admin(pub(crate) SocketAddr);

impl Surface for Admin {
    const CONNECTIONS: u64 = AT_ADMIN;

    async fn act(&self, dice: &mut Dice) -> Option<Line> {
        let mut line = Line::dial(dice.any_address(), self.0).await?;
        let asked = http::any(dice);
        if line.say_somehow(&asked, dice).await && dice.once_in(2) {
            line.hear(64 << 10).await;
        }
        Some(line)
    }
}
