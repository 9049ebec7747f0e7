//! The program: arguments, command, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    slipstream::cli::run(slipstream::cli::Cli::parse())
}
