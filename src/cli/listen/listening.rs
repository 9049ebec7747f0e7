//! A run of `listen`: link after link, until there is an end.

use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::time::Duration;

use anyhow::anyhow;
use hyper::StatusCode;
use slipstream_store::{ClusterGroup, MessageId};
use tokio::time::{Instant, sleep_until};

use super::arguments::Arguments;
use crate::cli::frame::Frame;
use crate::cli::output;
use crate::cli::patience::Patience;
use crate::cli::signals::Signals;
use crate::cli::stdout_reader::StdoutReader;
use crate::client::{Client, ClientError, ClientOptions, ClientReceiver, ClientSender, ConnectError, Received};
use crate::clock::{self, Clock as _, SystemClock};
use crate::dial::{Backoff, DialLimits};
use crate::link::{CloseCode, HandshakeError};

/// Pauses between links. There is no circuit to open: a person waits, or a program that wants the next message.
const PAUSES: DialLimits = DialLimits {
    timeout: Duration::from_secs(10),
    first_pause: Duration::from_millis(500),
    longest_pause: Duration::from_secs(30),
    attempts: u32::MAX,
    open_pause: Duration::from_secs(30),
};

/// Most that a relay's `Retry-After` is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How listening ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// So many were printed as were asked for.
    Counted,
    /// A signal asked for it.
    Asked,
    /// Nobody reads what is printed.
    Unread,
    /// Nothing more came in time.
    Quiet,
}

/// Why a link did not go on.
enum Broken {
    /// It is lost; another may be made.
    Lost(anyhow::Error),
    /// Another would end the same way.
    Over(anyhow::Error),
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        Self::Lost(error.into())
    }
}

/// A run of the command.
pub(super) struct Listening<'a> {
    arguments: &'a Arguments,
    url: String,
    options: ClientOptions,
    clock: SystemClock,
    signals: Signals,
    reader: StdoutReader,
    patience: Option<Patience>,
    /// How many more are to be printed.
    left: u64,
    /// How many were not printed because of their keys.
    passed_over: u64,
}

impl<'a> Listening<'a> {
    /// # Errors
    /// If signals cannot be caught.
    pub(super) fn new(arguments: &'a Arguments, url: String, options: ClientOptions) -> io::Result<Self> {
        Ok(Self {
            arguments,
            url,
            options,
            clock: SystemClock::new(),
            signals: Signals::new()?,
            reader: StdoutReader::new(),
            patience: arguments.timeout.map(Patience::new),
            left: arguments.count.map_or(u64::MAX, NonZeroU64::get),
            passed_over: 0,
        })
    }

    /// What is to be said of the messages that were not printed.
    pub(super) fn passed_over(&self) -> Option<String> {
        let acknowledged = if self.arguments.no_ack { "" } else { "acknowledged and " };
        (self.passed_over > 0)
            .then(|| format!("{} messages with other keys were {acknowledged}not shown", self.passed_over))
    }

    /// Listens.
    ///
    /// # Errors
    /// Why there is no link any more, or why nothing can be printed.
    pub(super) async fn run(&mut self) -> anyhow::Result<End> {
        let mut client = Client::connect(&self.url, &self.options).await?;
        let mut backoff = Backoff::new(PAUSES);
        loop {
            let since = Instant::now();
            match self.print(client).await {
                Ok(end) => return Ok(end),
                Err(Broken::Over(fault)) => return Err(fault),
                Err(Broken::Lost(fault)) if self.arguments.once => return Err(fault),
                Err(Broken::Lost(fault)) => output::complain(&format_args!("{fault:#}; linking again")),
            }
            backoff.ended(since.elapsed());
            client = match self.link_again(&mut backoff).await? {
                Ok(client) => client,
                Err(end) => return Ok(end),
            };
            output::complain(&"linked again");
        }
    }

