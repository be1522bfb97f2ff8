//! A disk that can be full, and a job's directory on it as the coordinator keeps it.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidegate_store::{
    CheckpointStorage, DeleteOutcome, Determinacy, Entry, FinishedFile, FsStorage, LinkOutcome,
    Operation, OwnerInfo, Ownership, PublishOutcome, StateReader, StateWriter, StorageError,
    StoragePath,
};
use tidegate_types::{FileReference, KeyedStateHandle};

/// A real directory whose disk is full on demand.
#[derive(Debug)]
pub(crate) struct Disk {
    inner: FsStorage,
    full: Arc<AtomicBool>,
    links: AtomicBool,
    pub(crate) written: Arc<AtomicU64>,
}

impl Disk {
    pub(crate) fn new(directory: &std::path::Path) -> Arc<Self> {
        let inner = FsStorage::open(directory).unwrap();
        let (full, written) = (Arc::default(), Arc::default());
        Arc::new(Self { inner, full, links: AtomicBool::new(true), written })
    }

    /// From now on nothing can be written, or everything again.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Whether files can have second names.
    pub(crate) fn set_links(&self, links: bool) {
        self.links.store(links, Ordering::SeqCst);
    }
}

fn full(path: &str) -> StorageError {
    let error = io::Error::from(io::ErrorKind::StorageFull);
    StorageError::from_io(Operation::Write, path, Determinacy::Determinate, error)
}

struct Writer {
    inner: Box<dyn StateWriter>,
    full: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::other(full("a file")));
        }
        let written = self.inner.write(bytes)?;
        self.written.fetch_add(written as u64, Ordering::SeqCst);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl StateWriter for Writer {
    fn finish(self: Box<Self>) -> Result<FinishedFile, StorageError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(full("a file"));
        }
        self.inner.finish()
    }
}

impl CheckpointStorage for Disk {
    fn uri(&self) -> &str {
        self.inner.uri()
    }

    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError> {
        let (full, written) = (Arc::clone(&self.full), Arc::clone(&self.written));
        Ok(Box::new(Writer { inner: self.inner.create(path)?, full, written }))
    }

    fn link(&self, path: &StoragePath, new: &StoragePath) -> Result<LinkOutcome, StorageError> {
        if !self.links.load(Ordering::SeqCst) {
            return Ok(LinkOutcome::NotSupported);
        }
        if self.full.load(Ordering::SeqCst) {
            return Err(full(new.as_str()));
        }
        self.inner.link(path, new)
    }

    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError> {
        self.inner.open(path)
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.inner.publish(path, bytes)
    }

    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        self.inner.list(directory)
    }

    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        self.inner.delete(path)
    }

    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        self.inner.delete_directory(directory)
    }

    fn local_path(&self, path: &StoragePath) -> Option<PathBuf> {
        self.inner.local_path(path)
    }

    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        self.inner.own(directory, owner)
    }

    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        self.inner.take_over(directory, owner)
    }
}

pub(crate) fn path(text: &str) -> StoragePath {
    StoragePath::new(text).unwrap()
}

/// The names of the shared files that handles refer to.
pub(crate) fn shared_names<'h>(
    handles: impl IntoIterator<Item = &'h KeyedStateHandle>,
) -> BTreeSet<String> {
    let files = handles.into_iter().flat_map(|handle| &handle.shared);
    let name = |reference: &FileReference| match reference {
        FileReference::InJob(path) => path.strip_prefix("shared/").unwrap().to_owned(),
        other => panic!("{other} is not in the job's directory"),
    };
    files.map(|shared| name(&shared.file.reference)).collect()
}
