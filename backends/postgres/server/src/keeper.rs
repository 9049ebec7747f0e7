//! A process that keeps a server: it ends it with whoever started it, however that ends.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};

use crate::account::Account;
use crate::programs;

/// Begins a server, and ends it with this signal once its standard input ends, which it does with the process that holds it.
/// Then nobody else removes its folder.
const SCRIPT: &str = r#"exec 3<&0; folder=$1; signal=$2; shift 2; "$@" </dev/null & server=$!
    word=; read -r word <&3; kill -"$signal" $server 2>/dev/null; wait; [ "$word" = keep ] || rm -rf "$folder""#;

/// What a keeper is told that is to leave the folder.
const KEEP: &[u8] = b"keep\n";

/// With which signal a server ends at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ends {
    /// A shell has what it begins in the background ignore it, unless that takes it up again.
    Quit,
    Term,
}

/// A server that is kept. It is ended when this is dropped, and its folder left to whoever has it.
#[derive(Debug)]
pub(crate) struct Keeper(Child);

impl Keeper {
    /// Begins a program, whose folder has its log.
    ///
    /// # Panics
    /// If it cannot be begun.
    pub(crate) fn begin(account: &Account, folder: &Path, ends: Ends, program: &str, arguments: &[&str]) -> Self {
        let log = fs::File::options().create(true).append(true).open(folder.join("log"));
        let log = log.expect("a log can be written");
        let signal = match ends {
            Ends::Quit => "QUIT",
            Ends::Term => "TERM",
        };
        let mut keeper = account.command(Path::new("/bin/sh"));
        keeper.args(["-c", SCRIPT, "keeper"]).arg(folder).arg(signal).arg(programs::find(program)).args(arguments);
        keeper.stdin(Stdio::piped()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        Self(keeper.spawn().expect("its process starts"))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            let _ = stdin.write_all(KEEP);
        }
        let _ = self.0.wait();
    }
}
