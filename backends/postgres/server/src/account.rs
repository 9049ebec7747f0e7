//! Who the server runs as. PostgreSQL refuses to run as root.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::programs::{Launch, launch};

/// The user that root becomes in a namespace of its own.
const MAPPED: u32 = 1000;

/// A way to run programs as somebody other than root.
#[derive(Debug)]
pub(crate) struct Account {
    before: Option<Launch>,
    /// Whose the folders are to be; otherwise they stay with whoever makes them.
    owner: Option<(u32, u32)>,
}

impl Account {
    /// This user, unless that is root: then `postgres`, and if that user is not to be had, root under another number.
    ///
    /// # Panics
    /// If root can become nobody else.
    pub(crate) fn find() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self { before: None, owner: None };
        }
        let postgres = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"];
        let mapped =
            ["--user".to_owned(), format!("--map-user={MAPPED}"), format!("--map-group={MAPPED}"), "--".to_owned()];
        let ways = [
            ((PathBuf::from("setpriv"), postgres.map(str::to_owned).to_vec()), owner()),
            ((PathBuf::from("unshare"), mapped.to_vec()), None),
        ];
        for (before, owner) in ways {
            let tried = launch(&before).arg("true").stderr(Stdio::null()).status();
            if tried.is_ok_and(|status| status.success()) {
                return Self { before: Some(before), owner };
            }
        }
        panic!(
            "PostgreSQL does not run as root, and neither can `setpriv` make this process the user `postgres` nor \
             `unshare --user` map it to another: run the tests as another user"
        );
    }

    /// A command that runs a program.
    pub(crate) fn command(&self, program: &Path) -> Command {
        match &self.before {
            None => Command::new(program),
            Some(before) => {
                let mut command = launch(before);
                command.arg(program);
                command
            }
        }
    }

    /// Writes a file that is this user's, and that nobody else reads.
    ///
    /// # Panics
    /// If it cannot be written.
    pub(crate) fn write(&self, path: &Path, contents: &str) {
        let file = fs::File::options().create_new(true).write(true).mode(0o600).open(path);
        file.expect("a file can be made").write_all(contents.as_bytes()).expect("a file can be written");
        if let Some((user, group)) = self.owner {
            chown(path, Some(user), Some(group)).expect("root may give a file away");
        }
    }

    /// A temporary folder that is this user's.
    ///
    /// # Panics
    /// If it cannot be made.
    pub(crate) fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        if let Some((user, group)) = self.owner {
            chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
        }
        folder
    }
}

/// The numbers of the user `postgres`.
fn owner() -> Option<(u32, u32)> {
    let number = |flag| {
        let output = Command::new("id").args([flag, "postgres"]).stderr(Stdio::null()).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some((number("-u")?, number("-g")?))
}
