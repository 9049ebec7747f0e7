//! `slipstream store backup`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::HumanBytes;
use serde_json::json;

use super::progress::Bar;
use crate::admin::{self, AdminUrl};
use crate::cli::failure::Failure;
use crate::cli::tls_flags::TlsFlags;
use crate::cli::{StoreFlags, output, urls};
use crate::offline::{self, OfflineError, Progress as _};

const EXAMPLE: &str = "\
Examples:
  slipstream store backup --storage-path /var/lib/slipstream /backup/2026-11-25.db
  slipstream store backup --admin http://127.0.0.1:8080 2026-11-25.db

The first is for a store that no relay has open; every row of the copy is compared. The second asks a running relay, which
goes on meanwhile and writes into its SLIPSTREAM_BACKUP_PATH under that name. Either refuses to write over what is there.
To restore, stop the relay and give `slipstream store restore BACKUP`.";

/// `store backup`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// Where the copy is written. For SQLite a path that ends in .db, .sqlite or .sqlite3 is a file, any other a folder.
    /// With --admin a name in the relay's SLIPSTREAM_BACKUP_PATH.
    file: PathBuf,
    /// Asks the running relay whose admin port this is, http://HOST:PORT or https://HOST:PORT [SLIPSTREAM_ADMIN_URL,
    /// unless a flag names a store].
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "storage_path", "store"])]
    admin: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    store: StoreFlags,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    // A store that is named is one that no relay has open.
    let admin = match &arguments.admin {
        None if arguments.store.is_given() => None,
        flag => {
            let token = urls::admin_token().map_err(Failure::Misused)?;
            urls::admin(flag.as_deref(), arguments.tls.unread(), token)
        }
    };
    match admin {
        Some(admin) => hot(&admin, arguments).await,
        None => cold(arguments),
    }
}

fn cold(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let store = arguments.store.located()?;
    let bytes = match offline::backup(&store, &arguments.file, &Bar::new(arguments.json)) {
        Ok(bytes) => bytes,
        Err(fault @ OfflineError::InUse(_)) => {
            output::complain(&"a running relay makes a backup itself: slipstream store backup --admin URL NAME");
            return Err(fault.into());
        }
        Err(fault) => return Err(fault.into()),
    };
    if arguments.json {
        output::record(&json!({"engine": store.engine.name(), "path": arguments.file, "bytes": bytes}))?;
    } else {
        let (path, bytes) = (arguments.file.display(), HumanBytes(bytes));
        output::line(&format!("{store} -> {path}: {bytes}, compared row by row"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn hot(admin: &AdminUrl, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let name = arguments.file.to_string_lossy();
    let bar = Bar::new(arguments.json);
    bar.stage("the relay copies", None);
    let backup = admin::backup(admin, &name).await?;
    drop(bar);
    if arguments.json {
        output::record(&backup)?;
    } else {
        let path = backup.path.display();
        output::line(&format!("{admin} -> {path}, in {:.1} s", backup.seconds))?;
    }
    Ok(ExitCode::SUCCESS)
}
