//! Plays a case over a link that has just been granted, and tells what came of it.

use std::io;
use std::time::Duration;

use slipstream::link::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::case::{Case, Outcome};
use super::frame::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, close, frame, mask};

/// How long a case may take. It is far more than one needs on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Most frames that wait to be written after the case: pongs, and one Close.
const MOST_QUEUED: usize = 16;

/// Plays a case as the end with this role, against the one on the other side of the stream.
///
/// What is expected decides only when this end takes its leave: not before a failure that should come, because the two
/// would race.
pub(crate) async fn play(stream: TcpStream, role: Role, case: &Case, expected: &str) -> Outcome {
    let (read, write) = stream.into_split();
    let (out, queue) = channel(MOST_QUEUED);
    let writing = tokio::spawn(write_all(write, case.writes(role), queue));
    let reader = Reader { stream: BufReader::with_capacity(64 << 10, read), role };
    let patience = match expected {
        SOME_PINGS => Patience::SomePong,
        _ if expected == "answered" || case.expected == Outcome::Answered => Patience::All,
        _ => Patience::Closed,
    };
    let pings = case.pings().collect();
    let mut player = Player { reader, out, case, patience, echoed: 0, pings, ponged: None, has_closed: case.closes() };
    let outcome = timeout(LIMIT, player.run()).await;
    writing.abort();
    outcome.unwrap_or_else(|_| Outcome::Wrong("silent".to_owned()))
}

/// What comes of a case at an end that answers a ping, but not always the last one.
const SOME_PINGS: &str = "some pings";

/// How long this end waits before it begins the closing handshake.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// Until everything came back, with the last pong.
    All,
    /// Until everything came back, with any pong.
    SomePong,
    /// It leaves that to the other end.
    Closed,
}

/// Writes these bytes, and then what is queued; `None` ends this side of the stream. If the stream fails, the reader
/// tells.
async fn write_all(mut stream: OwnedWriteHalf, writes: Vec<Vec<u8>>, mut queue: Receiver<Option<Vec<u8>>>) {
    for bytes in writes {
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
    while let Some(Some(bytes)) = queue.recv().await {
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

struct Player<'c> {
    reader: Reader,
    out: Sender<Option<Vec<u8>>>,
    case: &'c Case,
    patience: Patience,
    /// How many messages came back.
    echoed: usize,
    /// The pings that may still be answered.
    pings: Vec<&'c [u8]>,
    ponged: Option<Vec<u8>>,
    /// Whether this end has sent a Close.
    has_closed: bool,
}

impl Player<'_> {
    async fn run(&mut self) -> Outcome {
        loop {
            if !self.has_closed && self.is_content() {
                self.has_closed = true;
                self.write(Some(close(1000, "").bytes(self.reader.role)));
            }
            let Ok((opcode, payload)) = self.reader.message().await else {
                return Outcome::Dropped;
            };
            let taken = match opcode {
                CLOSE => return self.closed(&payload).await,
                PING => {
                    self.write(Some(frame(FIN | PONG, &payload).bytes(self.reader.role)));
                    Ok(())
                }
                PONG => self.pong(payload),
                _ => self.message(opcode, &payload),
            };
            if let Err(wrong) = taken {
                return Outcome::Wrong(wrong);
            }
        }
    }

    fn is_content(&self) -> bool {
        let ponged = match self.patience {
            Patience::All => self.ponged == self.case.pong,
            Patience::SomePong => self.ponged.is_some(),
            Patience::Closed => false,
        };
        ponged && self.echoed == self.case.echoes.len()
    }

    fn write(&self, bytes: Option<Vec<u8>>) {
        // The writer is gone if the stream is.
        let _ = self.out.try_send(bytes);
    }

    fn message(&mut self, opcode: u8, payload: &[u8]) -> Result<(), String> {
        let Some((wanted, sent)) = self.case.echoes.get(self.echoed) else {
            return Err(format!("a message too many: {}", String::from_utf8_lossy(&payload[..payload.len().min(20)])));
        };
        self.echoed += 1;
        let fits = opcode == *wanted && payload == sent;
        if fits { Ok(()) } else { Err("another message than was sent".to_owned()) }
    }

    fn pong(&mut self, payload: Vec<u8>) -> Result<(), String> {
        let Some(index) = self.pings.iter().position(|ping| *ping == payload) else {
            return Err("a pong for no ping".to_owned());
        };
        self.pings.drain(..=index);
        self.ponged = Some(payload);
        Ok(())
    }

    /// A Close came. A server that answers one with it ends the stream first (section 7.1.1). One that refuses what it
    /// got may wait for this end.
    async fn closed(&mut self, payload: &[u8]) -> Outcome {
        if !self.has_closed {
            let code = payload.first_chunk::<2>().unwrap_or(&[0x03, 0xE8]);
            self.write(Some(frame(FIN | CLOSE, code).bytes(self.reader.role)));
        }
        let is_answer = self.has_closed && payload == self.case.close_code();
        if !is_answer || self.reader.role == Role::Server {
            self.write(None);
        }
        if self.reader.rest().await > 0 {
            return Outcome::Wrong("goes on after its close".to_owned());
        }
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        match code {
            Some(1000) if !self.case.closes() => match self.patience {
                Patience::SomePong => Outcome::Wrong(SOME_PINGS.to_owned()),
                _ => Outcome::Answered,
            },
            Some(code) => Outcome::Closed(code),
            None => Outcome::ClosedWithoutCode,
        }
    }
}

/// The other end's frames, which must all be well formed.
struct Reader {
    stream: BufReader<OwnedReadHalf>,
    /// The role of this end.
    role: Role,
}

impl Reader {
    /// The next message, put together, or the next control frame.
    async fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut open: Option<(u8, Vec<u8>)> = None;
        loop {
            let (first, payload) = self.frame().await?;
            assert_eq!(first & 0x70, 0, "no reserved bit is set");
            let (opcode, fin) = (first & 0xF, first & FIN != 0);
            let (opcode, whole) = match (opcode, open.take()) {
                (CLOSE | PING | PONG, None) if fin => return Ok((opcode, payload)),
                (TEXT | BINARY, None) => (opcode, payload),
                (CONTINUATION, Some((opcode, start))) => (opcode, [start, payload].concat()),
                (_, open) => panic!("a frame out of place: {first:#x} in {open:?}"),
            };
            if fin {
                return Ok((opcode, whole));
            }
            open = Some((opcode, whole));
        }
    }

    async fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        let second = self.stream.read_u8().await?;
        assert_eq!(second & 0x80 != 0, self.role == Role::Server, "a client masks, a server does not");
        let (length, least) = match second & 0x7F {
            126 => (u64::from(self.stream.read_u16().await?), 126),
            127 => (self.stream.read_u64().await?, 0x1_0000),
            short => (u64::from(short), 0),
        };
        assert!(length >= least, "a length is minimal");
        assert!(first & 0x8 == 0 || length <= 125, "a control frame is short");
        let mut key = [0; 4];
        if self.role == Role::Server {
            self.stream.read_exact(&mut key).await?;
        }
        let mut payload = vec![0; usize::try_from(length).expect("it fits")];
        self.stream.read_exact(&mut payload).await?;
        mask(&mut payload, key);
        Ok((first, payload))
    }

    /// How many bytes come until the end.
    async fn rest(&mut self) -> usize {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut rest).await;
        rest.len()
    }
}
