//! A file on the disk, and the thread that it is measured on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::engines::error::ComparisonError;

/// The bytes of a page, which is written over at once.
pub(super) const PAGE: usize = 4 << 10;

/// A file on a disk. Each call answers how long it took.
pub trait Disk {
    /// Appends these bytes; they may be in memory only.
    ///
    /// # Errors
    /// As the system says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<Duration>;

    /// Writes a page over one that was appended and synced before; it may be in memory only.
    ///
    /// # Errors
    /// As the system says.
    fn write_over(&mut self, page: u64, bytes: &[u8]) -> io::Result<Duration>;

    /// Has all that was written on the medium.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&mut self) -> io::Result<Duration>;
}

/// A file.
#[derive(Debug)]
pub struct FileDisk(File);

impl FileDisk {
    /// A new file at `path`.
    ///
    /// # Errors
    /// As the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(OpenOptions::new().write(true).create_new(true).open(path)?))
    }
}

impl Disk for FileDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<Duration> {
        let start = Instant::now();
        self.0.write_all(bytes)?;
        Ok(start.elapsed())
    }

    fn write_over(&mut self, page: u64, bytes: &[u8]) -> io::Result<Duration> {
        let start = Instant::now();
        self.0.write_all_at(bytes, page * PAGE as u64)?;
        Ok(start.elapsed())
    }

    fn sync(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        self.0.sync_data()?;
        Ok(start.elapsed())
    }
}

/// Measures the disk by a new file, on a thread for what blocks; dropping the future stops it.
pub(crate) async fn on_disk<T: Send + 'static>(
    path: PathBuf,
    measure: impl FnOnce(&mut dyn Disk, &AtomicBool) -> Result<T, ComparisonError> + Send + 'static,
) -> Result<T, ComparisonError> {
    struct StopOnDrop(Arc<AtomicBool>);
    impl Drop for StopOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = StopOnDrop(Arc::default());
    let stopped = Arc::clone(&stop.0);
    let measuring = tokio::task::spawn_blocking(move || {
        let mut file = FileDisk::create(&path).map_err(|error| ComparisonError::File { path: path.clone(), error })?;
        let figures = measure(&mut file, &stopped)?;
        std::fs::remove_file(&path)?;
        Ok(figures)
    });
    let figures = measuring.await.map_err(|error| ComparisonError::Worker(format!("measuring the disk: {error}")))?;
    drop(stop);
    figures
}
