//! A store without local files and links, as those are that come over a network: for tests. It counts
//! what is read from it, and fails or hangs when it is told to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tidegate_store::{
    CheckpointStorage, DeleteOutcome, Determinacy, Entry, FsStorage, Operation, OwnerInfo,
    Ownership, PublishOutcome, StateReader, StateWriter, StorageError, StorageFactory, StoragePath,
    StorageSettings,
};

/// What the store does with new files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Well,
    Fails,
    Hangs,
}

/// What all stores of a factory share.
#[derive(Debug, Default)]
pub(super) struct Server {
    mood: Mutex<Mood>,
    changed: Condvar,
    read: Mutex<BTreeMap<String, u64>>,
    refused: Mutex<u64>,
}

impl Server {
    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock() = mood;
        self.changed.notify_all();
    }

    /// How many new files were refused or kept waiting.
    pub(super) fn refused(&self) -> u64 {
        *self.refused.lock()
    }

    /// Bytes that were read of each file, since the last time.
    pub(super) fn take_read(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.read.lock())
    }

    fn answer(&self, path: &StoragePath) -> Result<(), StorageError> {
        let mut mood = self.mood.lock();
        if *mood != Mood::Well {
            *self.refused.lock() += 1;
        }
        while *mood == Mood::Hangs {
            self.changed.wait(&mut mood);
        }
        match *mood {
            Mood::Fails => Err(StorageError::from_io(
                Operation::Write,
                path.as_str(),
                Determinacy::Determinate,
                std::io::Error::other("503 slow down"),
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct FarStores(pub(super) Arc<Server>);

impl StorageFactory for FarStores {
    fn schemes(&self) -> &'static [&'static str] {
        &["far"]
    }

    fn settings(&self) -> &'static [&'static str] {
        &[]
    }

    fn open(
        &self,
        uri: &str,
        _: &StorageSettings,
    ) -> Result<Arc<dyn CheckpointStorage>, StorageError> {
        let path = PathBuf::from(uri.strip_prefix("far://").unwrap());
        let (disk, server) = (FsStorage::open(&path)?, Arc::clone(&self.0));
        Ok(Arc::new(FarStorage { uri: uri.to_owned(), disk, server }))
    }
}

#[derive(Debug)]
struct FarStorage {
    uri: String,
    disk: FsStorage,
    server: Arc<Server>,
}

impl CheckpointStorage for FarStorage {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError> {
        self.server.answer(path)?;
        self.disk.create(path)
    }

    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError> {
        let path_read = format!("{}/{path}", self.uri);
        let (reader, server) = (self.disk.open(path)?, Arc::clone(&self.server));
        Ok(Box::new(FarReader { path: path_read, reader, server }))
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.server.answer(path)?;
        self.disk.publish(path, bytes)
    }

    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        self.disk.list(directory)
    }

    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        self.disk.delete(path)
    }

    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        self.disk.delete_directory(directory)
    }

    fn local_path(&self, _: &StoragePath) -> Option<PathBuf> {
        None
    }

    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        self.disk.own(directory, owner)
    }

    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        self.disk.take_over(directory, owner)
    }
}

struct FarReader {
    path: String,
    reader: Box<dyn StateReader>,
    server: Arc<Server>,
}

impl FarReader {
    fn count(&self, bytes: u64) {
        *self.server.read.lock().entry(self.path.clone()).or_default() += bytes;
    }
}

impl StateReader for FarReader {
    fn length(&self) -> u64 {
        self.reader.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.count(buffer.len() as u64);
        self.reader.read_at(offset, buffer)
    }

    fn read_all(&self, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.count(self.length());
        self.reader.read_all(limit)
    }
}
