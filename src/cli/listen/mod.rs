//! `slipstream listen`: prints the messages that come.

mod arguments;
mod format;
mod listening;

use std::process::ExitCode;

pub(super) use arguments::Arguments;

use self::listening::{End, Listening};
use super::output;

/// The exit status if nothing more came within `--timeout`.
const QUIET: u8 = 3;

/// Prints what comes until the count is reached, nothing more comes, or it is asked to stop.
pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    let asked = arguments.to.read().and_then(|(url, tls)| Ok((url, arguments.options(arguments.to.token()?, tls))));
    let (url, options) = match asked {
        Ok(asked) => asked,
        Err(fault) => return output::fail(output::MISUSED, &output::printable(&fault)),
    };
    let mut listening = match Listening::new(arguments, url, options) {
        Ok(listening) => listening,
        Err(fault) => return output::fail(output::FAILED, &format_args!("signals: {fault}")),
    };
    let outcome = listening.run().await;
    if let Some(told) = listening.passed_over() {
        output::complain(&told);
    }
    match outcome {
        Ok(End::Counted | End::Asked | End::Unread) => ExitCode::SUCCESS,
        Ok(End::Quiet) => ExitCode::from(QUIET),
        Err(fault) => output::fail(output::FAILED, &format_args!("{fault:#}")),
    }
}
