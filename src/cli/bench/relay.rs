//! `slipstream bench relay`: load on a running relay.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use slipstream_benches::load::{self, Goal, LoadError, Plan, Progress, Source};
use tokio::runtime::Builder;

use super::metrics_page::Asked;
use super::table::{Table, grouped};
use crate::admin::AdminUrl;
use crate::cli::output;
use crate::cli::urls::{self, RelayUrl};
use crate::clock::SystemClock;
use crate::config;

const EXAMPLE: &str = "\
Examples:
  slipstream bench relay
  slipstream bench relay --mode paced --rate 2000 --duration 30s
  slipstream bench relay --mode offline --messages 1000000
  slipstream bench relay --mode fan-out --subscribers 50 --json
  slipstream bench relay --to ws://10.0.0.7:7171/ --admin http://10.0.0.7:8080 --publishers 4 --threads 2

Every message is checked: confirmed, delivered once to each subscriber, in order. The exit status is 1 where one was
refused or is missing, or where the relay is not there. docs/benchmarking.md says what each number means.

Without --to and SLIPSTREAM_URL it is the relay at ws://127.0.0.1:7171/. No other peer of it gets any of the load. In mode offline the relay remembers the subscribers (bench-RUN-0 and so on)
until its peer TTL.";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Throughput: publishers keep their window full, subscribers acknowledge
    Live,
    /// Latency at a fixed rate, each message timed from when the schedule has it
    Paced,
    /// Publish while the subscribers are away, then let them take it; stored/s and drained/s apart
    Offline,
    /// As live, with 50 subscribers; deliveries/s
    FanOut,
}

/// Puts load on a running relay: throughput and latency percentiles.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(flatten)]
    to: RelayUrl,
    /// What is measured.
    #[arg(long, value_enum, default_value_t = Mode::Live)]
    mode: Mode,
    /// Ends after this many messages, of all publishers together [in mode offline 200000].
    #[arg(long, value_name = "NUMBER", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Ends after this time, such as 30s [but for mode offline 10s].
    #[arg(long, value_parser = some_time)]
    duration: Option<Duration>,
    /// Load before the measurement, which does not count; 0s for none [but for mode offline 1s].
    #[arg(long, value_name = "DURATION", value_parser = any_time)]
    warmup: Option<Duration>,
    /// Bytes of each message's value, a JSON string with its quotes.
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    payload: usize,
    /// Links that publish.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    publishers: NonZeroU16,
    /// Links that subscribe; each gets every message [1, in mode fan-out 50].
    #[arg(long, value_name = "NUMBER")]
    subscribers: Option<u16>,
    /// Most messages that a publisher has sent and that are not confirmed.
    #[arg(long, value_name = "NUMBER", default_value = "512")]
    window: NonZeroU32,
    /// Messages a second, of all publishers together; only in mode paced [2000].
    #[arg(long, value_name = "NUMBER")]
    rate: Option<NonZeroU32>,
    /// Keys that each publisher goes round. Without it each message has a key of its own.
    #[arg(long, value_name = "NUMBER")]
    keys: Option<NonZeroU64>,
    /// Most ids in one ACK. With 1 every ACK has one id, those of the relay too.
    #[arg(long, value_name = "NUMBER", default_value = "128")]
    ack_batch: NonZeroU16,
    /// Gives up what has not come when nothing came for so long.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = some_time)]
    timeout: Duration,
    /// Threads of this program. One costs the least; more for a load beyond what one can make.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    threads: NonZeroU16,
    /// The relay's admin URL, where its CPU and memory are read [SLIPSTREAM_ADMIN_URL; default http://127.0.0.1:8080].
    /// Without an answer there the result goes without them.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// Reads CPU and memory of this process instead, from /proc.
    #[arg(long, conflicts_with = "admin")]
    pid: Option<u32>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn time(text: &str, least: Duration) -> Result<Duration, String> {
    config::duration(text, least).map_err(|expected| format!("expected {expected}"))
}

fn some_time(text: &str) -> Result<Duration, String> {
    time(text, Duration::from_millis(1))
}

fn any_time(text: &str) -> Result<Duration, String> {
    time(text, Duration::ZERO)
}