    /// Makes another link, however often that fails, unless there is an end before.
    async fn link_again(&mut self, backoff: &mut Backoff) -> anyhow::Result<Result<Client, End>> {
        let (url, options) = (self.url.clone(), self.options.clone());
        let mut asked_for = Duration::ZERO;
        loop {
            let pause = backoff.pause(|pause| clock::jitter(&self.clock, pause)).max(asked_for);
            let linking = async {
                sleep_until(Instant::now() + pause).await;
                Client::connect(&url, &options).await
            };
            let fault = tokio::select! {
                end = ended(&mut self.signals, &self.reader, self.patience.as_mut()) => return Ok(Err(end)),
                linked = linking => match linked {
                    Ok(client) => {
                        backoff.linked();
                        return Ok(Ok(client));
                    }
                    Err(fault) => fault,
                },
            };
            asked_for = match &fault {
                ConnectError::Handshake(HandshakeError::Refused { status, retry_after, .. }) => match *status {
                    StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        return Err(fault.into());
                    }
                    _ => {
                        retry_after.map_or(Duration::ZERO, |asked| asked.pause(self.clock.wall()).min(MAX_RETRY_AFTER))
                    }
                },
                _ => Duration::ZERO,
            };
            backoff.failed();
            if backoff.failures() == 1 {
                output::complain(&format_args!("{fault}; trying again"));
            }
        }
    }

    /// Prints what comes over one link.
    async fn print(&mut self, client: Client) -> Result<End, Broken> {
        let (mut sender, mut receiver) = client.split();
        let end = loop {
            if let Some(end) = self.next(&mut sender, &mut receiver).await? {
                break end;
            }
        };
        match (sender.close().await, end) {
            // What was acknowledged may not have arrived, and is then sent again.
            (Err(fault), End::Counted | End::Asked) => Err(Broken::Over(fault.into())),
            (_, end) => Ok(end),
        }
    }

    /// Waits for what comes next, and prints it if it is a message.
    async fn next(&mut self, sender: &mut ClientSender, receiver: &mut ClientReceiver) -> Result<Option<End>, Broken> {
        let received = tokio::select! {
            biased;
            end = ended(&mut self.signals, &self.reader, self.patience.as_mut()) => return Ok(Some(end)),
            received = receiver.next() => received.ok_or_else(|| Broken::Lost(anyhow!("the link was lost")))??,
        };
        let text = match received {
            Received::Text(text) => text,
            Received::Closed { code, reason } => {
                let told = anyhow!("the relay closed the link{}", output::close_reason(code, &reason));
                // Two that take over from each other would do so for ever.
                let over = code == Some(CloseCode::TAKEN_OVER);
                return Err(if over { Broken::Over(told) } else { Broken::Lost(told) });
            }
        };
        let text = std::str::from_utf8(&text).map_err(|error| Broken::Over(error.into()))?;
        let frame = Frame::read(text).map_err(Broken::Over)?;
        let Some(id) = message(&frame) else { return Ok(None) };
        if self.is_wanted(&frame) {
            match self.show(text, &frame) {
                Ok(true) => {}
                Ok(false) => return Ok(Some(End::Unread)),
                Err(fault) => return Err(Broken::Over(fault)),
            }
            self.left -= 1;
            if let Some(patience) = &mut self.patience {
                patience.begin_anew();
            }
        } else {
            self.passed_over += 1;
        }
        if !self.arguments.no_ack {
            let (id, group) = identity(id, &frame).map_err(Broken::Over)?;
            sender.acknowledge(&[id], group.as_ref()).await?;
            sender.flush().await?;
        }
        Ok((self.left == 0).then_some(End::Counted))
    }

    fn is_wanted(&self, frame: &Frame<'_>) -> bool {
        let keys = &self.arguments.keys;
        keys.is_empty() || keys.iter().any(|key| frame.key.as_deref() == Some(key.as_str()))
    }

    /// Prints a message. Answers whether anybody reads it.
    fn show(&self, text: &str, frame: &Frame<'_>) -> anyhow::Result<bool> {
        let line = self.arguments.format().line(text, frame)?;
        match output::line(&line) {
            Ok(()) => Ok(!self.reader.has_gone()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Waits for an end that has nothing to do with the link.
async fn ended(signals: &mut Signals, reader: &StdoutReader, patience: Option<&mut Patience>) -> End {
    let quiet = async {
        match patience {
            Some(patience) => patience.lost().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = signals.next() => End::Asked,
        () = reader.gone() => End::Unread,
        () = quiet => End::Quiet,
    }
}

/// The id of a message that came; `None` for an ACK or NACK, which answer nothing that this command sent.
fn message<'a>(frame: &'a Frame<'_>) -> Option<&'a str> {
    match &*frame.r#type {
        "ACK" | "NACK" => None,
        _ => frame.message_id.as_deref(),
    }
}

fn identity(id: &str, frame: &Frame<'_>) -> anyhow::Result<(MessageId, Option<ClusterGroup>)> {
    let group = frame.cluster_group_id.as_deref().map(ClusterGroup::new).transpose()?;
    Ok((MessageId::new(id)?, group))
}
