//! Files that are read again when they change, while the relay runs: certificates and credentials.
//!
//! They are looked at every [`INTERVAL`], by their contents: so a file that is written in place is noticed, one that is
//! renamed over it, and one behind a link that is swapped, as Kubernetes mounts secrets. What was seen to change is read
//! once it has stayed the same for one interval, so that a certificate and its key can be replaced one after the other.

use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::tls;

/// How often the files are looked at.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// How often files are tried again that were refused: a certificate may be valid by then.
const RETRY: Duration = Duration::from_secs(60);

/// How often an operator is told again of what is wrong with files that are in force.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// Most of a file that is looked at; a larger one is refused when it is read.
const MOST_BYTES: u64 = 16 << 20;

/// Files that are taken up together, or not at all.
pub(crate) struct Watched {
    /// What they are for, as a label of a metric and in the log.
    pub(crate) purpose: &'static str,
    /// The files.
    pub(crate) paths: Vec<PathBuf>,
    /// Reads them and puts them in force, or says what is wrong with them. Then what was in force stays.
    pub(crate) reload: Box<dyn Fn() -> Result<(), String> + Send>,
    /// What an operator should know of what is in force.
    pub(crate) warnings: Box<dyn Fn() -> Vec<String> + Send>,
}

/// Files that are in force, and are read again when they change.
pub(crate) struct Watch(Vec<Set>);

impl Watch {
    /// Notes what these files hold. To be called as soon as they were read for the first time: what changes from then on is
    /// read again, also if it changes before [`run`](Self::run), which may wait for a store to open.
    pub(crate) fn new(watched: impl IntoIterator<Item = Watched>) -> Self {
        Self(watched.into_iter().map(Set::new).collect())
    }

    /// Says what there is to know of the files in force, and reads each set again when it has changed, and all of them
    /// when `asked` is notified. Runs until it is dropped, or returns at once if there are none.
    pub(crate) async fn run(self, asked: Arc<Notify>) {
        let Self(mut sets) = self;
        if sets.is_empty() {
            return;
        }
        sets.iter_mut().for_each(|set| set.begin(Instant::now()));
        loop {
            let is_asked = tokio::time::timeout(INTERVAL, asked.notified()).await.is_ok();
            let looking = tokio::task::spawn_blocking(move || {
                sets.iter_mut().for_each(|set| set.look(is_asked, Instant::now()));
                sets
            });
            match looking.await {
                Ok(back) => sets = back,
                Err(error) => return error!(%error, "files are not read again any more; this wants a restart"),
            }
        }
    }
}

/// What the contents of some files were, or why there were none: what is there and no file is another change than that
/// nothing is there.
type Contents = Vec<Result<u64, ErrorKind>>;

struct Set {
    watched: Watched,
    /// What was read last, whether or not it was taken up.
    read: Contents,
    seen: Contents,
    reminded: Instant,
    refused: Option<Refused>,
}

/// Files that are not in force, though they were read last.
struct Refused {
    fault: String,
    tried: Instant,
}

impl Set {
    fn new(watched: Watched) -> Self {
        let read = contents(&watched.paths);
        Self { seen: read.clone(), read, watched, reminded: Instant::now(), refused: None }
    }

    fn begin(&mut self, now: Instant) {
        self.warn();
        self.reminded = now;
        tls::count_no_reload(self.watched.purpose);
    }

    fn look(&mut self, is_asked: bool, now: Instant) {
        let contents = contents(&self.watched.paths);
        let has_settled = contents == self.seen;
        self.seen = contents;
        if is_asked || has_settled && self.seen != self.read {
            self.read.clone_from(&self.seen);
            self.refused = None;
            self.reload(now);
        } else if has_settled && self.refused.as_ref().is_some_and(|it| now.duration_since(it.tried) >= RETRY) {
            self.reload(now);
        } else if now.duration_since(self.reminded) >= REMINDER {
            self.warn();
            self.reminded = now;
        }
    }

    fn reload(&mut self, now: Instant) {
        let purpose = self.watched.purpose;
        let paths: Vec<_> = self.watched.paths.iter().map(|path| path.display().to_string()).collect();
        let files = paths.join(", ");
        match regular(&self.watched.paths).and_then(|()| (self.watched.reload)()) {
            Ok(()) => {
                info!(purpose, files, "files were read again and are in force");
                self.warn();
                tls::count_reload(purpose, true);
                self.refused = None;
                self.reminded = now;
            }
            Err(fault) => {
                // One that is tried again is told once.
                if self.refused.as_ref().is_none_or(|refused| refused.fault != fault) {
                    error!(purpose, files, "files were read again and refused; what was in force stays: {fault}");
                    tls::count_reload(purpose, false);
                }
                self.refused = Some(Refused { fault, tried: now });
            }
        }
    }

