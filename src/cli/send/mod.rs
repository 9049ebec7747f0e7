//! `slipstream send`: one message, or one for each line of an input.

mod arguments;
mod expiry;
mod ids;
mod input;
mod message;
mod sending;

use std::process::ExitCode;

pub(super) use arguments::Arguments;

use self::ids::Ids;
use self::input::Input;
use self::sending::Sending;
use super::output;
use crate::client::{Client, ClientOptions, ConnectError};
use crate::clock::SystemClock;

/// Sends what `arguments` say. It ends when every message is answered, when the link is lost, when the relay does not
/// answer, or when the input cannot be read.
pub(super) async fn run(arguments: &Arguments) -> ExitCode {
    let clock = SystemClock::new();
    let asked = arguments.check(&clock);
    let asked = asked.and_then(|()| Ok((arguments.to.read()?, arguments.to.token()?, Input::open(arguments)?)));
    let ((url, tls), token, input) = match asked {
        Ok(asked) => asked,
        Err(fault) => return output::fail(output::MISUSED, &output::printable(&fault)),
    };
    let ids = Ids::of(arguments, input.is_typed());
    if let Err(fault) = input.only().map_or(Ok(()), |text| sending::check(arguments, &ids, text, &clock)) {
        return output::fail(output::MISUSED, &output::printable(&fault));
    }
    let options = ClientOptions { id: arguments.id.clone(), token, tls: Some(tls), ..ClientOptions::default() };
    let options = ClientOptions { connect_timeout: options.connect_timeout.min(arguments.timeout), ..options };
    let client = match Client::connect(&url, &options).await {
        Ok(client) => client,
        Err(fault @ ConnectError::Url { .. }) => return output::fail(output::MISUSED, &fault),
        Err(fault) => return output::fail(output::FAILED, &fault),
    };
    let limit = client.welcome().max_message_bytes;
    Sending::new(arguments, ids, clock, limit).run(client, input).await
}
