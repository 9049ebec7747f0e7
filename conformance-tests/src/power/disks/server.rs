//! The process that has the disks and serves them to Linux.
//!
//! It is a process of its own because a program must not serve the files that it maps into its memory: a thread that
//! waits for a page of such a file holds up every thread of its process that changes its memory. It is the test's own
//! program once more, which runs the same test with [`SERVE`] set; it ends when its input does.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::thread;

use bincode::config::standard;
use bincode::{Decode, Encode};
use fuser::{Config, MountOption, Session};

use super::disk::{Disk, Full};
use super::filesystem::DiskFilesystem;
use super::image::Image;
use super::log::Unsynced;

/// The variable that makes a test serve disks.
pub(in crate::power) const SERVE: &str = "SLIPSTREAM_POWER_SERVES_DISKS";

/// What comes before the first answer, after whatever the test program says first.
pub(super) const GREETING: &[u8] = b"\0here are disks\0";

/// The name of something in the server.
pub(super) type Id = u64;

/// The empty disk's image, which is always there.
pub(super) const EMPTY: Id = 0;

#[derive(Debug, Encode, Decode)]
pub(super) enum DiskRequest {
    /// A disk made of an image and mounted here. Returns its id.
    Mount(Id, PathBuf),
    DropDisk(Id),
    /// What is on a disk after a cut. Returns the image's id.
    Cut {
        disk: Id,
        after: usize,
        unsynced: Unsynced,
    },
    DropImage(Id),
    /// How many changes a disk has seen.
    Now(Id),
    /// How many of the changes since then were syncs, and how many were others.
    Counts {
        disk: Id,
        since: usize,
    },
    FailSync {
        disk: Id,
        number: u64,
        loses: bool,
    },
    FillUp {
        disk: Id,
        after: u64,
        full: Full,
    },
    MakeRoom(Id),
    FaultsMet(Id),
}

/// One or two numbers, or what went wrong.
pub(super) type DiskResponse = Result<(u64, u64), String>;

/// Serves disks until the input ends; then the process ends.
pub(in crate::power) fn serve() -> ! {
    let (input, output) = (io::stdin().lock(), io::stdout().lock());
    let served = run(input, output);
    // The end of the input is the way in which it ends.
    std::process::exit(i32::from(served.is_ok()));
}

fn run(mut input: impl Read, mut output: impl Write) -> Result<(), Box<dyn std::error::Error>> {
    output.write_all(GREETING)?;
    output.flush()?;
    let mut server =
        Server { disks: BTreeMap::new(), images: BTreeMap::from([(EMPTY, Image::default())]), last: EMPTY };
    loop {
        let request: DiskRequest = bincode::decode_from_std_read(&mut input, standard())?;
        bincode::encode_into_std_write(server.serve(request), &mut output, standard())?;
        output.flush()?;
    }
}

struct Server {
    disks: BTreeMap<Id, Disk>,
    images: BTreeMap<Id, Image>,
    last: Id,
}

impl Server {
    fn serve(&mut self, request: DiskRequest) -> DiskResponse {
        let number = |number: usize| (number as u64, 0);
        match request {
            DiskRequest::Mount(image, path) => {
                let image = self.images.get(&image).ok_or("no such image")?;
                let disk = Disk::new(image.clone());
                mount(disk.clone(), path).map_err(|error| error.to_string())?;
                self.last += 1;
                self.disks.insert(self.last, disk);
                return Ok((self.last, 0));
            }
            DiskRequest::Cut { disk, after, unsynced } => {
                let image = self.disk(disk)?.cut(after, unsynced);
                self.last += 1;
                self.images.insert(self.last, image);
                return Ok((self.last, 0));
            }
            DiskRequest::DropDisk(disk) => drop(self.disks.remove(&disk)),
            DiskRequest::DropImage(image) => drop(self.images.remove(&image)),
            DiskRequest::Now(disk) => return Ok(number(self.disk(disk)?.now())),
            DiskRequest::FaultsMet(disk) => return Ok(number(self.disk(disk)?.faults_met())),
            DiskRequest::Counts { disk, since } => return Ok(self.disk(disk)?.counts(since)),
            DiskRequest::FailSync { disk, number, loses } => self.disk(disk)?.fail_sync(number, loses),
            DiskRequest::FillUp { disk, after, full } => self.disk(disk)?.fill_up(after, full),
            DiskRequest::MakeRoom(disk) => self.disk(disk)?.make_room(),
        }
        Ok((0, 0))
    }

    fn disk(&self, id: Id) -> Result<&Disk, String> {
        self.disks.get(&id).ok_or_else(|| "no such disk".to_owned())
    }
}

/// Mounts a disk and serves it until nothing of the mount is in use any more.
fn mount(disk: Disk, path: PathBuf) -> io::Result<()> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("power".to_owned()), MountOption::NoAtime];
    let session = Session::new(DiskFilesystem(disk), path, &config)?;
    thread::Builder::new().name("power-fuse".to_owned()).spawn(move || drop(session.run()))?;
    Ok(())
}
