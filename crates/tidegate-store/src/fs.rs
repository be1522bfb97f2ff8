//! Checkpoints on the local file system, or on one that is mounted.
//!
//! A file is written under a hidden temporary name beside its target, synced, renamed without
//! overwriting, and its directory is synced. What a crash leaves under temporary names is invisible
//! and goes with its directory.

mod behind;
mod delete;
mod disk;
mod lock;
mod reader;
mod sink;
mod sync_ahead;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use self::disk::Disk;
pub(crate) use self::reader::FsReader;
use self::writer::FsWriter;
use crate::{
    CheckpointStorage, DeleteOutcome, Determinacy, Entry, EntryKind, LinkOutcome, Operation,
    OwnerInfo, Ownership, PublishOutcome, StateReader, StateWriter, StorageError, StoragePath,
};

/// A directory of the local file system.
pub struct FsStorage {
    uri: String,
    disk: Arc<Disk>,
}

impl FsStorage {
    /// The storage whose root is this directory; a relative one is taken from the current
    /// directory. It is created with the first write, and need not exist before.
    ///
    /// Fails with [`StorageError::InvalidUri`] when the path is empty or no UTF-8.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        Self::on(root, |root| Arc::new(Disk::new(root)))
    }

    fn on(root: &Path, disk: impl FnOnce(PathBuf) -> Arc<Disk>) -> Result<Self, StorageError> {
        let invalid = || StorageError::InvalidUri {
            uri: root.to_string_lossy().into(),
            available: "the path of a directory, in UTF-8",
        };
        // Collected from its components, it has no slash at its end.
        let root: PathBuf =
            std::path::absolute(root).map_err(|_| invalid())?.components().collect();
        let uri = format!("file://{}", root.to_str().ok_or_else(invalid)?.trim_end_matches('/'));
        Ok(Self { uri, disk: disk(root) })
    }
}

impl fmt::Debug for FsStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FsStorage").field(&self.uri).finish()
    }
}

impl CheckpointStorage for FsStorage {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError> {
        let target = self.disk.locate(path);
        // Told now rather than after gigabytes were written; `finish` is what makes it certain.
        if fs::symlink_metadata(&target).is_ok() {
            return Err(StorageError::AlreadyExists { path: disk::shown(&target) });
        }
        Ok(Box::new(FsWriter::new(Arc::clone(&self.disk), target)?))
    }

    fn link(&self, path: &StoragePath, new: &StoragePath) -> Result<LinkOutcome, StorageError> {
        self.disk.link(&self.disk.locate(path), &self.disk.locate(new))
    }

    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError> {
        Ok(Box::new(FsReader::open(&self.disk.locate(path))?))
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.disk.publish(&self.disk.locate(path), bytes, || Ok(()))
    }

    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        let location = self.disk.locate(directory);
        let failed = |path: &Path, error| {
            StorageError::from_io(
                Operation::List,
                disk::shown(path),
                Determinacy::Determinate,
                error,
            )
        };
        let children = match fs::read_dir(&location) {
            Ok(children) => children,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&location, error)),
        };
        let mut entries = Vec::new();
        for child in children {
            let child = child.map_err(|error| failed(&location, error))?;
            // What has no storage path (hidden names among them) cannot be this storage's.
            let Some(name) = child.file_name().to_str().map(str::to_owned) else { continue };
            if directory.join(&name).is_err() {
                continue;
            }
            match describe(&child.path()) {
                Ok(Some((kind, modified_at_ms))) => {
                    entries.push(Entry { name, kind, modified_at_ms });
                }
                Ok(None) => {}
                // Deleted between the listing and the look at it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&child.path(), error)),
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        delete::file(&self.disk, &self.disk.locate(path))
    }

    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        delete::directory(&self.disk, &self.disk.locate(directory))
    }

    fn local_path(&self, path: &StoragePath) -> Option<PathBuf> {
        Some(self.disk.locate(path))
    }

    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let directory = self.disk.locate(directory);
        self.disk.ensure_directory(&directory)?;
        Ok(Box::new(lock::DirectoryLock::acquire(Arc::clone(&self.disk), directory, owner)?))
    }

    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let directory = self.disk.locate(directory);
        self.disk.ensure_directory(&directory)?;
        Ok(Box::new(lock::DirectoryLock::take_over(Arc::clone(&self.disk), directory, owner)?))
    }
}

// `None` for what is neither a file nor a directory.
fn describe(path: &Path) -> io::Result<Option<(EntryKind, Option<u64>)>> {
    let metadata = fs::metadata(path)?;
    let kind = if metadata.is_file() {
        EntryKind::File { length: metadata.len() }
    } else if metadata.is_dir() {
        EntryKind::Directory
    } else {
        return Ok(None);
    };
    let since_epoch = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Ok(Some((kind, since_epoch.and_then(|at| u64::try_from(at.as_millis()).ok()))))
}
