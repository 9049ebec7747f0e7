//! An application server that lives through everything. It links to any of the relay's processes, keeps what was not
//! confirmed and sends it again in order, acknowledges what comes, gives up a link that is silent, moves to another process
//! though its link is well, and is away for a while.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::oracle::{LinkName, Loose, Oracle};
use super::session::{Heard, Session};
use super::traffic::{Name, id, name_of, tag};
use crate::support::{Event, Link};

/// How often it looks at what is to be done: it sends a message each time, if it may.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// How many looks lie between two pings.
const PINGS_EVERY: u64 = 20;

/// Most messages that are not confirmed. Every second application waits for each confirm.
const PIPELINE: usize = 8;

/// Of how many looks it moves once, and is away once.
const MOVES_ONE_IN: u32 = 600;
const LEAVES_ONE_IN: u32 = 1_200;

/// Longest that it is away.
const LONGEST_ABSENCE_MS: u64 = 15_000;

/// Most links that it gave up and still hears.
const FORMER_LINKS: usize = 3;

/// What an application is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orders {
    /// Link, and take what comes.
    Listen,
    /// Also send, move and be away.
    Live,
    /// Be there until everything is over.
    Settle,
}

/// How an application stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether it has a link on which something came, so that its process has claimed it.
    pub(crate) linked: bool,
    pub(crate) unconfirmed: usize,
    /// Links that are open, former ones too.
    pub(crate) links: usize,
}

/// An application at work. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) standing: watch::Receiver<Standing>,
    work: JoinHandle<()>,
}

