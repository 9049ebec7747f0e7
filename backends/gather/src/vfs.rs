//! Making the VFS known to SQLite, and opening files with it.
#![expect(unsafe_code, reason = "SQLite knows a VFS by pointers to functions, which it calls")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use rusqlite::ffi::{
    self, SQLITE_NOTFOUND, SQLITE_OK, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_vfs,
};
use rusqlite::{Error, Result};

use crate::log::Log;
use crate::main_file::MainFile;

/// What stands behind a file of the VFS below begins at a multiple of this, in bytes. SQLite aligns files so, too.
const ALIGNMENT: usize = 8;

const _: () = assert!(align_of::<Log>() <= ALIGNMENT && align_of::<MainFile>() <= ALIGNMENT);
const _: () = assert!(size_of::<MainFile>() <= size_of::<Log>());

#[repr(C)]
struct Vfs {
    /// What SQLite knows. It comes first, so that it leads here.
    vfs: sqlite3_vfs,
    base: *mut sqlite3_vfs,
}

/// The name of a VFS that is like the one named `base`, `unix` or `unix-excl`, except that writes to the write-ahead log
/// are held back until it is synced. Only for connections that are as the crate's documentation says.
///
/// It is made at the first call, and stays.
///
/// # Errors
/// If no VFS has the name, or SQLite takes no other one.
pub fn over(base: &CStr) -> Result<&'static CStr> {
    static REGISTRATION: Mutex<()> = Mutex::new(());
    let name = CString::new([b"gather-", base.to_bytes()].concat())?;
    let _one_at_a_time = REGISTRATION.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the name is a C string.
    let known = unsafe { ffi::sqlite3_vfs_find(name.as_ptr()) };
    if !known.is_null() {
        // SAFETY: it was made below, and stays as it is.
        return Ok(unsafe { CStr::from_ptr((*known).zName) });
    }
    // SAFETY: as above.
    let found = unsafe { ffi::sqlite3_vfs_find(base.as_ptr()) };
    if found.is_null() {
        return Err(failed(SQLITE_NOTFOUND, format!("no VFS is named {}", base.to_string_lossy())));
    }
    // SAFETY: it is registered, so that it is a VFS. Its other functions serve ours as well, because those of SQLite for Unix do not look at the VFS
    // that they are called with; only the one that opens does.
    let mut vfs = unsafe { *found };
    vfs.pNext = ptr::null_mut();
    vfs.szOsFile = c_int::try_from(room_at(&vfs) + size_of::<Log>()).unwrap_or(c_int::MAX);
    vfs.xOpen = Some(open);
    // SQLite keeps the name and the VFS until the process ends.
    let name: &CStr = Box::leak(name.into_boxed_c_str());
    vfs.zName = name.as_ptr();
    let made = Box::leak(Box::new(Vfs { vfs, base: found }));
    // SAFETY: it is a whole VFS, and lives as long as the process.
    match unsafe { ffi::sqlite3_vfs_register(ptr::from_mut(made).cast(), 0) } {
        SQLITE_OK => Ok(name),
        code => Err(failed(code, format!("SQLite does not take the VFS {}", name.to_string_lossy()))),
    }
}

fn failed(code: c_int, text: String) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), Some(text))
}

/// How much of a file's memory the VFS below uses, in bytes.
fn room_at(base: &sqlite3_vfs) -> usize {
    usize::try_from(base.szOsFile).unwrap_or(0).next_multiple_of(ALIGNMENT)
}

/// Called by SQLite, with a VFS that `over` has registered. It does not panic.
unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    opened: *mut c_int,
) -> c_int {
    // SAFETY: it is the first field of a `Vfs`, and a VFS that is registered stays.
    let base = unsafe { (*vfs.cast::<Vfs>()).base };
    // SAFETY: the VFS below gets what SQLite has passed, and itself.
    let code = unsafe { (*base).xOpen.map_or(ffi::SQLITE_CANTOPEN, |open| open(base, name, file, flags, opened)) };
    if code != SQLITE_OK {
        return code;
    }
    // SAFETY: SQLite has given the file as much memory as the VFS has asked for, aligned to 8 bytes; the VFS below uses
    // its first part. SQLite opens a log with the name that it has made for the database's, so that it finds the main
    // file, which was opened with the same VFS, and closes it after the log.
    unsafe {
        let room = file.byte_add(room_at(&*base));
        if flags & SQLITE_OPEN_MAIN_DB != 0 {
            MainFile::install(file, room.cast());
        } else if flags & SQLITE_OPEN_WAL != 0
            && let Some(known) = MainFile::log(ffi::sqlite3_database_file_object(name))
        {
            Log::install(file, room.cast(), known);
        }
    }
    code
}
