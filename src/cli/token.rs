//! `slipstream token`: makes a bearer token, and its lines for the auth file.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde::Serialize;

use super::output;
use crate::config::{MAX_NAME, is_credential_name};
use crate::listen::{Pattern, TokenHash};

/// What a token begins with, so that people and scanners for secrets know it.
const PREFIX: &str = "slip_";

/// How much of it nobody can guess.
const RANDOM_BYTES: usize = 32;

const EXAMPLE: &str = "\
Examples:
  slipstream token --id shop-1 --tags aws,production
  slipstream token --id 'shop-*' --name 'the shops'
  slipstream token --id relay-aws --relay --json

The token is shown this once and kept nowhere. The [[credential]] table goes into the file that SLIPSTREAM_AUTH_FILE
names; it has only the hash of the token.";

/// Makes a token, and its lines for the auth file.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The id that the peer links under, the beginning of ids and a `*`, or `*` for every id.
    #[arg(long, value_name = "ID", default_value = "*", value_parser = id)]
    id: String,
    /// Tags that the peer may carry; the beginning of tags and a `*`, or `*` for every tag, too.
    #[arg(long, value_delimiter = ',', value_parser = tag)]
    tags: Vec<String>,
    /// The peer may be a relay, and link under the id of one.
    #[arg(long)]
    relay: bool,
    /// What logs call the credential.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// What was meant to be hashed. It is taken so that it is not repeated in a message about it.
    #[arg(hide = true)]
    strays: Vec<String>,
}

/// The table of the auth file.
#[derive(Debug, Serialize)]
struct Table<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    token_sha256: String,
    id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    relay: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    token: &'a str,
    token_sha256: &'a str,
    /// The lines for the auth file.
    credential: &'a str,
}

fn id(text: &str) -> Result<String, String> {
    Pattern::id(text).map(|_| text.to_owned()).map_err(|expected| expected.to_string())
}

fn tag(text: &str) -> Result<String, String> {
    Pattern::tag(text).map(|_| text.to_owned()).map_err(|expected| expected.to_string())
}

fn name(text: &str) -> Result<String, String> {
    is_credential_name(text).then(|| text.to_owned()).ok_or_else(|| format!("expected 1 to {MAX_NAME} characters"))
}

/// Makes the token and prints it.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if !arguments.strays.is_empty() {
        let told = "expected no token: one is made here; `printf %s TOKEN | sha256sum` makes the hash of another";
        return output::fail(output::MISUSED, &told);
    }
    match make(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => output::fail(output::FAILED, &format_args!("{fault:#}")),
    }
}

fn make(arguments: &Arguments) -> anyhow::Result<()> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let Arguments { id, tags, relay, name, json, .. } = arguments;
    let token_sha256 = TokenHash::of(&token).to_hex();
    let table = Table { name: name.as_deref(), token_sha256: token_sha256.clone(), id, tags, relay: *relay };
    let credential = format!("[[credential]]\n{}", toml::to_string(&table)?);
    if *json {
        output::record(&Record { token: &token, token_sha256: &token_sha256, credential: &credential })?;
    } else {
        let any = if id == "*" {
            "\n# With it a peer may link under every id that no other credential names; --id binds a token to one."
        } else {
            ""
        };
        output::line(&format!(
            "# The token, which is shown this once. The peer brings it as Authorization: Bearer TOKEN.\n{token}\n\n\
             # Its table for the file that SLIPSTREAM_AUTH_FILE names.{any}\n{}",
            credential.trim_end()
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn what_cannot_stand_in_the_file_is_refused() {
        for line in [
            &["--id", ""][..],
            &["--id", "a b"],
            &["--id", "*a"],
            &["--tags", "a,,b"],
            &["--name", ""],
            &["--name", "a\nb"],
            &["--name", &"a".repeat(256)],
        ] {
            assert!(Line::try_parse_from([&["token"], line].concat()).is_err(), "{line:?}");
        }
        Line::try_parse_from(["token", "--id", "shop-*", "--tags", "aws,team-*", "--relay"]).expect("arguments");
    }
}
