//! The write-ahead log of one connection, whose writes are held back.
#![expect(unsafe_code, reason = "SQLite calls these functions, and they call those of the VFS below, through pointers")]

use std::ffi::{c_int, c_void};
use std::{ptr, slice};

use rusqlite::ffi::{
    SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE, SQLITE_OK, sqlite3_file,
    sqlite3_io_methods,
};

use crate::gathered::Gathered;

/// It lies behind what the VFS below keeps of the file, in the memory that SQLite gives to a file.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Log {
    /// The file's methods. They come first, so that the file leads here.
    methods: sqlite3_io_methods,
    /// Those of the VFS below.
    base: sqlite3_io_methods,
    file: *mut sqlite3_file,
    /// Where this log is known while it is open.
    known: *mut *mut Log,
    gathered: Gathered,
    /// What the delayed write failed with, until the transaction is over.
    failed: c_int,
}

impl Log {
    /// Has writes to the file held back from now on, unless there is no memory for that.
    ///
    /// # Safety
    /// The VFS below has just opened the file; `room` is its memory from where that VFS uses none of it, aligned and
    /// large enough for a `Log`. `known` outlives the open file.
    pub(crate) unsafe fn install(file: *mut sqlite3_file, room: *mut Log, known: *mut *mut Log) {
        let Some(gathered) = Gathered::new() else { return };
        // SAFETY: a file that was opened has methods, which are constant, and the room is ours.
        unsafe {
            let base = *(*file).pMethods;
            let methods = sqlite3_io_methods {
                xClose: Some(close),
                xRead: Some(read),
                xWrite: Some(write),
                xTruncate: Some(truncate),
                xSync: Some(sync),
                xFileSize: Some(file_size),
                ..base
            };
            room.write(Self { methods, base, file, known, gathered, failed: SQLITE_OK });
            (*file).pMethods = room.cast();
            *known = room;
        }
    }

    /// The log that a file of SQLite's is.
    ///
    /// # Safety
    /// `install` was done for the file, it is open, and no other reference to its log is in use.
    unsafe fn of<'a>(file: *mut sqlite3_file) -> &'a mut Self {
        // SAFETY: `install` had the methods lead to the log, of which they are the first field.
        unsafe { &mut *(*file).pMethods.cast_mut().cast() }
    }

    fn write_below(&self, at: i64, bytes: &[u8]) -> c_int {
        let (Some(write), Ok(length)) = (self.base.xWrite, c_int::try_from(bytes.len())) else {
            return SQLITE_IOERR_WRITE;
        };
        // SAFETY: the file is open as long as there is a log of it, and the bytes are as many as said.
        unsafe { write(self.file, bytes.as_ptr().cast(), length, at) }
    }

    /// Writes what is held back. After a failure nothing is tried again: what belongs together would be torn.
    fn flush(&mut self) -> c_int {
        let (at, bytes) = self.gathered.parts();
        if self.failed == SQLITE_OK && !bytes.is_empty() {
            self.failed = self.write_below(at, bytes);
            if self.failed == SQLITE_OK {
                self.gathered.clear();
            }
        }
        self.failed
    }

    /// The transaction is over. What is still held back was rolled back: nobody reads it, so that it may fail.
    pub(crate) fn finish(&mut self) {
        self.flush();
        self.gathered.clear();
        self.failed = SQLITE_OK;
    }

    fn write(&mut self, at: i64, bytes: &[u8]) -> c_int {
        if self.gathered.add(at, bytes) {
            return SQLITE_OK;
        }
        match self.flush() {
            SQLITE_OK if self.gathered.add(at, bytes) => SQLITE_OK,
            SQLITE_OK => self.write_below(at, bytes),
            failed => failed,
        }
    }
}

// What follows is called by SQLite, for files that `Log::install` was done for, by one thread at a time for each
// connection. A panic would abort the process at the end of an `extern "C"` function; nothing in them panics.

unsafe extern "C" fn write(file: *mut sqlite3_file, data: *const c_void, amount: c_int, at: i64) -> c_int {
    let Ok(length) = usize::try_from(amount) else { return SQLITE_IOERR_WRITE };
    // SAFETY: SQLite passes one of our files, and as many bytes as it says.
    let (log, bytes) = unsafe { (Log::of(file), slice::from_raw_parts(data.cast(), length)) };
    log.write(at, bytes)
}

unsafe extern "C" fn read(file: *mut sqlite3_file, data: *mut c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite passes one of our files.
    let log = unsafe { Log::of(file) };
    if log.gathered.overlaps(at, amount.into()) && log.flush() != SQLITE_OK {
        return log.failed;
    }
    // SAFETY: the VFS below gets what SQLite has passed.
    log.base.xRead.map_or(SQLITE_IOERR_READ, |read| unsafe { read(file, data, amount, at) })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite passes one of our files.
    let log = unsafe { Log::of(file) };
    if log.flush() != SQLITE_OK {
        return log.failed;
    }
    // SAFETY: as above.
    log.base.xSync.map_or(SQLITE_IOERR_FSYNC, |sync| unsafe { sync(file, flags) })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite passes one of our files.
    let log = unsafe { Log::of(file) };
    if log.flush() != SQLITE_OK {
        return log.failed;
    }
    // SAFETY: as above.
    log.base.xTruncate.map_or(SQLITE_IOERR_TRUNCATE, |truncate| unsafe { truncate(file, size) })
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: SQLite passes one of our files.
    let log = unsafe { Log::of(file) };
    if log.flush() != SQLITE_OK {
        return log.failed;
    }
    // SAFETY: the VFS below gets what SQLite has passed.
    log.base.xFileSize.map_or(SQLITE_IOERR_READ, |file_size| unsafe { file_size(file, size) })
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite passes one of our files, for the last time: the log is moved out, and SQLite forgets the methods.
    let log = unsafe {
        let log: *mut Log = Log::of(file);
        *(*log).known = ptr::null_mut();
        log.read()
    };
    // Nothing of a transaction is held back: SQLite has ended the last one before it closes the log.
    // SAFETY: as above.
    log.base.xClose.map_or(SQLITE_OK, |close| unsafe { close(file) })
}
