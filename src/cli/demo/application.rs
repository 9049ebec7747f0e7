//! An application of the demo: it sends numbered messages one after the other, and counts what it gets of the others'.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use slipstream_store::PeerId;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::cli::frame::Frame;
use crate::client::{Client, ClientOptions, ClientReceiver, ClientSender, Received};

/// How long it waits until it links again.
const PAUSE: Duration = Duration::from_millis(200);

/// What an application has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Its messages that the relay has confirmed.
    pub(super) confirmed: u64,
    /// Messages of others that came, each once.
    pub(super) got: u64,
    /// Those that came once more.
    pub(super) again: u64,
    /// Those that are missing: a later one of the same sender came.
    pub(super) missing: u64,
    /// Those that it has refused, and not got since.
    pub(super) refused: u64,
    /// Whether it has a link.
    pub(super) linked: bool,
}

/// An application that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Application {
    pub(super) name: &'static str,
    tally: watch::Receiver<Tally>,
    refuses: Arc<AtomicBool>,
    _task: AbortOnDropHandle<()>,
}

/// What a message says.
#[derive(Debug, Serialize, Deserialize)]
struct Numbered {
    from: String,
    number: u64,
}

impl Application {
    /// Starts it beside the relay at this URL. It sends while `sends` is true.
    pub(super) fn start(
        name: &'static str,
        url: String,
        rate: NonZeroU32,
        sends: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let (told, tally) = watch::channel(Tally::default());
        let refuses = Arc::new(AtomicBool::new(false));
        let options = ClientOptions { id: Some(PeerId::new(name)?), ..ClientOptions::default() };
        let counting = Counting { told, refuses: Arc::clone(&refuses), last: HashMap::new(), refused: HashSet::new() };
        let life = Life { name, url, options, pace: Duration::from_secs(1) / rate.get(), sends, counting };
        let task = AbortOnDropHandle::new(tokio::spawn(life.live()));
        Ok(Self { name, tally, refuses, _task: task })
    }

    /// What it has counted so far.
    pub(super) fn tally(&self) -> Tally {
        *self.tally.borrow()
    }

    /// Has it refuse the next message for good.
    pub(super) fn refuse_next(&self) {
        self.refuses.store(true, Ordering::Relaxed);
    }
}

struct Life {
    name: &'static str,
    url: String,
    options: ClientOptions,
    pace: Duration,
    sends: watch::Receiver<bool>,
    counting: Counting,
}

impl Life {
    async fn live(mut self) {
        let mut unconfirmed: Option<u64> = None;
        let mut ticks = interval(self.pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Ok(client) = Client::connect(&self.url, &self.options).await else {
                sleep(PAUSE).await;
                continue;
            };
            self.counting.told.send_modify(|tally| tally.linked = true);
            let (mut sender, mut receiver) = client.split();
            // Whether what it sent last was confirmed is not known, so it is sent again, under the same id.
            let resent = match unconfirmed {
                Some(number) => self.send(&mut sender, number).await,
                None => Ok(()),
            };
            if resent.is_ok() {
                while let Ok(()) = self.step(&mut sender, &mut receiver, &mut ticks, &mut unconfirmed).await {}
            }
            self.counting.told.send_modify(|tally| tally.linked = false);
            sleep(PAUSE).await;
        }
    }

    /// Sends the next message or takes what comes.
    async fn step(
        &mut self,
        sender: &mut ClientSender,
        receiver: &mut ClientReceiver,
        ticks: &mut tokio::time::Interval,
        unconfirmed: &mut Option<u64>,
    ) -> anyhow::Result<()> {
        tokio::select! {
            _ = ticks.tick() => {
                if unconfirmed.is_some() || !*self.sends.borrow() {
                    return Ok(());
                }
                let number = self.counting.told.borrow().confirmed + 1;
                *unconfirmed = Some(number);
                self.send(sender, number).await
            }
            text = receiver.next() => {
                let Some(Ok(Received::Text(text))) = text else { anyhow::bail!("the link has ended") };
                let frame = Frame::read(std::str::from_utf8(&text)?)?;
                match (&*frame.r#type, frame.message_id.as_deref()) {
                    ("ACK", Some(id)) if unconfirmed.is_some_and(|number| id == self.id(number)) => {
                        *unconfirmed = None;
                        self.counting.told.send_modify(|tally| tally.confirmed += 1);
                        Ok(())
                    }
                    // It is sent again with the next link.
                    ("NACK", _) => anyhow::bail!("the relay takes no messages now"),
                    ("ACK", _) => Ok(()),
                    (_, Some(id)) => Ok(sender.send(&self.counting.answer(id, frame.value)?).await?),
                    (_, None) => Ok(()),
                }
            }
        }
    }

    async fn send(&self, sender: &mut ClientSender, number: u64) -> anyhow::Result<()> {
        let value = Numbered { from: self.name.to_owned(), number };
        let message = json!({"type": "SK", "key": self.id(number), "value": value, "messageId": self.id(number)});
        Ok(sender.send(&message.to_string()).await?)
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.name)
    }
}

/// What was got, by sender.
struct Counting {
    told: watch::Sender<Tally>,
    refuses: Arc<AtomicBool>,
    /// The newest number of each sender.
    last: HashMap<String, u64>,
    refused: HashSet<String>,
}

impl Counting {
    /// Counts a message, and returns the answer to it.
    fn answer(&mut self, id: &str, value: Option<&RawValue>) -> anyhow::Result<String> {
        let value: Numbered = serde_json::from_str(value.context("a message without a value")?.get())?;
        let last = self.last.entry(value.from).or_default();
        let is_new = value.number > *last;
        let skipped = value.number.saturating_sub(*last + 1);
        *last = value.number.max(*last);
        if is_new && self.refuses.swap(false, Ordering::Relaxed) {
            self.refused.insert(id.to_owned());
            self.told.send_modify(|tally| {
                tally.refused += 1;
                tally.missing += skipped;
            });
            let reason = "the demo has it refuse one";
            return Ok(json!({"type": "NACK", "messageId": id, "code": "invalid", "reason": reason}).to_string());
        }
        let was_refused = self.refused.remove(id);
        self.told.send_modify(|tally| {
            tally.missing += skipped;
            tally.refused -= u64::from(was_refused);
            *(if is_new || was_refused { &mut tally.got } else { &mut tally.again }) += 1;
        });
        Ok(json!({"type": "ACK", "messageId": id}).to_string())
    }
}
