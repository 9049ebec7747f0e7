//! The links of one application, each of which is read by a task of its own: also those that the application has given
//! up, whose ends it still hears.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::oracle::Oracle;
use crate::support::{Event, FIN, Link, PING, PONG, Reader, Writer, event, upgrade};

/// How long an application waits for a link, or for what it writes to be taken, before it looks for another link.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most that was read and not looked at.
const HEARD: usize = 256;

/// What an application hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A link with a process is granted, or is not.
    Answer(usize, Option<Box<Link>>),
    /// Something came on a link.
    Came(u64, Event),
}

/// The links of an application.
#[derive(Debug)]
pub(crate) struct Session {
    oracle: Arc<Oracle>,
    links: BTreeMap<u64, Open>,
    begun: u64,
    tell: mpsc::Sender<Heard>,
    heard: mpsc::Receiver<Heard>,
}

#[derive(Debug)]
struct Open {
    writer: Writer,
    /// When something came last, or the link began.
    heard_at: Instant,
    has_heard: bool,
    reading: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Session {
    pub(crate) fn new(oracle: Arc<Oracle>) -> Self {
        let (tell, heard) = mpsc::channel(HEARD);
        Self { oracle, links: BTreeMap::new(), begun: 0, tell, heard }
    }

    /// Asks a process for a link; the answer is heard.
    pub(crate) fn ask(&self, process: usize, address: SocketAddr, target: String) {
        let tell = self.tell.clone();
        tokio::spawn(async move {
            let asked = timeout(PATIENCE, upgrade(address, &target, &[])).await;
            let _ = tell.send(Heard::Answer(process, asked.ok().and_then(Result::ok).map(Box::new))).await;
        });
    }

    /// What is heard next. Nothing is lost by dropping the future.
    pub(crate) async fn hears(&mut self) -> Heard {
        self.heard.recv().await.expect("this holds a sender")
    }

    /// Takes a link that was granted. Returns its number.
    pub(crate) fn begin(&mut self, link: Link) -> u64 {
        let Link { reader, writer, .. } = link;
        self.begun += 1;
        let (number, tell, oracle) = (self.begun, self.tell.clone(), Arc::clone(&self.oracle));
        let reading = tokio::spawn(read(number, reader, tell));
        let open = Open { writer, heard_at: Instant::now(), has_heard: false, reading: reading.abort_handle() };
        tokio::spawn(async move {
            if let Err(error) = reading.await
                && error.is_panic()
            {
                oracle.violated(&format!("what came on a link could not be read: {error}"));
            }
        });
        self.links.insert(number, open);
        number
    }

    /// Lets a link go without a word.
    pub(crate) fn drop_link(&mut self, number: u64) {
        self.links.remove(&number);
    }

    /// The links that are open.
    pub(crate) fn open(&self) -> Vec<u64> {
        self.links.keys().copied().collect()
    }

    /// Notes that something came on a link. Returns whether it is open.
    pub(crate) fn note_heard(&mut self, number: u64) -> bool {
        let Some(open) = self.links.get_mut(&number) else { return false };
        (open.heard_at, open.has_heard) = (Instant::now(), true);
        true
    }

    /// Whether anything came on a link that is open.
    pub(crate) fn has_heard(&self, number: u64) -> bool {
        self.links.get(&number).is_some_and(|open| open.has_heard)
    }

    /// Whether nothing came on a link for long.
    pub(crate) fn is_silent(&self, number: u64) -> bool {
        self.links.get(&number).is_some_and(|open| open.heard_at.elapsed() > PATIENCE)
    }

    pub(crate) fn text(&mut self, number: u64, text: &str) {
        if let Some(open) = self.links.get_mut(&number) {
            open.writer.text(text);
        }
    }

    pub(crate) fn ping(&mut self, number: u64) {
        if let Some(open) = self.links.get_mut(&number) {
            open.writer.frame(FIN | PING, b"");
        }
    }

    pub(crate) fn pong(&mut self, number: u64, payload: &[u8]) {
        if let Some(open) = self.links.get_mut(&number) {
            open.writer.frame(FIN | PONG, payload);
        }
    }

    /// Sends what was written. Returns the links on which it was not taken, which are open no longer.
    pub(crate) async fn flush(&mut self) -> Vec<u64> {
        let mut failed = Vec::new();
        for (number, open) in &mut self.links {
            if open.writer.waiting() > 0 && !matches!(timeout(PATIENCE, open.writer.flush()).await, Ok(Ok(()))) {
                failed.push(*number);
            }
        }
        failed.iter().for_each(|number| drop(self.links.remove(number)));
        failed
    }
}

/// Reads a link until it ends.
async fn read(number: u64, mut reader: Reader, tell: mpsc::Sender<Heard>) {
    loop {
        let event = event(&mut reader).await;
        let is_end = matches!(event, Event::Closed(..));
        if tell.send(Heard::Came(number, event)).await.is_err() || is_end {
            return;
        }
    }
}