impl Arguments {
    /// One thread where one is enough: it has nothing to lock and nobody to wake.
    pub(super) fn runtime(&self) -> Builder {
        match self.threads.get() {
            1 => Builder::new_current_thread(),
            threads => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(threads.into());
                builder
            }
        }
    }

    /// # Errors
    /// What does not fit together.
    fn plan(&self) -> Result<Plan, String> {
        let mode = match (self.mode, self.rate) {
            (Mode::Paced, rate) => load::Mode::Paced(rate.unwrap_or(DEFAULT_RATE)),
            (_, Some(_)) => return Err("--rate: only --mode paced keeps a rate".to_owned()),
            (Mode::Live, None) => load::Mode::Live,
            (Mode::Offline, None) => load::Mode::Offline,
            (Mode::FanOut, None) => load::Mode::FanOut,
        };
        let goal = match (self.messages, self.duration, self.mode) {
            (Some(messages), ..) => Goal::Messages(messages),
            (None, Some(time), _) => Goal::For(time),
            (None, None, Mode::Offline) => Goal::Messages(DEFAULT_OFFLINE),
            (None, None, _) => Goal::For(DEFAULT_DURATION),
        };
        let default_warmup = if self.mode == Mode::Offline { Duration::ZERO } else { DEFAULT_WARMUP };
        let default_subscribers = if self.mode == Mode::FanOut { DEFAULT_FAN_OUT } else { 1 };
        let (to, tls) = self.to.read_or(DEFAULT_RELAY)?;
        Ok(Plan {
            to,
            token: self.to.token()?,
            tls: Some(tls),
            mode,
            goal,
            warmup: Some(self.warmup.unwrap_or(default_warmup)).filter(|time| !time.is_zero()),
            publishers: self.publishers,
            subscribers: self.subscribers.unwrap_or(default_subscribers),
            window: self.window,
            payload: self.payload,
            keys: self.keys,
            ack_batch: self.ack_batch,
            patience: self.timeout,
        })
    }

    fn source(&self) -> Source {
        let tls = self.to.tls();
        let admin = || {
            // The metrics page wants no token.
            let named = urls::admin(self.admin.as_deref(), tls.clone(), None);
            named.unwrap_or_else(|| AdminUrl::new(DEFAULT_ADMIN, tls.clone(), None))
        };
        self.pid.map_or_else(|| Source::Page(Box::new(Asked(admin()))), Source::Process)
    }
}

const DEFAULT_RELAY: &str = "ws://127.0.0.1:7171/";
const DEFAULT_ADMIN: &str = "http://127.0.0.1:8080";
const DEFAULT_RATE: NonZeroU32 = NonZeroU32::new(2_000).unwrap();
const DEFAULT_OFFLINE: u64 = 200_000;
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
const DEFAULT_WARMUP: Duration = Duration::from_secs(1);
const DEFAULT_FAN_OUT: u16 = 50;

/// Measures, and prints the result.
pub(super) async fn run(arguments: Arguments) -> ExitCode {
    let plan = match arguments.plan() {
        Ok(plan) => plan,
        Err(fault) => return output::fail(output::MISUSED, &fault),
    };
    // Progress is for a person who waits.
    let told = !arguments.json && stderr().is_terminal();
    let tell = |stage: &'static str, now: Progress| {
        if told {
            progress(stage, now);
        }
    };
    let report = match load::run(plan, &arguments.source(), &SystemClock::new(), &tell).await {
        Ok(report) => report,
        Err(fault @ LoadError::Plan(_)) => return output::fail(output::MISUSED, &fault),
        Err(fault) => return output::fail(output::FAILED, &fault),
    };
    let printed = if arguments.json { output::record(&report) } else { output::line(&Table(&report).to_string()) };
    match (printed, report.faults.told()) {
        (Err(fault), _) => output::fail(output::FAILED, &fault),
        (Ok(()), Some(faults)) => output::fail(output::FAILED, &output::printable(&faults)),
        (Ok(()), None) => ExitCode::SUCCESS,
    }
}

/// One line on stderr. Where stderr is gone, nobody waits.
fn progress(stage: &'static str, now: Progress) {
    let Progress { elapsed, confirmed, delivered } = now;
    let (seconds, confirmed, delivered) = (elapsed.as_secs(), grouped(confirmed), grouped(delivered));
    let _ = writeln!(stderr().lock(), "{stage} {seconds:>4} s  {confirmed:>12} confirmed  {delivered:>12} delivered");
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let line = ["relay"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(line).map_err(|error| error.to_string())?.arguments.plan()
    }

    #[test]
    fn each_mode_has_defaults_that_fit_it() {
        let part = |line| {
            let plan = plan(line).expect("a plan");
            (plan.goal, plan.subscribers, plan.warmup)
        };
        let ten_seconds = Goal::For(Duration::from_secs(10));
        let second = Some(Duration::from_secs(1));
        assert_eq!(part(""), (ten_seconds, 1, second));
        assert_eq!(part("--mode paced"), (ten_seconds, 1, second));
        assert_eq!(part("--mode fan-out"), (ten_seconds, 50, second));
        assert_eq!(part("--mode offline"), (Goal::Messages(200_000), 1, None));
        assert_eq!(part("--mode offline --duration 3s --subscribers 2").0, Goal::For(Duration::from_secs(3)));
        assert_eq!(part("--messages 7 --warmup 0s --subscribers 0"), (Goal::Messages(7), 0, None));
    }

    #[test]
    fn a_rate_belongs_to_mode_paced() {
        assert_eq!(plan("--mode paced").expect("a plan").mode, load::Mode::Paced(DEFAULT_RATE));
        let rate = NonZeroU32::new(50).expect("not 0");
        assert_eq!(plan("--mode paced --rate 50").expect("a plan").mode, load::Mode::Paced(rate));
        assert!(plan("--rate 50").expect_err("refused").contains("--mode paced"));
    }

    #[test]
    fn what_contradicts_itself_or_cannot_be_read_is_refused() {
        for line in [
            "--messages 1 --duration 1s",
            "--messages 0",
            "--duration soon",
            "--duration 0s",
            "--window 0",
            "--mode fast",
            "--pid 1 --admin http://127.0.0.1:8080",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
        assert!(plan("--duration soon").expect_err("refused").contains("expected a duration"));
    }
}
