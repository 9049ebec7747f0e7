//! The command line: one file a command. What a command does beyond reading its arguments and printing lives elsewhere.

mod bench;
mod completions;
mod config;
mod credential;
mod demo;
mod failure;
mod frame;
mod lines;
mod listen;
mod man;
mod operate;
mod output;
mod patience;
mod send;
mod serve;
mod settings;
mod signals;
mod stdout_reader;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod tls_flags;
mod token;
mod urls;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::logging::wants_plain_text;

pub use settings::{SettingFlags, StoreFlags};

const EXAMPLE: &str = "\
Examples:
  slipstream
  slipstream listen --to ws://127.0.0.1:7171/ --id app-1
  slipstream send --to ws://127.0.0.1:7171/ order:123 '{\"total\":100}'";

/// A durable WebSocket message relay. Without a command it serves.
#[derive(Debug, Clone, Parser)]
#[command(name = "slipstream", version, after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// What the program is asked to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Runs a relay until SIGTERM or SIGINT.
    Serve(serve::Arguments),
    /// Sends one message, or one for each line of stdin, and waits until the relay has confirmed all.
    Send(send::Arguments),
    /// Prints the messages that come, and acknowledges them.
    Listen(listen::Arguments),
    /// Shows how a running relay is: its store, its peers, what they are owed.
    Status(operate::status::Arguments),
    /// Shows how fast messages flow, peer by peer, anew every two seconds.
    Top(operate::top::Arguments),
    /// Shows messages as they pass a running relay, without being a peer.
    Monitor(operate::monitor::Arguments),
    /// Shows where a message stands, peer by peer.
    Trace(operate::trace::Arguments),
    /// Compares what two relays say that they exchanged, and names the first message that differs.
    Reconcile(operate::reconcile::Arguments),
    /// Shows and steers the peers of a running relay.
    #[command(subcommand, after_help = operate::peers::EXAMPLE)]
    Peers(operate::peers::Command),
    /// Shows, redrives, exports and purges what a running relay has given up.
    #[command(subcommand, after_help = operate::dead_letters::EXAMPLE)]
    DeadLetters(operate::dead_letters::Command),
    /// Shows what a running relay logs, or changes it.
    Log(operate::log::Arguments),
    /// Checks, counts, compacts, copies or moves a whole store.
    #[command(subcommand, after_help = store::EXAMPLE)]
    Store(store::Command),
    /// Runs three relays with an application each, kills one and brings it back, and tells what happens.
    Demo(demo::Arguments),
    /// Measures.
    #[command(subcommand)]
    Bench(bench::Subject),
    /// Checks a configuration, shows it, or makes URL_CONFIG.
    #[command(subcommand, after_help = config::EXAMPLE)]
    Config(config::Command),
    /// Makes files for a trial of TLS.
    #[command(subcommand, after_help = tls::EXAMPLE)]
    Tls(tls::Command),
    /// Makes a token, and its lines for the auth file.
    Token(token::Arguments),
    /// Prints what a shell needs to complete commands and flags.
    Completions(completions::Arguments),
    /// Writes the manual pages, one for each command, into a folder.
    Man(man::Arguments),
}

impl Cli {
    /// Reads the arguments of this process.
    ///
    /// # Errors
    /// What is to be told instead, by [`explain`].
    pub fn of_process() -> Result<Self, clap::Error> {
        // Left to itself clap colours a dumb terminal where it sees the variable `CI`.
        let colours = if wants_plain_text() { ColorChoice::Never } else { ColorChoice::Auto };
        let matches = Self::command().color(colours).try_get_matches()?;
        Self::from_arg_matches(&matches)
    }

    /// The command; without one, to serve.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl Command {
    /// The runtime that it runs in.
    fn runtime(&self) -> Builder {
        let mut builder = match self {
            Self::Bench(subject) => subject.runtime(),
            _ => Builder::new_multi_thread(),
        };
        builder.enable_all();
        builder
    }
}

/// Prints what is told instead of running a command: its help, or what is wrong with its arguments. Returns the exit
/// status of the program.
#[must_use]
pub fn explain(usage: &clap::Error) -> ExitCode {
    match usage.print().and_then(|()| io::stdout().flush()) {
        Err(error) if !usage.use_stderr() && error.kind() != io::ErrorKind::BrokenPipe => {
            output::fail(output::FAILED, &format_args!("stdout: {error}"))
        }
        _ if usage.use_stderr() => ExitCode::from(output::MISUSED),
        _ => ExitCode::SUCCESS,
    }
}

/// Runs a command to its end, and answers the exit status of the program: 0 where it did what it was asked, 1 where
/// it failed, 2 where it was not asked rightly.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let command = cli.into_command();
    let runtime = match command.runtime().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(output::FAILED, &error),
    };
    let status = runtime.block_on(async {
        match command {
            Command::Serve(arguments) => serve::run(&arguments).await,
            Command::Send(arguments) => send::run(&arguments).await,
            Command::Listen(arguments) => listen::run(&arguments).await,
            Command::Status(arguments) => operate::told(operate::status::run(&arguments).await),
            Command::Top(arguments) => operate::told(operate::top::run(&arguments).await),
            Command::Monitor(arguments) => operate::told(operate::monitor::run(&arguments).await),
            Command::Trace(arguments) => operate::told(operate::trace::run(&arguments).await),
            Command::Reconcile(arguments) => operate::told(operate::reconcile::run(&arguments).await),
            Command::Peers(command) => operate::told(operate::peers::run(&command).await),
            Command::DeadLetters(command) => operate::told(operate::dead_letters::run(&command).await),
            Command::Log(arguments) => operate::told(operate::log::run(&arguments).await),
            Command::Store(command) => store::run(&command).await,
            Command::Demo(arguments) => demo::run(&arguments).await,
            Command::Bench(subject) => bench::run(subject).await,
            Command::Config(command) => config::run(&command),
            Command::Tls(command) => tls::run(&command),
            Command::Token(arguments) => token::run(&arguments),
            Command::Completions(arguments) => completions::run(&arguments, &Cli::command()),
            Command::Man(arguments) => man::run(&arguments, Cli::command()),
        }
    });
    // A read of stdin may still stand on a thread of its own; the program does not wait for it.
    runtime.shutdown_background();
    status
}
