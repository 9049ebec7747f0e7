//! Dead letters as lines of JSON: what `slipstream dead-letters export` writes, and `import` reads.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::value::to_raw_value;
use tokio::io::AsyncRead;

use super::Done;
use super::flags::Flags;
use crate::admin::client::call;
use crate::admin::{AdminUrl, ClientError, DeadLetterItem, ExportedItem, Imported, Imports, MAX_IMPORTS, RefusedItem};
use crate::cli::failure::Failure;
use crate::cli::lines::{self, Lines};
use crate::cli::output;

const PATH: &str = "/api/v1/dead-letters/import";

/// Most bytes of lines that go in one request; a longer line goes alone.
const MAX_REQUEST_BYTES: usize = 512 << 10;

/// Most lines of which it is told why they were refused. The others are counted.
const MAX_TOLD: u64 = 100;

/// `dead-letters import`.
#[derive(Debug, Clone, Args)]
pub struct Import {
    /// What an export wrote; `-` is stdin.
    file: PathBuf,
    #[command(flatten)]
    flags: Flags,
}

/// What came of the lines so far.
#[derive(Debug, Default, Serialize)]
struct Counts {
    imported: u64,
    skipped: u64,
    refused: u64,
}

/// The lines that go in the next request, with their numbers.
#[derive(Debug, Default)]
struct Gathered {
    items: Vec<ExportedItem>,
    numbers: Vec<u64>,
    bytes: usize,
}

/// Prints a dead letter on one line. A message with line breaks between its tokens is printed as a string, so that not
/// one of its bytes is another when it is imported.
pub(super) fn export(dead: &DeadLetterItem) -> Result<(), Failure> {
    let is_one_line = dead.message.as_ref().is_none_or(|message| !message.get().contains(['\n', '\r']));
    if is_one_line {
        return Ok(output::record(dead)?);
    }
    let text = dead.message.as_ref().and_then(|message| to_raw_value(message.get()).ok());
    Ok(output::record(&DeadLetterItem { message: text, ..dead.clone() })?)
}

/// Imports the lines of a file.
pub(super) async fn import(Import { file, flags }: &Import) -> Done {
    let admin = flags.admin.read()?;
    let mut lines = Lines::new(open(file)?);
    let mut counts = Counts::default();
    let done = import_all(&admin, &mut lines, &mut counts).await;
    let Counts { imported, skipped, refused } = &counts;
    if flags.json {
        output::record(&counts)?;
    } else {
        output::line(&format!("{imported} dead letters imported, {skipped} there already, {refused} refused"))?;
    }
    done?;
    Ok(if *refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(output::FAILED) })
}

fn open(file: &Path) -> Result<Box<dyn AsyncRead + Unpin + Send>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(tokio::io::stdin()));
    }
    let opened = lines::open(file).map_err(Failure::Misused)?;
    Ok(Box::new(tokio::fs::File::from_std(opened)))
}

async fn import_all<R: AsyncRead + Unpin>(
    admin: &AdminUrl,
    lines: &mut Lines<R>,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let mut gathered = Gathered::default();
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(fault) if fault.kind() == std::io::ErrorKind::InvalidData => {
                counts.refuse(&fault);
                continue;
            }
            Err(fault) => return Err(fault.into()),
        };
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<ExportedItem>(&line) {
            Ok(item) => {
                let is_full = gathered.items.len() == MAX_IMPORTS || gathered.bytes + line.len() > MAX_REQUEST_BYTES;
                if is_full {
                    send(admin, std::mem::take(&mut gathered), counts).await?;
                }
                gathered.items.push(item);
                gathered.numbers.push(lines.number());
                gathered.bytes += line.len();
            }
            Err(fault) => {
                // Its place in the file is the line; the parser counts from the line's beginning.
                let fault = fault.to_string();
                let fault = output::printable(&fault.replacen("line 1 column", "column", 1));
                counts.refuse(&format_args!(
                    "line {}: expected a dead letter as export prints it: {fault}",
                    lines.number()
                ));
            }
        }
    }
    send(admin, gathered, counts).await
}

/// Has what was gathered be imported.
async fn send(admin: &AdminUrl, Gathered { items, numbers, .. }: Gathered, counts: &mut Counts) -> Result<(), Failure> {
    const TOO_LARGE: u16 = StatusCode::PAYLOAD_TOO_LARGE.as_u16();
    if items.is_empty() {
        return Ok(());
    }
    let alone = items.len() == 1;
    let Imported { imported, skipped, refused } = match call(admin, Method::POST, PATH, Some(&Imports { items })).await
    {
        Err(ClientError::Refused { status: TOO_LARGE, message, .. }) if alone => {
            Imported { imported: 0, skipped: 0, refused: vec![RefusedItem { index: 0, reason: message }] }
        }
        answer => answer?,
    };
    counts.imported += imported;
    counts.skipped += skipped;
    for RefusedItem { index, reason } in refused {
        let number = usize::try_from(index).ok().and_then(|index| numbers.get(index)).copied().unwrap_or_default();
        counts.refuse(&format_args!("line {number}: {}", output::printable(&reason)));
    }
    Ok(())
}

impl Counts {
    fn refuse(&mut self, why: &dyn std::fmt::Display) {
        self.refused += 1;
        if self.refused <= MAX_TOLD {
            output::complain(why);
        } else if self.refused == MAX_TOLD + 1 {
            output::complain(&"more lines are refused, which are only counted");
        }
    }
}
