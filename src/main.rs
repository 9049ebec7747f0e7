//! The program: arguments, command, exit code.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match slipstream::cli::Cli::try_parse() {
        Ok(cli) => slipstream::cli::run(cli),
        Err(usage) => slipstream::cli::explain(&usage),
    }
}
