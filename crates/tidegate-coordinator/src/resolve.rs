//! From a reference in a checkpoint to the file's content.

use std::sync::Arc;

use tidegate_store::{
    CheckpointStorage, FileCache, FinishedFile, StateReader, StorageError, StoragePath,
    StorageRegistry,
};
use tidegate_types::{Digest, DigestBuilder, FileHandle, FileReference};

use crate::{FileFault, RestoredItem};

/// How much of a file is held in memory while it is checked, in bytes.
const PIECE: usize = 1 << 20;

/// Finds and reads the files that one checkpoint refers to.
#[derive(Clone, Debug)]
pub struct FileResolver {
    registry: StorageRegistry,
    storage: Arc<dyn CheckpointStorage>,
    checkpoint: StoragePath,
}

impl FileResolver {
    /// Of the checkpoint whose `_metadata` lies in this directory.
    #[must_use]
    pub fn new(
        registry: StorageRegistry,
        storage: Arc<dyn CheckpointStorage>,
        checkpoint: StoragePath,
    ) -> Self {
        Self { registry, storage, checkpoint }
    }

    /// The storage and the path in it that a reference means.
    pub fn resolve(
        &self,
        reference: &FileReference,
    ) -> Result<(Arc<dyn CheckpointStorage>, StoragePath), StorageError> {
        let path = match reference {
            FileReference::InCheckpoint(path) => self.checkpoint.join(path)?,
            FileReference::InJob(path) => match self.checkpoint.parent() {
                Some(job) => job.join(path)?,
                None => {
                    return Err(StorageError::InvalidPath { found: reference.to_string().into() });
                }
            },
            _ => return self.registry.locate(reference.as_str()),
        };
        Ok((Arc::clone(&self.storage), path))
    }

    /// Opens a file of the checkpoint; its content is not checked.
    pub fn open(&self, reference: &FileReference) -> Result<Box<dyn StateReader>, StorageError> {
        let (storage, path) = self.resolve(reference)?;
        storage.open(&path)
    }

    /// The whole content of a file that is at most `limit` bytes long, checked.
    pub fn read(&self, file: &FileHandle, limit: u64) -> Result<Vec<u8>, FileFault> {
        let reader = self.open_checked(file)?;
        let bytes = reader.read_all(limit).map_err(FileFault::Unreadable)?;
        check_digest(file.digest, Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// The bytes of an item; those in a file are not checked, which [`verify`](crate::verify) does.
    pub fn read_item(&self, item: &RestoredItem) -> Result<Vec<u8>, FileFault> {
        let mut bytes = vec![0; item.length()];
        if let Some(file) = item.state().file() {
            let reader = self.open_checked(file)?;
            reader.read_at(item.offset(), &mut bytes).map_err(FileFault::Unreadable)?;
        } else if let Some(inline) = item.bytes() {
            bytes.copy_from_slice(inline);
        }
        Ok(bytes)
    }

    /// Reads the file through and compares it with what was written. Of one that has no place in the
    /// local file system, a copy is made in the registry's cache, if it has one.
    pub fn check(&self, file: &FileHandle) -> Result<(), FileFault> {
        let (storage, path) = self.resolve(&file.reference).map_err(FileFault::Unreadable)?;
        // Also of what is in the cache: the store may have lost it.
        let reader = open_whole(&*storage, &path, file)?;
        if let Some(cache) = self.cache_of(&*storage, &path) {
            return cache.check(&*storage, &path, content_of(file)).map_err(FileFault::from);
        }
        let mut digest = DigestBuilder::new();
        let mut buffer = vec![0; PIECE.min(usize::try_from(file.length).unwrap_or(PIECE))];
        let mut offset = 0;
        while offset < file.length {
            let left = usize::try_from(file.length - offset).unwrap_or(PIECE);
            let piece = &mut buffer[..left.min(PIECE)];
            reader.read_at(offset, piece).map_err(FileFault::Unreadable)?;
            digest.update(piece);
            offset += piece.len() as u64;
        }
        check_digest(file.digest, digest.finish())
    }

    /// Opens a file that must have the length that was written. Its content is not checked, unless
    /// it is read from a copy in the registry's cache.
    pub fn open_checked(&self, file: &FileHandle) -> Result<Box<dyn StateReader>, FileFault> {
        let (storage, path) = self.resolve(&file.reference).map_err(FileFault::Unreadable)?;
        match self.cache_of(&*storage, &path) {
            Some(cache) => Ok(cache.open_file(&*storage, &path, content_of(file))?),
            None => open_whole(&*storage, &path, file),
        }
    }

    /// Whether to check the file is to make a copy of it in the cache.
    pub(crate) fn is_cached(&self, file: &FileHandle) -> bool {
        let found = self.resolve(&file.reference);
        found.is_ok_and(|(storage, path)| self.cache_of(&*storage, &path).is_some())
    }

    fn cache_of(&self, storage: &dyn CheckpointStorage, path: &StoragePath) -> Option<&FileCache> {
        self.registry.cache().filter(|_| storage.local_path(path).is_none()).map(|cache| &**cache)
    }
}

fn open_whole(
    storage: &dyn CheckpointStorage,
    path: &StoragePath,
    file: &FileHandle,
) -> Result<Box<dyn StateReader>, FileFault> {
    let reader = storage.open(path)?;
    let (expected, found) = (file.length, reader.length());
    if expected == found { Ok(reader) } else { Err(FileFault::Length { expected, found }) }
}

fn content_of(file: &FileHandle) -> FinishedFile {
    FinishedFile { length: file.length, digest: file.digest }
}

fn check_digest(expected: Digest, found: Digest) -> Result<(), FileFault> {
    if expected == found { Ok(()) } else { Err(FileFault::Digest { expected, found }) }
}
