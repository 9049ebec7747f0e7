//! The disk under the store.

use std::io;
use std::path::Path;

/// How many bytes are free for this process on the filesystem of `path`. What is kept for the administrator does not
/// count, and nothing is told of a filesystem that does not count. It may block for a moment.
///
/// # Errors
/// Where there is nothing at `path`, or the system does not tell.
pub(crate) fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    let filesystem = rustix::fs::statvfs(path)?;
    let counts = filesystem.f_blocks > 0;
    Ok(counts.then(|| filesystem.f_bavail.saturating_mul(filesystem.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_bytes_are_those_that_df_tells() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("store.db");
        assert_eq!(free_bytes(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&file, "x").expect("it is written");
        let told = std::process::Command::new("df")
            .args(["--block-size=1", "--output=avail"])
            .arg(&file)
            .output()
            .expect("df is there");
        let told: u64 = String::from_utf8_lossy(&told.stdout).split_whitespace().last().unwrap().parse().unwrap();
        // Others write to the same disk meanwhile.
        let (free, slack) = (free_bytes(&file).expect("it is told").expect("it counts"), told / 10 + (1 << 30));
        assert_eq!(free_bytes(Path::new("/proc")).expect("it is there"), None);
        assert!(free.abs_diff(told) <= slack && free > 0, "{free}, df says {told}");
    }
}