impl Application {
    pub(crate) fn start(
        number: usize,
        processes: Vec<SocketAddr>,
        oracle: &Arc<Oracle>,
        orders: watch::Receiver<Orders>,
        random: Rng,
    ) -> Self {
        let (tell, standing) = watch::channel(Standing::default());
        let pipeline = if number.is_multiple_of(2) { 1 } else { PIPELINE };
        let worker = Worker {
            number,
            processes,
            oracle: Arc::clone(oracle),
            orders,
            random,
            tell,
            session: Session::new(Arc::clone(oracle)),
            pipeline,
            unconfirmed: BTreeSet::new(),
            refused: BTreeSet::new(),
            next: 0,
            current: None,
            asking: false,
            away_until: None,
        };
        let oracle = Arc::clone(oracle);
        let work = tokio::spawn(async move {
            let working = tokio::spawn(worker.run());
            let _ends = AbortOnDrop(working.abort_handle());
            if let Err(error) = working.await
                && error.is_panic()
            {
                oracle.violated(&format!("{} panicked: {error}", id(number)));
            }
        });
        Self { standing, work }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.work.abort();
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Worker {
    number: usize,
    processes: Vec<SocketAddr>,
    oracle: Arc<Oracle>,
    orders: watch::Receiver<Orders>,
    random: Rng,
    tell: watch::Sender<Standing>,
    session: Session,
    pipeline: usize,
    unconfirmed: BTreeSet<u64>,
    /// Those of them that are to be sent again on this link.
    refused: BTreeSet<u64>,
    next: u64,
    /// The link on which it sends.
    current: Option<u64>,
    asking: bool,
    away_until: Option<Instant>,
}

impl Worker {
    async fn run(mut self) {
        let mut looks = interval(LOOKS_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = 0;
        loop {
            tokio::select! {
                heard = self.session.hears() => self.hear(heard),
                _ = looks.tick() => {
                    look += 1;
                    self.look(look);
                }
            }
            for failed in self.session.flush().await {
                self.has_ended(failed, None);
            }
            self.tell_standing();
        }
    }

    fn name(&self, link: u64) -> LinkName {
        LinkName { application: self.number, number: link }
    }

    fn tell_standing(&self) {
        let standing = Standing {
            linked: self.current.is_some_and(|link| self.session.has_heard(link)),
            unconfirmed: self.unconfirmed.len(),
            links: self.session.open().len(),
        };
        self.tell.send_if_modified(|told| std::mem::replace(told, standing) != standing);
    }

    fn look(&mut self, look: u64) {
        let orders = *self.orders.borrow();
        if self.away_until.is_some_and(|until| orders == Orders::Live && Instant::now() < until) {
            return;
        }
        self.away_until = None;
        let lives = orders == Orders::Live;
        if lives && self.random.u32(..LEAVES_ONE_IN) == 0 {
            return self.leave();
        }
        if let Some(link) = self.current {
            if self.session.is_silent(link) {
                self.give_up(link);
            } else if look.is_multiple_of(PINGS_EVERY) {
                self.session.ping(link);
            }
        }
        let moves = lives && self.random.u32(..MOVES_ONE_IN) == 0;
        if (self.current.is_none() || moves) && !self.asking {
            self.asking = true;
            let process = self.random.usize(..self.processes.len());
            let target = format!("/?id={}&tags={}", id(self.number), tag(self.number));
            self.session.ask(process, self.processes[process], target);
        }
        if let Some(link) = self.current {
            self.send_on(link, lives);
        }
    }

    fn send_on(&mut self, link: u64, lives: bool) {
        for number in std::mem::take(&mut self.refused) {
            self.send(link, number);
        }
        if lives && self.unconfirmed.len() < self.pipeline {
            self.unconfirmed.insert(self.next);
            self.send(link, self.next);
            self.next += 1;
        }
    }

    fn send(&mut self, link: u64, number: u64) {
        self.oracle.sending(self.name(link), number);
        let name = Name { sender: self.number, number };
        self.session.text(link, &self.oracle.traffic.text(name));
    }

    /// Ends all links, and stays away for a while.
    fn leave(&mut self) {
        for link in self.session.open() {
            self.session.drop_link(link);
            self.has_ended(link, None);
        }
        self.away_until = Some(Instant::now() + Duration::from_millis(self.random.u64(..LONGEST_ABSENCE_MS)));
        self.oracle.count(|counts| counts.absences += 1);
    }

    /// Sends on another link from now on. What still comes on this one is taken, if it was served: otherwise nobody knows
    /// which of the two is served later.
    fn give_up(&mut self, link: u64) {
        self.current = None;
        self.loosen();
        if !self.oracle.is_served(self.name(link)) {
            self.session.drop_link(link);
            self.has_ended(link, None);
        }
        let former: Vec<_> = self.session.open();
        for link in former.iter().rev().skip(FORMER_LINKS) {
            self.session.drop_link(*link);
            self.has_ended(*link, None);
        }
    }

    /// Whether what is not confirmed was accepted on the link that is gone shows only later.
    fn loosen(&mut self) {
        if let Some(newest) = self.unconfirmed.last().copied() {
            for number in self.unconfirmed.iter().copied().filter(|number| *number < newest) {
                self.oracle.loosened(Name { sender: self.number, number }, Loose::LinkLost);
            }
        }
    }

    fn has_ended(&mut self, link: u64, code: Option<u16>) {
        self.oracle.ended(self.name(link), code);
        if self.current == Some(link) {
            self.current = None;
            self.loosen();
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Answer(process, link) => {
                self.asking = false;
                if let Some(link) = link
                    && self.away_until.is_none()
                {
                    self.begin(process, *link);
                }
            }
            Heard::Came(link, event) => {
                if self.session.note_heard(link) {
                    self.take(link, event);
                }
            }
        }
    }

    /// A link is there: what was not confirmed is sent again, in order.
    fn begin(&mut self, process: usize, link: Link) {
        if let Some(former) = self.current {
            self.oracle.count(|counts| counts.takeovers += 1);
            self.give_up(former);
        }
        let link = self.session.begin(link);
        self.oracle.linked(self.name(link), process);
        self.current = Some(link);
        self.session.ping(link);
        self.refused.clear();
        for number in self.unconfirmed.clone() {
            self.send(link, number);
        }
    }

    fn take(&mut self, link: u64, event: Event) {
        match event {
            Event::Message(message) => match name_of(&message.json) {
                Some(name) => {
                    self.oracle.arrived(self.name(link), name);
                    let ack = json!({"type": "ACK", "messageId": name.to_string(), "clusterGroupId": "singleton"});
                    self.session.text(link, &ack.to_string());
                }
                None => self.oracle.violated(&format!("{} gets what nobody sent: {}", id(self.number), message.text)),
            },
            Event::Answer(answer) => self.answered(link, &answer),
            Event::Ping(payload) => self.session.pong(link, &payload),
            Event::Pong(_) => {}
            Event::Closed(code, _) => {
                self.session.drop_link(link);
                self.has_ended(link, Some(code));
            }
        }
    }

    fn answered(&mut self, link: u64, answer: &Value) {
        let name = answer["messageId"].as_str().and_then(|id| id.parse::<Name>().ok());
        let Some(Name { number, .. }) = name.filter(|name| name.sender == self.number && name.number < self.next)
        else {
            return self.oracle.violated(&format!("{} gets an answer to nothing: {answer}", id(self.number)));
        };
        if answer["type"] == "ACK" {
            let first = self.unconfirmed.remove(&number);
            self.refused.remove(&number);
            return self.oracle.confirmed(self.name(link), number, first);
        }
        let (code, reason) = (answer["code"].as_str().unwrap_or_default(), &answer["reason"]);
        if code != "storage_unavailable" {
            return self.oracle.violated(&format!("{} is refused {number} for good: {answer}", id(self.number)));
        }
        self.oracle.count(|counts| *counts.refused.entry(reason.to_string()).or_default() += 1);
        // On a former link it says nothing: the message was sent again.
        if self.current == Some(link) && self.unconfirmed.contains(&number) {
            if self.unconfirmed.last() > Some(&number) || self.next > number + 1 {
                self.oracle.loosened(Name { sender: self.number, number }, Loose::Refused);
            }
            self.refused.insert(number);
        }
    }
}
