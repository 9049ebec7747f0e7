//! The disk as a filesystem that Linux can mount (FUSE).
//!
//! Writes come here at once, those through mappings when the kernel writes them back, at the latest before a sync.
//! Of the ways to sync, `fsync`, `fdatasync`, `msync` and writing with `O_SYNC` come here; `sync_file_range` does
//! not, which is right: it does not make anything durable.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::disk::{Disk, Facts};
use super::image::{Kind, ROOT};

/// `FALLOC_FL_KEEP_SIZE`.
const KEEP_SIZE: i32 = 1;

/// How long the kernel may keep what it was told: nobody else changes the disk.
const FOR_GOOD: Duration = Duration::from_secs(1 << 20);

const BLOCK: u32 = 4096;
const BLOCKS: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct DiskFilesystem(pub(super) Disk);

fn kind(facts: Facts) -> FileType {
    match facts.kind {
        Kind::Folder => FileType::Directory,
        Kind::File => FileType::RegularFile,
    }
}

fn attributes(facts: Facts) -> FileAttr {
    FileAttr {
        ino: INodeNo(facts.number),
        size: facts.length as u64,
        blocks: facts.length.div_ceil(512) as u64,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(facts),
        perm: 0o700,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

fn enter(found: Result<Facts, Errno>, reply: ReplyEntry) {
    match found {
        Ok(facts) => reply.entry(&FOR_GOOD, &attributes(facts), Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn end(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for DiskFilesystem {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        enter(self.0.lookup((parent.0, name)), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.facts(number.0) {
            Ok(facts) => reply.attr(&FOR_GOOD, &attributes(facts)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = size.map_or(Ok(()), |size| self.0.resize(number.0, size));
        match done.and_then(|()| self.0.facts(number.0)) {
            Ok(facts) => reply.attr(&FOR_GOOD, &attributes(facts)),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        enter(self.0.create((parent.0, name), Kind::Folder), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.0.create((parent.0, name), Kind::File) {
            Ok(facts) => {
                let handle = FileHandle(self.0.open(facts.number));
                reply.created(&FOR_GOOD, &attributes(facts), Generation(0), handle, FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(self.0.remove((parent.0, name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        end(self.0.remove((parent.0, name)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent.0, name), (new_parent.0, new_name));
        let done = if flags.is_empty() {
            self.0.rename(from, to)
        } else if flags == RenameFlags::RENAME_EXCHANGE {
            self.0.exchange(from, to)
        } else if flags != RenameFlags::RENAME_NOREPLACE {
            Err(Errno::EINVAL)
        } else if self.0.lookup(to).is_ok() {
            Err(Errno::EEXIST)
        } else {
            self.0.rename(from, to)
        };
        end(done, reply);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.read(number.0, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let from_cache = flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        match self.0.write(number.0, offset, data, from_cache) {
            // A request is never longer than the kernel's largest, some megabytes.
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let end_of_it = offset.saturating_add(length);
        let done = match (mode, self.0.facts(number.0)) {
            (0, Ok(facts)) if end_of_it > facts.length as u64 => self.0.resize(number.0, end_of_it),
            (0, found) => found.map(drop),
            // Room behind the end is given and not kept.
            (KEEP_SIZE, Ok(_)) => self.0.has_room(),
            _ => Err(Errno::EOPNOTSUPP),
        };
        end(done, reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file makes nothing durable.
        reply.ok();
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(self.0.open(number.0)), FopenFlags::empty());
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(self.0.open(number.0)), FopenFlags::empty());
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.0.close(handle.0);
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.0.close(handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        end(self.0.sync(number.0, handle.0), reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, handle: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        end(self.0.sync(number.0, handle.0), reply);
    }

    fn readdir(&self, _: &Request, folder: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let names = match self.0.list(folder.0) {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        let dots = [".", ".."].map(|dot| (INodeNo(ROOT), FileType::Directory, dot.into()));
        let names = names.into_iter().map(|(facts, name)| (INodeNo(facts.number), kind(facts), name));
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (number, kind, name)) in dots.into_iter().chain(names).enumerate().skip(from) {
            if reply.add(number, at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let free = if self.0.says_full() { 0 } else { BLOCKS / 2 };
        reply.statfs(BLOCKS, free, free, BLOCKS, BLOCKS / 2, BLOCK, 255, BLOCK);
    }
}
