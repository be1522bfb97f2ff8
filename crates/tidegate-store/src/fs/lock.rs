//! Ownership of a directory by a lock on a file in it.
//!
//! The lock is the operating system's (`flock`), so that it ends with the process, however that
//! dies. The file is removed when the directory is given free, which makes for a race:
//!
//! 1. A owns the directory. B opens the file and waits to try the lock.
//! 2. A removes the file and releases the lock.
//! 3. B locks what is now a file without a name; C creates a new one, and locks it too.
//!
//! Therefore nobody owns the directory before he has found, with the lock held, that the name still
//! belongs to the file he locked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::disk::{determinate, shown};
use crate::{Operation, OwnerInfo, Ownership, StorageError};

const NAME: &str = ".owner";
// How often, and how long after each other, the text of an owner who is just writing it is read.
const READ_ATTEMPTS: u32 = 10;
const READ_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct DirectoryLock {
    directory: PathBuf,
    file: File,
}

impl DirectoryLock {
    /// The directory must exist.
    pub(super) fn acquire(directory: PathBuf, owner: &OwnerInfo) -> Result<Self, StorageError> {
        let path = directory.join(NAME);
        let failed = |error| determinate(Operation::Own, &directory, error);
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let owner = Box::new(read_owner(&path));
                    return Err(StorageError::Owned { directory: shown(&directory), owner });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            if is_named(&file, &path).map_err(failed)? {
                write_owner(&file, owner).map_err(failed)?;
                return Ok(Self { directory, file });
            }
        }
    }
}

impl Ownership for DirectoryLock {
    fn check(&self) -> Result<(), StorageError> {
        match is_named(&self.file, &self.directory.join(NAME)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StorageError::OwnershipLost { directory: shown(&self.directory) }),
            Err(error) => Err(determinate(Operation::Own, &self.directory, error)),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        let path = self.directory.join(NAME);
        // Only our own mark: after a loss, the name may be another owner's. A mark that stays is
        // harmless, for it is the lock that counts.
        if is_named(&self.file, &path).unwrap_or(false) {
            let _ = fs::remove_file(path);
        }
    }
}

fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((held.dev(), held.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_owner(mut file: &File, owner: &OwnerInfo) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(owner.to_text().as_bytes())
}

fn read_owner(path: &Path) -> OwnerInfo {
    for attempt in 0..READ_ATTEMPTS {
        if attempt > 0 {
            thread::sleep(READ_PAUSE);
        }
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text));
        if let Some(owner) = read.ok().and_then(|_| OwnerInfo::from_text(&text)) {
            return owner;
        }
    }
    OwnerInfo::unknown()
}
