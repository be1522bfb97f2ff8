//! Checkpoints in memory: for tests, and for jobs whose state need not survive the process.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tidegate_types::Digest;

use crate::{
    CheckpointStorage, DeleteOutcome, Determinacy, Entry, EntryKind, FinishedFile, LinkOutcome,
    Operation, OwnerInfo, Ownership, PublishOutcome, StateReader, StateWriter, StorageError,
    StoragePath,
};

/// A storage that lives as long as the last of its users. Clones share the content.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    shared: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    files: BTreeMap<StoragePath, File>,
    owners: BTreeMap<StoragePath, (u64, OwnerInfo)>,
    next_owner: u64,
}

#[derive(Clone)]
struct File {
    bytes: Arc<[u8]>,
    modified_at_ms: u64,
}

impl MemoryStorage {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn insert(&self, path: &StoragePath, bytes: Vec<u8>) -> Result<PublishOutcome, StorageError> {
        self.shared.lock().insert(path, bytes)
    }

    fn hold(
        &self,
        content: &mut Content,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Box<dyn Ownership> {
        let token = content.next_owner;
        content.next_owner += 1;
        let before = content.owners.insert(directory.clone(), (token, owner.clone()));
        let superseded = before.map(|(_, owner)| owner);
        let (storage, directory) = (self.clone(), directory.clone());
        Box::new(MemoryOwnership { storage, directory, token, superseded })
    }
}

impl Content {
    fn insert(
        &mut self,
        path: &StoragePath,
        bytes: Vec<u8>,
    ) -> Result<PublishOutcome, StorageError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified_at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut above = path.parent();
        while let Some(directory) = above {
            if self.files.contains_key(&directory) {
                return Err(misused(Operation::Create, &directory, ErrorKind::NotADirectory));
            }
            above = directory.parent();
        }
        if path.is_root() || self.is_directory(path) || self.files.contains_key(path) {
            return Ok(PublishOutcome::AlreadyExists);
        }
        self.files.insert(path.clone(), File { bytes: bytes.into(), modified_at_ms });
        Ok(PublishOutcome::Published)
    }

    fn is_directory(&self, path: &StoragePath) -> bool {
        self.files.keys().any(|file| file != path && file.is_within(path))
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("files", &self.shared.lock().files.len()).finish()
    }
}

impl CheckpointStorage for MemoryStorage {
    fn uri(&self) -> &'static str {
        "memory:"
    }

    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError> {
        if self.shared.lock().files.contains_key(path) {
            return Err(StorageError::AlreadyExists { path: shown(path) });
        }
        Ok(Box::new(MemoryWriter { storage: self.clone(), path: path.clone(), bytes: Vec::new() }))
    }

    fn link(&self, path: &StoragePath, new: &StoragePath) -> Result<LinkOutcome, StorageError> {
        let found = self.shared.lock().files.get(path).map(|file| file.bytes.to_vec());
        let bytes = found.ok_or_else(|| StorageError::Missing { path: shown(path) })?;
        match self.insert(new, bytes)? {
            PublishOutcome::Published => Ok(LinkOutcome::Linked),
            PublishOutcome::AlreadyExists => Err(StorageError::AlreadyExists { path: shown(new) }),
        }
    }

    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError> {
        match self.shared.lock().files.get(path) {
            Some(file) => {
                Ok(Box::new(MemoryReader { path: path.clone(), bytes: Arc::clone(&file.bytes) }))
            }
            None => Err(StorageError::Missing { path: shown(path) }),
        }
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.insert(path, bytes.to_vec())
    }

    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        let content = self.shared.lock();
        if content.files.contains_key(directory) {
            return Err(misused(Operation::List, directory, ErrorKind::NotADirectory));
        }
        let mut children = BTreeMap::new();
        for (path, file) in content.files.iter().filter(|(path, _)| path.is_within(directory)) {
            let below = path.as_str()[directory.as_str().len()..].trim_start_matches('/');
            let length = file.bytes.len() as u64;
            let (name, kind, modified_at_ms) = below.split_once('/').map_or(
                (below, EntryKind::File { length }, Some(file.modified_at_ms)),
                |(name, _)| (name, EntryKind::Directory, None),
            );
            let entry = Entry { name: name.to_owned(), kind, modified_at_ms };
            children.insert(name.to_owned(), entry);
        }
        Ok(children.into_values().collect())
    }

    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        let mut content = self.shared.lock();
        if content.is_directory(path) {
            return Err(misused(Operation::Delete, path, ErrorKind::IsADirectory));
        }
        Ok(match content.files.remove(path) {
            Some(_) => DeleteOutcome::Deleted,
            None => DeleteOutcome::Absent,
        })
    }

    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        let mut content = self.shared.lock();
        if content.files.contains_key(directory) {
            return Err(misused(Operation::Delete, directory, ErrorKind::NotADirectory));
        }
        let before = content.files.len();
        content.files.retain(|path, _| !path.is_within(directory));
        content.owners.retain(|owned, _| !owned.is_within(directory));
        let deleted = content.files.len() < before;
        Ok(if deleted { DeleteOutcome::Deleted } else { DeleteOutcome::Absent })
    }

    fn local_path(&self, _path: &StoragePath) -> Option<PathBuf> {
        None
    }

    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let mut content = self.shared.lock();
        if let Some((_, owner)) = content.owners.get(directory) {
            let owner = Box::new(owner.clone());
            return Err(StorageError::Owned { directory: shown(directory), owner });
        }
        Ok(self.hold(&mut content, directory, owner))
    }

    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        Ok(self.hold(&mut self.shared.lock(), directory, owner))
    }
}

