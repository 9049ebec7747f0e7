//! A run of `send`: what was sent and is not answered, and how it went so far.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, anyhow, bail};
use parking_lot::Mutex;
use serde::Serialize;
use slipstream_store::MessageId;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::arguments::Arguments;
use super::ids::Ids;
use super::input::Input;
use crate::cli::frame::Frame;
use crate::cli::output;
use crate::cli::patience::LATE;
use crate::client::{Client, ClientReceiver, ClientSender, Received};
use crate::clock::{Clock as _, SystemClock};

/// Most messages that are sent and not yet answered.
const IN_FLIGHT: u32 = 1024;

/// Whether the only value of a command has the id that it is asked for.
///
/// # Errors
/// What was expected, in words.
pub(super) fn check(arguments: &Arguments, ids: &Ids<'_>, text: &str, clock: &SystemClock) -> Result<(), String> {
    let value = arguments.json(text).map_err(|error| error.to_string())?;
    ids.id(text, &value, 1, clock).map(drop)
}

/// The messages that wait for an answer.
#[derive(Default)]
struct Unanswered {
    /// How many of each id, since two lines may name the same one.
    ids: HashMap<MessageId, u32>,
    /// Since when none was answered while there were any.
    since: Option<Instant>,
}

impl Unanswered {
    fn add(&mut self, id: MessageId) {
        *self.ids.entry(id).or_default() += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Waits anew, for what is still to be answered.
    fn begin_anew(&mut self) {
        self.since = (!self.ids.is_empty()).then(Instant::now);
    }

    /// Takes out a message that is answered; whether it was there.
    fn take(&mut self, id: &str) -> bool {
        let Some(count) = self.ids.get_mut(id) else { return false };
        *count -= 1;
        if *count == 0 {
            self.ids.remove(id);
        }
        self.begin_anew();
        true
    }

    fn count(&self) -> u64 {
        self.ids.values().copied().map(u64::from).sum()
    }
}

/// A run of the command.
pub(super) struct Sending<'a> {
    arguments: &'a Arguments,
    ids: Ids<'a>,
    clock: SystemClock,
    /// Longest message that the relay takes, in bytes.
    limit: u64,
    unanswered: Mutex<Unanswered>,
    /// Told when a message begins to wait while none did.
    waiting: Notify,
    slots: Semaphore,
    refused: AtomicU64,
    answered: CancellationToken,
    /// Whether anybody reads stdout.
    read: AtomicBool,
}

