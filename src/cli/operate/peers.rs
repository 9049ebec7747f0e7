//! `slipstream peers`: who is there, and what an operator does with them.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::Done;
use super::consent::consent;
use super::flags::Flags;
use super::table::{lines, or_dash, passed, table};
use crate::admin::client::{call, get, part};
use crate::admin::{AdminUrl, ClientError, PeerItem, Peers};
use crate::cli::output;

pub(in crate::cli) const EXAMPLE: &str = "\
Examples:
  slipstream peers list
  slipstream peers declare shop-2 --tags eu,shop
  slipstream peers pause shop-1
  slipstream peers forget old-shop --yes";

/// `peers`.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Lists the peers that the relay remembers.
    #[command(after_help = "Example:\n  slipstream peers list --json")]
    List(Flags),
    /// Shows one peer.
    #[command(after_help = "Example:\n  slipstream peers show shop-1")]
    Show(Named),
    /// Has messages be held for an application from now on, before it has linked.
    #[command(after_help = "Example:\n  slipstream peers declare shop-2 --tags eu,shop")]
    Declare(Declare),
    /// Has nothing be delivered to a peer until it is resumed, also across restarts. What it is owed is held.
    #[command(after_help = "Example:\n  slipstream peers pause shop-1")]
    Pause(Named),
    /// Has the deliveries of a paused peer go on, in order.
    #[command(after_help = "Example:\n  slipstream peers resume shop-1")]
    Resume(Named),
    /// Forgets a peer that has no link, with all that it is owed.
    #[command(after_help = "Example:\n  slipstream peers forget old-shop --yes")]
    Forget(Forget),
    /// Ends the link of a peer, which may link again at once.
    #[command(after_help = "Example:\n  slipstream peers disconnect shop-1")]
    Disconnect(Named),
}

/// One peer.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// The peer's id.
    id: String,
    #[command(flatten)]
    flags: Flags,
}

/// `peers declare`.
#[derive(Debug, Clone, Args)]
pub struct Declare {
    #[command(flatten)]
    peer: Named,
    /// Its tags, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "TAGS")]
    tags: Vec<String>,
    /// Its cluster group [default: singleton].
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

/// `peers forget`.
#[derive(Debug, Clone, Args)]
pub struct Forget {
    #[command(flatten)]
    peer: Named,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

pub(in crate::cli) async fn run(command: &Command) -> Done {
    match command {
        Command::List(flags) => list(flags).await,
        Command::Show(named) => steer(named, Method::GET, "", None).await,
        Command::Declare(Declare { peer, tags, group }) => {
            let mut wish = json!({"tags": tags});
            if let Some(group) = group {
                wish["clusterGroupId"] = json!(group);
            }
            steer(peer, Method::PUT, "", Some(wish)).await
        }
        Command::Pause(named) => steer(named, Method::POST, "/pause", None).await,
        Command::Resume(named) => steer(named, Method::POST, "/resume", None).await,
        Command::Disconnect(named) => steer(named, Method::POST, "/disconnect", None).await,
        Command::Forget(Forget { peer, yes }) => forget(peer, *yes).await,
    }
}

async fn list(flags: &Flags) -> Done {
    let peers = every_peer(&flags.admin.read()?).await?;
    if flags.json {
        peers.iter().try_for_each(output::record)?;
    } else if peers.is_empty() {
        output::line("The relay remembers no peer.")?;
    } else {
        output::line(&peers_table(&peers))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn steer(Named { id, flags }: &Named, method: Method, action: &str, wish: Option<Value>) -> Done {
    let path = format!("{}{action}", path(id));
    let peer: PeerItem = call(&flags.admin.read()?, method, &path, wish.as_ref()).await?;
    if flags.json {
        output::record(&peer)?;
    } else {
        output::line(&shown(&peer))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn forget(Named { id, flags }: &Named, yes: bool) -> Done {
    let admin = flags.admin.read()?;
    let peer: PeerItem = get(&admin, &path(id)).await?;
    let loss = format!("{} is owed {} messages, which are lost if it is forgotten", peer.id, peer.backlog);
    if !consent(yes, &loss)? {
        return Ok(ExitCode::from(output::FAILED));
    }
    let forgotten: Value = call(&admin, Method::DELETE, &path(id), None::<&()>).await?;
    if flags.json {
        output::record(&forgotten)?;
    } else {
        output::line(&format!("{} is forgotten, and {} messages that it was owed", peer.id, forgotten["forgotten"]))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn path(id: &str) -> String {
    format!("/api/v1/peers/{}", part(id))
}

/// All peers, page by page.
pub(super) async fn every_peer(admin: &AdminUrl) -> Result<Vec<PeerItem>, ClientError> {
    let mut peers = Vec::new();
    let mut path = "/api/v1/peers?limit=1000".to_owned();
    loop {
        let page: Peers = get(admin, &path).await?;
        peers.extend(page.items);
        match page.next {
            Some(next) => path = format!("/api/v1/peers?limit=1000&after={}", part(&next)),
            None => return Ok(peers),
        }
    }
}

/// The peers as a table.
pub(super) fn peers_table(peers: &[PeerItem]) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let row = |peer: &PeerItem| {
        [
            peer.id.clone(),
            peer.kind.clone(),
            if peer.paused { format!("{}, paused", peer.link) } else { peer.link.clone() },
            peer.backlog.to_string(),
            peer.in_flight.to_string(),
            peer.oldest_age_seconds.map_or_else(|| "-".to_owned(), passed),
            number(peer.dead_letters),
            peer.tags.join(","),
        ]
    };
    let columns = ["peer", "kind", "link", "#backlog", "#in flight", "#oldest", "#dead", "tags"];
    table(columns, peers.iter().map(row))
}

fn shown(peer: &PeerItem) -> String {
    let mut link = peer.link.clone();
    if let Some(address) = &peer.address {
        link += &format!(" with {address}");
    }
    lines([
        format!("peer {}, {}", peer.id, peer.kind),
        format!("  link        {link}"),
        format!("  paused      {}", if peer.paused { "yes" } else { "no" }),
        format!("  backlog     {}, {} in flight", peer.backlog, peer.in_flight),
        format!("  oldest      {}", peer.oldest_age_seconds.map_or_else(|| "-".to_owned(), passed)),
        format!("  dead        {}", peer.dead_letters.map_or_else(|| "unknown".to_owned(), |dead| dead.to_string())),
        format!("  tags        {}", if peer.tags.is_empty() { "-".to_owned() } else { peer.tags.join(", ") }),
        format!("  group       {}", peer.cluster_group_id),
        format!("  alias       {}", or_dash(peer.alias.as_deref())),
        format!("  configured  {}", if peer.configured { "yes" } else { "no" }),
        format!("  last seen   {}", peer.last_seen_at),
        format!("  last error  {}", or_dash(peer.last_error.as_deref())),
    ])
}
