//! `slipstream demo`: three relays with an application each, in one process; one relay is killed and comes back. Everything
//! in it is real: sockets, stores, dashboards.
//!
//! | file | subject |
//! | --- | --- |
//! | `story` | what happens, told on the terminal |
//! | `cloud` | a relay of the demo |
//! | `application` | an application of the demo, and what it counts |

mod application;
mod cloud;
mod story;

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio_util::task::AbortOnDropHandle;

use self::cloud::Surroundings;
use self::story::Story;
use super::output;
use super::signals::{self, Signals};
use crate::BUCKETS;
use crate::admin::MetricsPage;
use crate::config::LogFormat;
use crate::logging::{self, Level, Switches};

const EXAMPLE: &str = "\
Examples:
  slipstream demo
  slipstream demo --once --rate 100

It uses free ports, and a folder for the stores that is removed at the end (TMPDIR says where). It goes on until Ctrl-C, or
with --once until the story is told; the exit status is 1 if a message was lost.";

/// Runs three relays with an application each, kills one and brings it back, and tells what happens.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Ends once the story is told.
    #[arg(long)]
    once: bool,
    /// Messages a second that each application sends.
    #[arg(long, value_name = "MESSAGES", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
}

pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    match tell(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(output::FAILED),
        Err(error) => output::fail(output::FAILED, &format_args!("{error:#}")),
    }
}

/// Returns whether no message was lost.
async fn tell(arguments: &Arguments) -> anyhow::Result<bool> {
    // What the relays say of lost links is part of the story, and told in it.
    let logging = logging::install(LogFormat::Human, Switches { messages: false, level: Level::Error }, None)?;
    let metrics = MetricsPage::install(&BUCKETS)?;
    let _upkeep = AbortOnDropHandle::new(tokio::spawn(metrics.clone().upkeep()));
    let folder =
        tempfile::Builder::new().prefix("slipstream-demo-").tempdir().context("a folder for the stores (TMPDIR)")?;
    let surroundings = Surroundings { folder: folder.path().to_owned(), log: logging.control(), metrics };
    let mut signals = Signals::new()?;
    let rate = NonZeroU32::new(arguments.rate).unwrap_or(NonZeroU32::MIN);
    let mut story = Story::begin(surroundings, rate).await?;
    let mut hangups = signals::hangups()?;
    tokio::select! {
        told = story.tell() => {
            told?;
            if !arguments.once {
                story.invite()?;
                tokio::select! {
                    () = signals.next() => {}
                    _ = hangups.recv() => {}
                }
            }
        }
        () = signals.next() => {}
        _ = hangups.recv() => {}
    }
    // Whoever does not want to wait asks a second time; the folder is removed all the same.
    tokio::select! {
        end = story.end() => end,
        () = signals.next() => {
            output::line("ended at once; what was on its way was not waited for")?;
            Ok(true)
        }
    }
}
