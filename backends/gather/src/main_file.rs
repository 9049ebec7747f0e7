//! The file of a database, which the lock on its log belongs to.
#![expect(unsafe_code, reason = "SQLite calls these functions, and they call those of the VFS below, through pointers")]

use std::ffi::c_int;
use std::ptr;

use rusqlite::ffi::{
    SQLITE_IOCAP_POWERSAFE_OVERWRITE, SQLITE_IOERR_SHMLOCK, SQLITE_SHM_EXCLUSIVE, SQLITE_SHM_UNLOCK, sqlite3_file,
    sqlite3_io_methods,
};

use crate::log::Log;

/// The lock of whoever writes to the log, `WAL_WRITE_LOCK` in the format of the index of the log.
const WRITE_LOCK: c_int = 0;

/// It lies behind what the VFS below keeps of the file, in the memory that SQLite gives to a file.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct MainFile {
    /// The file's methods: those of the VFS below but for one. They come first, so that the file leads here.
    methods: sqlite3_io_methods,
    base: sqlite3_io_methods,
    /// The log of the database while it is open and its writes are held back, or else null.
    log: *mut Log,
}

impl MainFile {
    /// Has the log told when the lock on it is given back.
    ///
    /// # Safety
    /// The VFS below has just opened the file; `room` is its memory from where that VFS uses none of it, aligned and
    /// large enough for a `MainFile`.
    pub(crate) unsafe fn install(file: *mut sqlite3_file, room: *mut MainFile) {
        // SAFETY: a file that was opened has methods, which are constant, and the room is ours.
        unsafe {
            let base = *(*file).pMethods;
            let methods = sqlite3_io_methods { xShmLock: base.xShmLock.and(Some(shm_lock)), ..base };
            room.write(Self { methods, base, log: ptr::null_mut() });
            (*file).pMethods = room.cast();
        }
    }

    /// Where the log of the database is to be made known, if its writes may be held back.
    ///
    /// # Safety
    /// `install` was done for the file, and it is open.
    pub(crate) unsafe fn log(file: *mut sqlite3_file) -> Option<*mut *mut Log> {
        // SAFETY: `install` had the methods lead here.
        let (base, log) = unsafe {
            let main: *mut Self = (*file).pMethods.cast_mut().cast();
            ((*main).base, &raw mut (*main).log)
        };
        base.xShmLock?;
        // SAFETY: the VFS below gets a file of its own.
        let can = base.xDeviceCharacteristics.map_or(0, |characteristics| unsafe { characteristics(file) });
        (can & SQLITE_IOCAP_POWERSAFE_OVERWRITE != 0).then_some(log)
    }
}

/// Called by SQLite, for files that `MainFile::install` was done for. It does not panic.
unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    const GIVEN_BACK: c_int = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE;
    // SAFETY: SQLite passes one of our files, whose methods lead to what `install` has put there. A log that is known is
    // open, and no other call is at work on it: a connection is used by one thread at a time.
    let lock = unsafe {
        let main: *mut MainFile = (*file).pMethods.cast_mut().cast();
        if first == WRITE_LOCK && flags == GIVEN_BACK && !(*main).log.is_null() {
            (*(*main).log).finish();
        }
        (*main).base.xShmLock
    };
    // SAFETY: the VFS below gets what SQLite has passed.
    lock.map_or(SQLITE_IOERR_SHMLOCK, |lock| unsafe { lock(file, first, count, flags) })
}