/// What became of a message, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageResult<'a> {
    message_id: &'a str,
    acknowledged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> Sending<'a> {
    pub(super) fn new(arguments: &'a Arguments, ids: Ids<'a>, clock: SystemClock, limit: Option<u64>) -> Self {
        Self {
            arguments,
            ids,
            clock,
            limit: limit.unwrap_or(u64::MAX),
            unanswered: Mutex::default(),
            waiting: Notify::new(),
            slots: Semaphore::new(IN_FLIGHT as usize),
            refused: AtomicU64::new(0),
            answered: CancellationToken::new(),
            read: AtomicBool::new(!arguments.quiet),
        }
    }

    /// Sends the input, and tells how it went.
    pub(super) async fn run(self, client: Client, input: Input) -> ExitCode {
        let (mut sender, mut receiver) = client.split();
        let both = async { tokio::try_join!(self.feed(&mut sender, input), self.collect(&mut receiver)) };
        let outcome = tokio::select! {
            both = both => both.map(drop),
            fault = self.lose_patience() => Err(fault),
        };
        if outcome.is_ok() {
            // Every message has its answer, so a link that ends otherwise takes nothing away.
            drop(sender.close().await);
        }
        let refused = self.refused.load(Ordering::Relaxed);
        let unanswered = self.unanswered.lock().count();
        match outcome {
            Ok(()) if refused == 0 => ExitCode::SUCCESS,
            Ok(()) => output::fail(output::FAILED, &format_args!("not acknowledged: {refused}")),
            Err(fault) => {
                let told = format_args!("{fault:#}; not acknowledged: {refused}, without an answer: {unanswered}");
                output::complain(&told);
                if matches!(self.ids, Ids::Lines { .. }) {
                    output::complain(&"send it all again with the same command: no line is delivered twice");
                }
                ExitCode::from(output::FAILED)
            }
        }
    }

    /// Sends every message, and waits for the last answer; also if the input ends in a fault, for what was sent before.
    async fn feed(&self, sender: &mut ClientSender, input: Input) -> anyhow::Result<()> {
        let fed = self.send_all(sender, input).await;
        sender.flush().await?;
        let _all = self.slots.acquire_many(IN_FLIGHT).await?;
        self.answered.cancel();
        fed
    }

    async fn send_all(&self, sender: &mut ClientSender, input: Input) -> anyhow::Result<()> {
        let (mut lines, name) = match input {
            Input::One(text) => return self.send(sender, &text, 1).await,
            Input::Lines { lines, name, .. } => (lines, name),
        };
        while let Some(line) = lines.next().await.with_context(|| name.clone())? {
            self.send(sender, &line, lines.number()).await?;
            if !lines.has_another() {
                sender.flush().await?;
            }
        }
        Ok(())
    }

    async fn send(&self, sender: &mut ClientSender, text: &str, line: u64) -> anyhow::Result<()> {
        let value = self.arguments.json(text)?;
        let id = self.ids.id(text, &value, line, &self.clock).map_err(|fault| anyhow!("line {line}: {fault}"))?;
        if self.slots.available_permits() == 0 {
            sender.flush().await?;
        }
        // The slot is given back by the answer.
        self.slots.acquire().await?.forget();
        // The clock may have been set while this waited for a line.
        let _step = self.clock.look();
        let text = self.arguments.message(&value, &id, self.clock.wall())?;
        if text.len() as u64 > self.limit {
            // The relay would close the link for it.
            let reason =
                format!("line {line} makes a message of {} bytes, and the relay takes {}", text.len(), self.limit);
            self.unanswered.lock().add(id.clone());
            return self.settle(id.as_str(), Some(&reason));
        }
        self.unanswered.lock().add(id);
        self.waiting.notify_one();
        sender.send(&text).await?;
        Ok(())
    }

    /// Ends when messages have waited for too long and none was answered meanwhile.
    async fn lose_patience(&self) -> anyhow::Error {
        loop {
            let since = self.unanswered.lock().since;
            let now = Instant::now();
            match since.map(|since| since + self.arguments.timeout) {
                None => self.waiting.notified().await,
                // This program did not run meanwhile; what the relay said is still to be read.
                Some(end) if now > end + LATE => self.unanswered.lock().begin_anew(),
                Some(end) if now >= end => {
                    let timeout = self.arguments.timeout;
                    return anyhow!("the relay has confirmed nothing for {timeout:?} (--timeout)");
                }
                Some(end) => sleep_until(end).await,
            }
        }
    }

    /// Takes answers until every message has one. Messages that come meanwhile are left to the next link of this id:
    /// they are not acknowledged.
    async fn collect(&self, receiver: &mut ClientReceiver) -> anyhow::Result<()> {
        while let Some(received) = self.answered.run_until_cancelled(receiver.next()).await {
            match received.context("the link was lost")?? {
                Received::Text(text) => self.take(std::str::from_utf8(&text)?)?,
                Received::Closed { code, reason } => {
                    bail!("the relay closed the link{}", output::close_reason(code, &reason))
                }
            }
        }
        Ok(())
    }

    fn take(&self, text: &str) -> anyhow::Result<()> {
        let frame = Frame::read(text)?;
        let ids = frame.message_ids.iter().chain(&frame.message_id);
        match &*frame.r#type {
            "ACK" => {
                for id in ids {
                    self.settle(id, None)?;
                }
            }
            "NACK" => {
                let refusal = [&frame.code, &frame.reason].map(|part| part.as_deref().unwrap_or_default()).join(": ");
                for id in ids {
                    self.settle(id, Some(&refusal))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes the answer to a message and prints it. One that is not awaited says nothing.
    fn settle(&self, id: &str, refused: Option<&str>) -> anyhow::Result<()> {
        if !self.unanswered.lock().take(id) {
            return Ok(());
        }
        if let Some(reason) = refused {
            self.refused.fetch_add(1, Ordering::Relaxed);
            output::complain(&format_args!("{id} was not acknowledged: {}", output::printable(reason)));
        }
        self.slots.add_permits(1);
        let printed = match (self.arguments.json, refused) {
            _ if !self.read.load(Ordering::Relaxed) => Ok(()),
            (true, _) => {
                output::record(&MessageResult { message_id: id, acknowledged: refused.is_none(), reason: refused })
            }
            (false, None) => output::line(&format!("acknowledged {id}")),
            (false, Some(_)) => Ok(()),
        };
        match printed {
            // Whoever read it has read enough; the messages are sent all the same.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.read.store(false, Ordering::Relaxed),
            printed => printed?,
        }
        // However long a reader took for it, the relay had nothing to do with it.
        self.unanswered.lock().begin_anew();
        Ok(())
    }
}
