//! Threads that see mounts which nobody else sees.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// What the tests need of the system.
pub(super) const WANTED: &str = "power-loss tests mount a filesystem of their own (FUSE). They want Linux with /dev/fuse (`modprobe \
                      fuse`; in a container `--device /dev/fuse`), and to be root (CAP_SYS_ADMIN)";

/// Work for the thread that is apart.
type Work = Box<dyn FnOnce() + Send>;

/// Runs `work` on a thread of its own, in a mount namespace that only such threads share, and what they start. Each
/// inherits it from one thread that left the others' for good; when the process ends, the namespace ends, and all
/// that is mounted in it. So nothing is left mounted, however a test ends.
///
/// # Panics
/// If the namespace cannot be made.
pub(in crate::power) fn apart(work: Work) {
    static APART: OnceLock<Result<SyncSender<Work>, String>> = OnceLock::new();
    match APART.get_or_init(|| leave().map_err(|error| error.to_string())) {
        Ok(queue) => queue.send(work).expect("the thread that is apart runs on"),
        Err(error) => panic!("{}: leaving the mount namespace: {error}", WANTED),
    }
}

fn leave() -> io::Result<SyncSender<Work>> {
    let (queue, works) = sync_channel::<Work>(0);
    let (ready, left) = sync_channel(1);
    thread::Builder::new().name("apart".to_owned()).spawn(move || {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        let done = unshare(CloneFlags::CLONE_NEWNS);
        let done = done.and_then(|()| mount(None::<&str>, "/", None::<&str>, private, None::<&str>));
        drop(ready.send(done.map_err(io::Error::from)));
        for work in works {
            // If no thread can be started, the work is dropped, and whoever waits for it sees that.
            drop(thread::Builder::new().name("power".to_owned()).spawn(work));
        }
    })?;
    left.recv().map_err(io::Error::other)??;
    Ok(queue)
}
