//! `slipstream dead-letters`: what a relay has given up, and what is done with it.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::Done;
use super::consent::consent;
use super::exports::{self, Import};
use super::flags::Flags;
use super::table::{lines, or_dash, table};
use crate::admin::client::{call, get, part};
use crate::admin::{
    AdminUrl, ClientError, DeadLetterGroups, DeadLetterItem, DeadLetters, Sweep, SweepAction, SweepState,
};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::urls::AdminFlags;

/// How often the relay is asked how far a sweep is.
const POLL: Duration = Duration::from_millis(500);

const PATH: &str = "/api/v1/dead-letters";

pub(in crate::cli) const EXAMPLE: &str = "\
Examples:
  slipstream dead-letters groups
  slipstream dead-letters list --peer shop-1 --reason rejected
  slipstream dead-letters redrive --peer shop-1 --rate 100 --dry-run
  slipstream dead-letters export > dead.jsonl
  slipstream dead-letters import dead.jsonl
  slipstream dead-letters purge --reason poison --yes";

/// `dead-letters`.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Counts dead letters by peer and reason.
    #[command(after_help = "Example:\n  slipstream dead-letters groups")]
    Groups(Flags),
    /// Lists dead letters.
    #[command(after_help = "Example:\n  slipstream dead-letters list --peer shop-1")]
    List(List),
    /// Shows one dead letter with its message.
    #[command(after_help = "Example:\n  slipstream dead-letters show shop-1 4711")]
    Show(Show),
    /// Delivers dead letters again, in order, with no attempts counted.
    #[command(after_help = "Example:\n  slipstream dead-letters redrive --peer shop-1 --rate 100")]
    Redrive(Redrive),
    /// Removes dead letters for good.
    #[command(after_help = "Example:\n  slipstream dead-letters purge --peer shop-1 --reason rejected")]
    Purge(Purge),
    /// Shows how far the last redrive or purge is, or stops it.
    #[command(after_help = "Example:\n  slipstream dead-letters sweep --cancel")]
    Sweep(Sweeping),
    /// Prints dead letters with their messages, one JSON object a line.
    #[command(after_help = "Example:\n  slipstream dead-letters export --peer shop-1 > dead.jsonl")]
    Export(Export),
    /// Puts back what an export printed, as dead letters. It delivers nothing; redrive does.
    #[command(after_help = "Example:\n  slipstream dead-letters import dead.jsonl")]
    Import(Import),
}

/// Which dead letters: those that fit every flag that is given.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Filter {
    /// Those of this peer.
    #[arg(long, value_name = "ID")]
    peer: Option<String>,
    /// Those with this reason, the whole or the part before its first colon.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Those of messages with this id.
    #[arg(long, value_name = "MESSAGE_ID")]
    id: Option<String>,
}

/// `dead-letters list`.
#[derive(Debug, Clone, Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// Most that are listed, the oldest first.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    flags: Flags,
}

/// `dead-letters show`.
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// Whose.
    peer: String,
    /// Its sequence.
    sequence: u64,
    #[command(flatten)]
    flags: Flags,
}

/// Which dead letters are swept.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Swept {
    #[command(flatten)]
    filter: Filter,
    /// The one with this sequence, of that peer.
    #[arg(long, value_name = "NUMBER", requires = "peer")]
    sequence: Option<u64>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["peer", "reason", "id", "sequence"])]
    all: bool,
    /// Only counts them.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    flags: Flags,
}

/// `dead-letters redrive`.
#[derive(Debug, Clone, Args)]
pub struct Redrive {
    #[command(flatten)]
    swept: Swept,
    /// Most a second.
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
}

