//! `slipstream completions`: what a shell needs to complete commands and flags.

use std::io::{ErrorKind, Write as _, stdout};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::output;

const EXAMPLE: &str = "\
Examples:
  slipstream completions bash > /etc/bash_completion.d/slipstream
  slipstream completions zsh > \"${fpath[1]}/_slipstream\"
  slipstream completions fish > ~/.config/fish/completions/slipstream.fish
  slipstream completions powershell >> $PROFILE
  slipstream completions elvish >> ~/.config/elvish/rc.elv";

/// Prints what a shell needs to complete commands and flags.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Which shell.
    shell: Shell,
}

/// A command as a person meets it: the generators show hidden ones too.
fn visible(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|each| !each.is_hide_set());
    let about = command.get_about().cloned().unwrap_or_default();
    let visible = Command::new(command.get_name().to_owned()).about(about).args(command.get_arguments().cloned());
    let visible = visible.subcommands(shown.map(self::visible));
    match command.get_version() {
        Some(version) => visible.version(version.to_owned()),
        None => visible,
    }
}

/// Prints the script for `program`.
pub(super) fn run(arguments: &Arguments, program: &Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut visible(program), "slipstream", &mut script);
    match stdout().lock().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => output::fail(output::FAILED, &format_args!("stdout: {error}")),
    }
}
