//! What all commands take that ask a running relay.

use clap::Args;

use crate::cli::urls::AdminFlags;

/// Which relay, and how its answer is shown.
#[derive(Debug, Clone, Args)]
pub struct Flags {
    /// Prints JSON, one object a line.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: AdminFlags,
}
