//! Disks as a test has them: mounted, and served by another process.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use bincode::config::standard;
use nix::mount::{MntFlags, umount2};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::apart::WANTED;
use super::disk::Full;
use super::log::Unsynced;
use super::server::{DiskRequest, DiskResponse, EMPTY, GREETING, Id, SERVE};

/// The process that has the disks.
#[derive(Debug)]
pub struct Disks(Mutex<Connection>);

#[derive(Debug)]
struct Connection {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Disks {
    /// Starts this program once more, to run the test of this name, which then serves disks.
    ///
    /// # Panics
    /// If it cannot be started, or its greeting does not come.
    pub(in crate::power) fn start(test: &str) -> Arc<Self> {
        // The program that runs, though another may have been built in its place.
        let mut command = Command::new("/proc/self/exe");
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(SERVE, "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the test program starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("its output is a pipe"));
        let mut connection = Connection { child, input, output };
        let greeted = connection.await_greeting();
        greeted.unwrap_or_else(|error| panic!("the process for the disks of the test {test} did not start: {error}"));
        Arc::new(Self(Mutex::new(connection)))
    }

    fn ask(&self, request: DiskRequest) -> DiskResponse {
        self.0.lock().ask(request).unwrap_or_else(|error| Err(format!("the process for the disks is gone: {error}")))
    }
}

impl Connection {
    fn await_greeting(&mut self) -> io::Result<()> {
        let (mut seen, mut byte) = (0, [0]);
        while seen < GREETING.len() {
            self.output.read_exact(&mut byte)?;
            seen = if byte[0] == GREETING[seen] { seen + 1 } else { usize::from(byte[0] == GREETING[0]) };
        }
        Ok(())
    }

    fn ask(&mut self, request: DiskRequest) -> Result<DiskResponse, Box<dyn std::error::Error>> {
        let input = self.input.as_mut().ok_or("it was told to end")?;
        bincode::encode_into_std_write(request, input, standard())?;
        input.flush()?;
        Ok(bincode::decode_from_std_read(&mut self.output, standard())?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // At the end of its input it ends.
        drop(self.input.take());
        drop(self.child.wait());
    }
}

/// What a disk holds. Clones are the same.
#[derive(Debug, Clone)]
pub struct Image(Arc<HeldImage>);

#[derive(Debug)]
struct HeldImage {
    disks: Arc<Disks>,
    id: Id,
}

impl Image {
    /// That of a disk on which nothing is.
    pub fn empty(disks: &Arc<Disks>) -> Self {
        Self(Arc::new(HeldImage { disks: Arc::clone(disks), id: EMPTY }))
    }
}

impl Drop for HeldImage {
    fn drop(&mut self) {
        if self.id != EMPTY {
            drop(self.disks.ask(DiskRequest::DropImage(self.id)));
        }
    }
}

/// A disk that is mounted. Dropping it takes the mount away, also if files are still open in it.
#[derive(Debug)]
pub struct Mounted {
    disks: Arc<Disks>,
    id: Id,
    folder: TempDir,
}

impl Mounted {
    /// Makes a disk with this on it and mounts it in a temporary folder, which only the threads of
    /// [`with_disks`](crate::power::with_disks) and of the cases see.
    ///
    /// # Panics
    /// If it cannot be mounted; the message says what is missing.
    pub fn new(image: &Image) -> Self {
        let disks = Arc::clone(&image.0.disks);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mounted = disks.ask(DiskRequest::Mount(image.0.id, folder.path().to_owned()));
        let (id, _) = mounted.unwrap_or_else(|error| panic!("{WANTED}: {error}"));
        Self { disks, id, folder }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the store is.
    pub(in crate::power) fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    /// How many changes there have been.
    pub fn now(&self) -> usize {
        usize::try_from(self.number(DiskRequest::Now(self.id))).expect("they are in memory")
    }

    /// What is on it if the power is cut after so many changes, at most [`now`](Self::now).
    pub fn cut(&self, after: usize, unsynced: Unsynced) -> Image {
        let id = self.number(DiskRequest::Cut { disk: self.id, after, unsynced });
        Image(Arc::new(HeldImage { disks: Arc::clone(&self.disks), id }))
    }

    /// How many of the changes since then were syncs, and how many were others.
    pub(in crate::power) fn counts(&self, since: usize) -> (u64, u64) {
        self.ask(DiskRequest::Counts { disk: self.id, since })
    }

    /// Has the sync of this number fail, counted from 1, of those that have something to make durable. If it
    /// `loses`, what it should have made durable counts as written and never will be, as on Linux.
    pub fn fail_sync(&self, number: u64, loses: bool) {
        self.ask(DiskRequest::FailSync { disk: self.id, number, loses });
    }

    /// Has the disk be full after so many writes.
    pub fn fill_up(&self, after: u64, full: Full) {
        self.ask(DiskRequest::FillUp { disk: self.id, after, full });
    }

    /// Ends [`fill_up`](Self::fill_up).
    pub fn make_room(&self) {
        self.ask(DiskRequest::MakeRoom(self.id));
    }

    /// How many calls failed because they were meant to.
    pub fn faults_met(&self) -> u64 {
        self.number(DiskRequest::FaultsMet(self.id))
    }

    fn number(&self, request: DiskRequest) -> u64 {
        self.ask(request).0
    }

    fn ask(&self, request: DiskRequest) -> (u64, u64) {
        self.disks.ask(request).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Detached, it goes when the last file in it is closed.
        umount2(self.folder.path(), MntFlags::MNT_DETACH).ok();
        drop(self.disks.ask(DiskRequest::DropDisk(self.id)));
    }
}
