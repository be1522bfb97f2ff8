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
//!
//! A process that is stopped keeps its lock. Who takes the directory over puts a file of his own,
//! locked, under the name, and the former owner finds that his has none any more. He may be stopped
//! between two steps of a publication, though:
//!
//! 1. A writes the metadata under a temporary name.
//! 2. A finds that the directory is still his, and is stopped.
//! 3. B takes the directory over.
//! 4. A goes on, and renames the temporary file.
//!
//! Therefore B removes all temporary files after he has put up his mark and before he is told that
//! the directory is his: a file that A wrote before step 2 is gone at step 4, and one that he writes
//! later comes before a step 2 that fails.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::disk::{Disk, TEMPORARY, determinate, shown};
use crate::{Operation, OwnerInfo, Ownership, PublishOutcome, StorageError, StoragePath};

const NAME: &str = ".owner";
// How often, and how long after each other, the text of an owner who is just writing it is read.
const READ_ATTEMPTS: u32 = 10;
const READ_PAUSE: Duration = Duration::from_millis(5);

pub(super) struct DirectoryLock {
    disk: Arc<Disk>,
    directory: PathBuf,
    file: File,
    superseded: Option<OwnerInfo>,
}

impl DirectoryLock {
    /// The directory must exist.
    pub(super) fn acquire(
        disk: Arc<Disk>,
        directory: PathBuf,
        owner: &OwnerInfo,
    ) -> Result<Self, StorageError> {
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
                remove_unfinished(&directory).map_err(failed)?;
                return Ok(Self { disk, directory, file, superseded: None });
            }
        }
    }

    /// The directory must exist. Of several who do this at once, the last one has it.
    pub(super) fn take_over(
        disk: Arc<Disk>,
        directory: PathBuf,
        owner: &OwnerInfo,
    ) -> Result<Self, StorageError> {
        // From a dead owner, or none, it need not be taken.
        let superseded = match Self::acquire(Arc::clone(&disk), directory.clone(), owner) {
            Err(StorageError::Owned { owner, .. }) => Some(*owner),
            acquired => return acquired,
        };
        let path = directory.join(NAME);
        let failed = |error| determinate(Operation::Own, &directory, error);
        let mark = disk.create_temporary(&path)?;
        let file = mark.as_file().try_clone().map_err(failed)?;
        // Locked before it has the name, so that nobody finds it free. Both handles are one lock.
        file.try_lock().map_err(|error| failed(error.into()))?;
        write_owner(&file, owner).map_err(failed)?;
        mark.persist(&path).map_err(|error| failed(error.error))?;
        remove_unfinished(&directory).map_err(failed)?;
        let lock = Self { disk, directory, file, superseded };
        lock.check().map(|()| lock)
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

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        let target = self.disk.locate(path);
        let published = self.disk.publish(&target, bytes, || self.check());
        // If the temporary file was taken away, that is why.
        published.or_else(|error| self.check().and(Err(error)))
    }

    fn superseded(&self) -> Option<&OwnerInfo> {
        self.superseded.as_ref()
    }
}

impl fmt::Debug for DirectoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirectoryLock").field(&self.directory).finish()
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

// What lies in other users' directories below, or behind a symbolic link, is not an owner's.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for child in fs::read_dir(directory)? {
        let child = child?;
        let removed = match child.file_type() {
            Ok(kind) if kind.is_dir() => remove_unfinished(&child.path()),
            Ok(_) if child.file_name().to_string_lossy().starts_with(TEMPORARY) => {
                fs::remove_file(child.path())
            }
            other => other.map(drop),
        };
        // The former owner may be removing it too.
        removed.or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    }
    Ok(())
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
