//! A connection of an attacker, on which nothing takes long.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::dice::Dice;
use crate::support::Stream;

/// How long an attacker waits until something was taken, and until something has come. The relay may well make it wait for
/// ever.
const TAKEN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_millis(100);

/// The pause between two pieces of what is said slowly.
const PAUSE: Duration = Duration::from_millis(3);

/// Most pieces of what is said slowly.
const PIECES: usize = 60;

/// Connects from this address of this machine.
pub(super) async fn dial(from: IpAddr, to: SocketAddr) -> Option<TcpStream> {
    let dialling = async {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind((from, 0).into()).ok()?;
        let stream = socket.connect(to).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(stream)
    };
    timeout(PATIENCE, dialling).await.ok()?
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Line(pub(super) Box<dyn Stream>);

impl Line {
    /// Connects from this address of this machine.
    pub(super) async fn dial(from: IpAddr, to: SocketAddr) -> Option<Self> {
        Some(Self(Box::new(dial(from, to).await?)))
    }

    /// Says something. False if not all of it was taken.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> bool {
        let saying = async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        };
        matches!(timeout(TAKEN, saying).await, Ok(Ok(())))
    }

    /// Says something in one piece, or in many with a pause after each.
    pub(super) async fn say_somehow(&mut self, bytes: &[u8], dice: &mut Dice) -> bool {
        if !dice.once_in(5) {
            return self.say(bytes).await;
        }
        let most = 1 + dice.length(bytes.len() / 4);
        for piece in bytes.chunks(most).take(PIECES) {
            if !self.say(piece).await {
                return false;
            }
            sleep(PAUSE).await;
        }
        true
    }

    /// Reads what comes, up to so many bytes; nothing if nothing comes.
    pub(super) async fn hear(&mut self, most: usize) -> Vec<u8> {
        let mut heard = vec![0; most];
        let read = timeout(PATIENCE, self.0.read(&mut heard)).await;
        heard.truncate(read.map_or(0, |read| read.unwrap_or(0)));
        heard
    }

    /// Reads the answer to an upgrade request. Whether it is a link now.
    pub(super) async fn is_granted(&mut self) -> bool {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(PATIENCE, self.0.read_u8()).await {
                Ok(Ok(byte)) => head.push(byte),
                _ => return false,
            }
        }
        head.starts_with(b"HTTP/1.1 101 ")
    }
}
