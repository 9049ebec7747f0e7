//! What is below a database: the system calls that write logs, counted and made to fail in the thread that asks, and
//! the file of a log in the VFS.
#![expect(unsafe_code, reason = "SQLite has functions of its own put in the place of system calls")]
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::fs;
use std::mem::transmute;
use std::ptr;
use std::sync::Once;

use rusqlite::Connection;
use rusqlite::ffi::{SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_OK, sqlite3_file, sqlite3_file_control, sqlite3_vfs_find};

/// What happens to writes of logs.
#[derive(Clone, Copy)]
pub(crate) enum Disk {
    Good,
    /// So many bytes of room are left.
    Room(usize),
    /// They fail with this error.
    Broken(c_int),
}

thread_local! {
    static WRITES: Cell<u64> = const { Cell::new(0) };
    static DISK: Cell<Disk> = const { Cell::new(Disk::Good) };
}

/// How many system calls of this thread write logs while `work` is done.
pub(crate) fn writes<T>(work: impl FnOnce() -> T) -> (u64, T) {
    intercept();
    let before = WRITES.get();
    let done = work();
    (WRITES.get() - before, done)
}

/// What happens to the writes of this thread from now on.
pub(crate) fn set(disk: Disk) {
    intercept();
    DISK.set(disk);
}

/// The length of the log, as its file in the VFS says.
pub(crate) fn size(connection: &Connection) -> i64 {
    let (file, mut size) = (log(connection), 0);
    // SAFETY: the log is open, because its connection is in a transaction.
    let code = unsafe { (*(*file).pMethods).xFileSize.unwrap()(file, &raw mut size) };
    assert_eq!(code, SQLITE_OK);
    size
}

/// Truncates the log to nothing, through its file in the VFS.
pub(crate) fn truncate(connection: &Connection) {
    let file = log(connection);
    // SAFETY: as above.
    let code = unsafe { (*(*file).pMethods).xTruncate.unwrap()(file, 0) };
    assert_eq!(code, SQLITE_OK);
}

fn log(connection: &Connection) -> *mut sqlite3_file {
    let mut file = ptr::null_mut::<sqlite3_file>();
    let asked = (&raw mut file).cast();
    // SAFETY: the connection is open, and the answer to this question is a pointer to a file.
    let code =
        unsafe { sqlite3_file_control(connection.handle(), c"main".as_ptr(), SQLITE_FCNTL_JOURNAL_POINTER, asked) };
    assert_eq!(code, SQLITE_OK);
    file
}

fn intercept() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: it is SQLite's VFS for Unix, whose function to replace a system call is made for this, and takes one
        // with the arguments of that system call.
        unsafe {
            let vfs = sqlite3_vfs_find(c"unix".as_ptr());
            let replace = (*vfs).xSetSystemCall.unwrap();
            type Write = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;
            let ours = transmute::<Write, unsafe extern "C" fn()>(write);
            for name in [c"pwrite", c"pwrite64"] {
                assert_eq!(replace(vfs, CStr::as_ptr(name), Some(ours)), 0);
            }
        }
    });
}

unsafe extern "C" fn write(file: c_int, bytes: *const c_void, mut length: usize, at: i64) -> isize {
    let path = fs::read_link(format!("/proc/self/fd/{file}")).unwrap();
    if path.to_str().unwrap().ends_with("-wal") {
        WRITES.set(WRITES.get() + 1);
        let error = match DISK.get() {
            Disk::Good => None,
            Disk::Broken(error) => Some(error),
            Disk::Room(0) => Some(libc::ENOSPC),
            Disk::Room(room) => {
                length = length.min(room);
                DISK.set(Disk::Room(room - length));
                None
            }
        };
        if let Some(error) = error {
            // SAFETY: it is this thread's.
            unsafe { *libc::__errno_location() = error };
            return -1;
        }
    }
    // SAFETY: SQLite has passed what the system call takes, or the first part of it is written.
    unsafe { libc::pwrite64(file, bytes, length, at) }
}
