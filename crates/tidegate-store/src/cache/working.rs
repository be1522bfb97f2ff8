//! The directory of a process in the cache: its files go with it, however it ends.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use crate::{
    CheckpointStorage, EntryKind, FsStorage, OwnerInfo, Ownership, StorageError, StoragePath,
};

const WORK: &str = "work";
/// Whose the directories are, for people to read.
const OWNER: &str = "state.cache.dir";

/// A directory for the working files of this process, deleted with its last user. What a killed
/// process leaves is deleted by the next that opens the cache.
#[derive(Debug)]
pub struct WorkingDirectory {
    storage: Arc<dyn CheckpointStorage>,
    directory: StoragePath,
    ownership: Option<Box<dyn Ownership>>,
}

impl WorkingDirectory {
    pub(super) fn make(cache: &Path) -> Result<Self, StorageError> {
        let storage: Arc<dyn CheckpointStorage> = Arc::new(FsStorage::open(cache)?);
        let owner = OwnerInfo::current(OWNER, 0);
        loop {
            let random = RandomState::new().build_hasher().finish();
            let name = format!("{WORK}/{}-{random:016x}", std::process::id());
            let directory = StoragePath::new(&name)?;
            match storage.own(&directory, &owner) {
                Ok(ownership) => {
                    return Ok(Self { storage, directory, ownership: Some(ownership) });
                }
                // Another process took it for abandoned, before our lock was on it.
                Err(StorageError::Owned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The storage that it lies in.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn CheckpointStorage> {
        &self.storage
    }

    /// Its path there.
    #[must_use]
    pub fn directory(&self) -> &StoragePath {
        &self.directory
    }
}

impl Drop for WorkingDirectory {
    fn drop(&mut self) {
        // What cannot be deleted now is deleted by the next process, once nobody owns it.
        let _ = self.storage.delete_directory(&self.directory);
        self.ownership = None;
    }
}

/// Deletes the directories of processes that are gone.
pub(super) fn remove_abandoned(cache: &Path) -> Result<(), StorageError> {
    let storage = FsStorage::open(cache)?;
    let work = StoragePath::new(WORK)?;
    for child in storage.list(&work)? {
        let directory = work.join(&child.name)?;
        if child.kind != EntryKind::Directory {
            continue;
        }
        // Its process lives, or another one is deleting it.
        let Ok(ownership) = storage.own(&directory, &OwnerInfo::current(OWNER, 0)) else {
            continue;
        };
        storage.delete_directory(&directory)?;
        drop(ownership);
    }
    Ok(())
}