    fn warn(&self) {
        for warning in (self.watched.warnings)() {
            warn!(purpose = self.watched.purpose, "{warning}");
        }
    }
}

/// Refuses what is there and no file: to open a named pipe may take for ever, and with it all that is looked at.
fn regular(paths: &[PathBuf]) -> Result<(), String> {
    let special = paths.iter().find(|path| path.metadata().is_ok_and(|found| !found.is_file()));
    special.map_or(Ok(()), |path| Err(format!("{}: expected a file", path.display())))
}

fn contents(paths: &[PathBuf]) -> Contents {
    paths.iter().map(|path| content(path)).collect()
}

fn content(path: &Path) -> Result<u64, ErrorKind> {
    read(path).map_err(|error| error.kind())
}

fn read(path: &Path) -> io::Result<u64> {
    // Opened so that a pipe, which may have come this moment, keeps nobody waiting.
    let file = File::from(rustix::fs::open(path, OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_change_before_the_first_look_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "old").expect("written");
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let watched = Watched {
            purpose: "listener",
            paths: vec![path.clone()],
            reload: Box::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }),
            warnings: Box::new(Vec::new),
        };
        let Watch(mut sets) = Watch::new([watched]);
        std::fs::write(&path, "new").expect("written");
        let start = Instant::now();
        sets[0].begin(start);
        (1..5).for_each(|look| sets[0].look(false, start + look * INTERVAL));
        assert_eq!(read.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_operator_is_told_once_a_day() {
        let told = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&told);
        let watched = Watched {
            purpose: "listener",
            paths: Vec::new(),
            reload: Box::new(|| Ok(())),
            warnings: Box::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                vec!["it ends soon".to_owned()]
            }),
        };
        let start = Instant::now();
        let mut set = Set::new(watched);
        set.begin(start);
        let mut told_after = |looked: Duration, is_asked| {
            set.look(is_asked, start + looked);
            told.load(Ordering::Relaxed)
        };
        let hour = Duration::from_secs(60 * 60);
        assert_eq!(told_after(INTERVAL, false), 1, "at the start alone");
        assert_eq!(told_after(23 * hour, false), 1);
        assert_eq!(told_after(24 * hour, false), 2);
        assert_eq!(told_after(47 * hour, false), 2);
        assert_eq!(told_after(47 * hour, true), 3, "at a reload, from which the next day counts");
        assert_eq!(told_after(70 * hour, false), 3);
        assert_eq!(told_after(71 * hour, false), 4);
    }

    #[test]
    fn what_was_refused_is_tried_again_and_told_once() {
        let (tried, is_good) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, good) = (Arc::clone(&tried), Arc::clone(&is_good));
        let watched = Watched {
            purpose: "listener",
            paths: Vec::new(),
            reload: Box::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                good.load(Ordering::Relaxed).then_some(()).ok_or_else(|| "it is not valid yet".to_owned())
            }),
            warnings: Box::new(Vec::new),
        };
        let page = PrometheusBuilder::new().build_recorder();
        let start = Instant::now();
        let mut set = Set::new(watched);
        set.begin(start);
        let mut look = |seconds, is_asked| {
            metrics::with_local_recorder(&page, || set.look(is_asked, start + Duration::from_secs(seconds)));
            tried.load(Ordering::Relaxed)
        };
        let counts = |series: &str| {
            let page = page.handle().render();
            page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned))
        };
        let refused = "slipstream_reloads_total{use=\"listener\",outcome=\"refused\"}";
        let taken_up = "slipstream_reloads_total{use=\"listener\",outcome=\"taken_up\"}";
        assert_eq!(
            [look(1, false), look(2, true), look(61, false), look(62, false), look(121, false)],
            [0, 1, 1, 2, 2]
        );
        assert_eq!((counts(refused).as_deref(), counts(taken_up)), (Some("1"), None));
        assert_eq!(look(122, true), 3, "who asks is told again");
        assert_eq!(counts(refused).as_deref(), Some("2"));
        is_good.store(true, Ordering::Relaxed);
        assert_eq!([look(181, false), look(182, false), look(300, false)], [3, 4, 4]);
        assert_eq!((counts(refused).as_deref(), counts(taken_up).as_deref()), (Some("2"), Some("1")));
    }
}
