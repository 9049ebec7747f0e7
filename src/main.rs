//! The program: arguments, command, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match slipstream::cli::Cli::of_process() {
        Ok(cli) => slipstream::cli::run(cli),
        Err(usage) => slipstream::cli::explain(&usage),
    }
}
