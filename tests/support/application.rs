//! An application server that lives through everything: it links again, sends again what was not confirmed, and
//! remembers what it got.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::websocket::{FIN, PONG};
use super::{Event, Link, event, upgrade, within};

/// Most messages that are sent and not confirmed.
const WINDOW: usize = 32;

/// How an application stands.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Messages of its own that were confirmed.
    pub confirmed: u64,
    /// The path of each message that it got, by its id.
    pub received: BTreeMap<String, Vec<String>>,
    /// How often it got one that it had already.
    pub duplicates: u64,
    /// How many messages of each sender it got; all that come for the first time come in order.
    pub from: BTreeMap<String, u64>,
    /// Whether it has a link.
    pub linked: bool,
}

/// An application at work. It ends when it is dropped.
#[derive(Debug)]
pub struct Application {
    /// Its id; its messages are `ID-0`, `ID-1` and so on.
    pub id: String,
    quota: watch::Sender<u64>,
    progress: watch::Receiver<Progress>,
    work: JoinHandle<()>,
}

impl Application {
    /// Starts one beside a relay. It sends nothing until it is [told](Self::sends).
    pub fn start(id: &str, relay: SocketAddr) -> Self {
        let (quota, told) = watch::channel(0);
        let (tell, progress) = watch::channel(Progress::default());
        let worker = Worker { id: id.to_owned(), relay, told, tell, unconfirmed: BTreeSet::new(), next: 0 };
        Self { id: id.to_owned(), quota, progress, work: tokio::spawn(worker.run()) }
    }

    /// Tells it to send so many messages in all.
    pub fn sends(&self, messages: u64) {
        self.quota.send_replace(messages);
    }

    /// Waits until it stands as it should; ends the test where it panicked.
    pub async fn until(&mut self, what: &str, wanted: impl FnMut(&Progress) -> bool) -> Progress {
        let seen = within(what, self.progress.wait_for(wanted)).await.map(|progress| progress.clone());
        match seen {
            Ok(progress) => progress,
            Err(_) => panic!("{} ended: {:?}", self.id, (&mut self.work).await),
        }
    }

    /// How it stands.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.work.abort();
    }
}

struct Worker {
    id: String,
    relay: SocketAddr,
    told: watch::Receiver<u64>,
    tell: watch::Sender<Progress>,
    unconfirmed: BTreeSet<u64>,
    next: u64,
}

impl Worker {
    async fn run(mut self) {
        loop {
            if let Ok(link) = upgrade(self.relay, &format!("/?id={}", self.id), &[]).await {
                self.tell.send_modify(|progress| progress.linked = true);
                self.serve(link).await;
                self.tell.send_modify(|progress| progress.linked = false);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Works until the link ends.
    async fn serve(&mut self, mut link: Link) {
        for number in self.unconfirmed.clone() {
            self.write(&mut link, number);
        }
        loop {
            while self.unconfirmed.len() < WINDOW && self.next < *self.told.borrow_and_update() {
                self.unconfirmed.insert(self.next);
                self.write(&mut link, self.next);
                self.next += 1;
            }
            if link.writer.flush().await.is_err() {
                return;
            }
            tokio::select! {
                // Only the wait for what arrives can be given up; what has arrived is read whole.
                () = link.reader.arrives() => {}
                changed = self.told.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
            match event(&mut link.reader).await {
                Event::Message(message) => self.take(&mut link, &message.json),
                Event::Answer(answer) => self.confirmed(&answer),
                Event::Ping(payload) => link.writer.frame(FIN | PONG, &payload),
                Event::Pong(_) => {}
                Event::Closed(..) => return,
            }
        }
    }

    fn write(&self, link: &mut Link, number: u64) {
        link.writer.text(&json!({"type": "EVENT", "messageId": format!("{}-{number}", self.id)}).to_string());
    }

    fn take(&self, link: &mut Link, message: &serde_json::Value) {
        let id = message["messageId"].as_str().expect("an id").to_owned();
        link.writer.text(&json!({"type": "ACK", "messageId": id}).to_string());
        let path = message["messagePath"].as_array().expect("a path").iter();
        let path = path.map(|hop| hop.as_str().expect("an id").to_owned()).collect();
        let (sender, number) = id.rsplit_once('-').expect("an id of an application");
        let (sender, number) = (sender.to_owned(), number.parse::<u64>().expect("a number"));
        let own = &self.id;
        self.tell.send_modify(|progress| {
            if progress.received.insert(id, path).is_some() {
                progress.duplicates += 1;
                return;
            }
            let next = progress.from.entry(sender).or_default();
            assert_eq!(number, *next, "not in order at {own}: {message}");
            *next += 1;
        });
    }

    fn confirmed(&mut self, answer: &serde_json::Value) {
        assert_eq!(answer["type"], "ACK", "{answer}");
        let id = answer["messageId"].as_str().expect("an id");
        let number = id.strip_prefix(&format!("{}-", self.id)).and_then(|number| number.parse().ok());
        if self.unconfirmed.remove(&number.expect("an id of its own")) {
            self.tell.send_modify(|progress| progress.confirmed += 1);
        }
    }
}