/// `dead-letters purge`.
#[derive(Debug, Clone, Args)]
pub struct Purge {
    #[command(flatten)]
    swept: Swept,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

/// `dead-letters sweep`.
#[derive(Debug, Clone, Args)]
pub struct Sweeping {
    /// Stops it. What it has done stays done.
    #[arg(long)]
    cancel: bool,
    #[command(flatten)]
    flags: Flags,
}

/// `dead-letters export`.
#[derive(Debug, Clone, Args)]
pub struct Export {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    admin: AdminFlags,
}

pub(in crate::cli) async fn run(command: &Command) -> Done {
    match command {
        Command::Groups(flags) => groups(flags).await,
        Command::List(arguments) => list(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Redrive(Redrive { swept, rate }) => {
            let admin = swept.flags.admin.read()?;
            let mut order = swept.order();
            if let Some(rate) = rate {
                order["rate"] = json!(rate);
            }
            told(&swept.flags, &sweep(&admin, Method::POST, &format!("{PATH}/redrive"), order).await?)
        }
        Command::Purge(Purge { swept, yes }) => purge(swept, *yes).await,
        Command::Sweep(Sweeping { cancel, flags }) => {
            let method = if *cancel { Method::DELETE } else { Method::GET };
            let sweep: Sweep = call(&flags.admin.read()?, method, &format!("{PATH}/sweep"), None::<&()>).await?;
            shown(flags, &sweep)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export(Export { filter, admin }) => {
            let admin = admin.read()?;
            each(&admin, filter, true, usize::MAX, exports::export).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(arguments) => exports::import(arguments).await,
    }
}

async fn groups(flags: &Flags) -> Done {
    let path = format!("{PATH}/groups");
    let groups: DeadLetterGroups = get(&flags.admin.read()?, &path).await?;
    if flags.json {
        output::record(&groups)?;
    } else if groups.items.is_empty() {
        output::line("There are no dead letters.")?;
    } else {
        let rows = groups.items.iter().map(|group| [group.peer.clone(), group.reason.clone(), group.count.to_string()]);
        output::line(&table(["peer", "reason", "#count"], rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(List { filter, limit, flags }: &List) -> Done {
    let admin = flags.admin.read()?;
    let mut listed = Vec::new();
    let more = each(&admin, filter, false, *limit, |dead| {
        listed.push(dead.clone());
        Ok(())
    })
    .await?;
    if flags.json {
        listed.iter().try_for_each(output::record)?;
    } else if listed.is_empty() {
        output::line("There are no such dead letters.")?;
    } else {
        let rows = listed.iter().map(|dead| {
            [
                dead.peer.clone(),
                dead.sequence.to_string(),
                dead.message_id.clone(),
                dead.message_type.clone(),
                or_dash(dead.key.as_deref()),
                dead.attempts.to_string(),
                dead.dead_at.clone(),
                dead.reason.clone(),
            ]
        });
        let columns = ["peer", "#sequence", "message", "type", "key", "#republished", "dead since", "reason"];
        output::line(&table(columns, rows))?;
    }
    if more {
        output::complain(&format_args!("there are more than these {limit}; --limit shows more"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(Show { peer, sequence, flags }: &Show) -> Done {
    let path = format!("{PATH}/{}/{sequence}", part(peer));
    let dead: DeadLetterItem = get(&flags.admin.read()?, &path).await?;
    if flags.json {
        output::record(&dead)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&lines([
        format!("dead letter {} of {}", dead.sequence, dead.peer),
        format!("  message      {} of {}", dead.message_id, dead.cluster_group_id),
        format!("  type         {}", dead.message_type),
        format!("  key          {}", or_dash(dead.key.as_deref())),
        format!("  reason       {}", dead.reason),
        format!("  republished  {} times", dead.attempts),
        format!("  dead since   {}", dead.dead_at),
    ]))?;
    if let Some(message) = &dead.message {
        output::line(&output::printable(&output::one_line(message.get())))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn purge(swept: &Swept, yes: bool) -> Done {
    let admin = swept.flags.admin.read()?;
    let count = json!({"dryRun": true});
    let counted = sweep(&admin, Method::DELETE, PATH, merged(swept.order(), &count)).await?;
    if swept.dry_run || counted.state != SweepState::Done {
        return told(&swept.flags, &counted);
    }
    if !consent(yes, &format!("{} dead letters are removed for good", counted.matched))? {
        return Ok(ExitCode::from(output::FAILED));
    }
    told(&swept.flags, &sweep(&admin, Method::DELETE, PATH, swept.order()).await?)
}

/// Orders a sweep, and waits until it has ended.
async fn sweep(admin: &AdminUrl, method: Method, path: &str, order: Value) -> Result<Sweep, ClientError> {
    let mut sweep: Sweep = call(admin, method, path, Some(&order)).await?;
    while sweep.state == SweepState::Running {
        tokio::time::sleep(POLL).await;
        sweep = get(admin, &format!("{PATH}/sweep")).await?;
    }
    Ok(sweep)
}

/// Shows what came of a sweep, and tells if it did not come to its end.
fn told(flags: &Flags, sweep: &Sweep) -> Done {
    shown(flags, sweep)?;
    if sweep.state == SweepState::Done {
        return Ok(ExitCode::SUCCESS);
    }
    let why = sweep.error.as_deref().unwrap_or("it was cancelled");
    output::complain(&format_args!("it did not come to its end: {}", output::printable(why)));
    Ok(ExitCode::from(output::FAILED))
}

fn shown(flags: &Flags, sweep: &Sweep) -> Result<(), Failure> {
    if flags.json { Ok(output::record(sweep)?) } else { Ok(output::line(&in_words(sweep))?) }
}

fn in_words(sweep: &Sweep) -> String {
    let verb = match sweep.action {
        SweepAction::Redrive => "redriven",
        SweepAction::Purge => "removed",
    };
    let Sweep { matched, done, skipped, .. } = sweep;
    // Before its end it has not come to all of them.
    let of = if sweep.state == SweepState::Done { format!(" of {matched}") } else { String::new() };
    let state = match sweep.state {
        SweepState::Running => " so far",
        SweepState::Done => "",
        SweepState::Cancelled => " before it was cancelled",
        SweepState::Failed => " before it failed",
    };
    let left = match sweep.action {
        _ if *skipped == 0 => String::new(),
        SweepAction::Redrive => {
            format!(
                ", {skipped} left as they are: gone by then, or nobody remembers the peer (slipstream peers declare)"
            )
        }
        SweepAction::Purge => format!(", {skipped} were gone by then"),
    };
    match sweep.dry_run {
        true => format!("{matched} dead letters would be {verb}{state}"),
        false => format!("{done}{of} dead letters {verb}{state}{left}"),
    }
}

/// Shows each dead letter that is meant, page by page, at most so many. Returns whether there are more.
async fn each(
    admin: &AdminUrl,
    filter: &Filter,
    payload: bool,
    mut most: usize,
    mut show: impl FnMut(&DeadLetterItem) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    const PAGE: usize = 500;
    let mut after = None;
    loop {
        let limit = most.clamp(1, PAGE);
        let mut path = format!("{PATH}?limit={limit}&payload={payload}");
        let fields = [("peer", &filter.peer), ("reason", &filter.reason), ("messageId", &filter.id), ("after", &after)];
        for (name, value) in fields {
            path.extend(value.iter().map(|value| format!("&{name}={}", part(value))));
        }
        let page: DeadLetters = get(admin, &path).await?;
        page.items.iter().take(most).try_for_each(&mut show)?;
        most = most.saturating_sub(page.items.len());
        after = page.next;
        if after.is_none() || most == 0 {
            return Ok(after.is_some());
        }
    }
}

impl Swept {
    fn order(&self) -> Value {
        let Self { filter: Filter { peer, reason, id }, sequence, all, dry_run, .. } = self;
        let given = json!({
            "peer": peer, "reason": reason, "messageId": id, "sequence": sequence,
            "all": all.then_some(true), "dryRun": dry_run.then_some(true),
        });
        merged(json!({}), &given)
    }
}

/// The fields of both that are not null.
fn merged(mut one: Value, other: &Value) -> Value {
    for (name, value) in other.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        one[name] = value.clone();
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_says_how_it_ended() {
        let sweep = |state, dry_run| Sweep {
            action: SweepAction::Redrive,
            state,
            dry_run,
            matched: 7,
            done: 5,
            skipped: 0,
            started_at: String::new(),
            ended_at: None,
            error: None,
        };
        for (state, dry_run, line) in [
            (SweepState::Running, false, "5 dead letters redriven so far"),
            (SweepState::Running, true, "7 dead letters would be redriven so far"),
            (SweepState::Done, false, "5 of 7 dead letters redriven"),
            (SweepState::Cancelled, false, "5 dead letters redriven before it was cancelled"),
            (SweepState::Failed, false, "5 dead letters redriven before it failed"),
        ] {
            assert_eq!(in_words(&sweep(state, dry_run)), line);
        }
    }
}