struct MemoryWriter {
    storage: MemoryStorage,
    path: StoragePath,
    bytes: Vec<u8>,
}

impl Write for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StateWriter for MemoryWriter {
    fn finish(mut self: Box<Self>) -> Result<FinishedFile, StorageError> {
        let bytes = mem::take(&mut self.bytes);
        let finished = FinishedFile { length: bytes.len() as u64, digest: Digest::of(&bytes) };
        match self.storage.insert(&self.path, bytes)? {
            PublishOutcome::Published => Ok(finished),
            PublishOutcome::AlreadyExists => {
                Err(StorageError::AlreadyExists { path: shown(&self.path) })
            }
        }
    }
}

struct MemoryReader {
    path: StoragePath,
    bytes: Arc<[u8]>,
}

impl StateReader for MemoryReader {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(buffer.len())?));
        match range.and_then(|range| self.bytes.get(range)) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(StorageError::OutOfBounds {
                path: shown(&self.path),
                offset,
                wanted: buffer.len() as u64,
                length: self.length(),
            }),
        }
    }

    fn read_all(&self, limit: u64) -> Result<Vec<u8>, StorageError> {
        if self.length() > limit {
            let (path, length) = (shown(&self.path), self.length());
            return Err(StorageError::TooLong { path, length, limit });
        }
        Ok(self.bytes.to_vec())
    }
}

struct MemoryOwnership {
    storage: MemoryStorage,
    directory: StoragePath,
    token: u64,
    superseded: Option<OwnerInfo>,
}

impl MemoryOwnership {
    fn holds(&self, content: &Content) -> bool {
        content.owners.get(&self.directory).is_some_and(|(token, _)| *token == self.token)
    }

    fn check_in(&self, content: &Content) -> Result<(), StorageError> {
        if self.holds(content) {
            return Ok(());
        }
        Err(StorageError::OwnershipLost { directory: shown(&self.directory) })
    }
}

impl Ownership for MemoryOwnership {
    fn check(&self) -> Result<(), StorageError> {
        self.check_in(&self.storage.shared.lock())
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        // One lock around both, so that nobody takes over in between.
        let mut content = self.storage.shared.lock();
        self.check_in(&content)?;
        content.insert(path, bytes.to_vec())
    }

    fn superseded(&self) -> Option<&OwnerInfo> {
        self.superseded.as_ref()
    }
}

impl Drop for MemoryOwnership {
    fn drop(&mut self) {
        let mut content = self.storage.shared.lock();
        if self.holds(&content) {
            content.owners.remove(&self.directory);
        }
    }
}

impl fmt::Debug for MemoryOwnership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryOwnership").field(&self.directory).finish()
    }
}

fn shown(path: &StoragePath) -> Box<str> {
    format!("memory:{path}").into()
}

fn misused(operation: Operation, path: &StoragePath, kind: ErrorKind) -> StorageError {
    StorageError::from_io(operation, shown(path), Determinacy::Determinate, kind.into())
}
