//! The contract of every store.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tidegate_types::Digest;

use crate::{OwnerInfo, Ownership, StorageError, StoragePath};

/// A tree of immutable files below a root, shared by all threads of a job.
///
/// What must hold: a file is visible whole or not at all; when a call has returned `Ok`, its effect
/// survives the loss of power; no file is ever overwritten. The `conformance` feature has the tests.
pub trait CheckpointStorage: Send + Sync + fmt::Debug {
    /// The URI of the root, such as `file:///data/checkpoints`, without a slash at its end.
    fn uri(&self) -> &str;

    /// Starts a new file; its directory is created when absent. The file is visible under `path`
    /// once it is finished, and never when the writer is dropped before.
    ///
    /// Fails with [`StorageError::AlreadyExists`], here or in `finish`, when there is such a file.
    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError>;

    /// Gives a file a second name in another directory, durably and without copying it, where the
    /// store can. Either name is deleted without regard to the other.
    ///
    /// Fails with [`StorageError::AlreadyExists`] when there is a file of the new name.
    fn link(&self, path: &StoragePath, new: &StoragePath) -> Result<LinkOutcome, StorageError> {
        let _ = (path, new);
        Ok(LinkOutcome::NotSupported)
    }

    /// Opens a file for reading.
    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError>;

    /// Makes a small file in one step: atomic, durable, and never over an existing one. Of several
    /// who publish the same path, exactly one gets [`PublishOutcome::Published`].
    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError>;

    /// The direct children of a directory, by name. An absent directory has none; what the store
    /// keeps for itself (unfinished files, owner marks) is not listed.
    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError>;

    /// Deletes a file. Deleting an absent one is no error.
    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError>;

    /// Deletes a directory with everything below it. A crash in the middle leaves no `_metadata`
    /// that refers to files already deleted: those named so go first, durably.
    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError>;

    /// Where the file can be mapped into memory without a copy, if the store has such a place.
    fn local_path(&self, path: &StoragePath) -> Option<PathBuf>;

    /// Takes a directory for one owner, creating it when absent. Unfinished files that an earlier
    /// owner left below it are removed: nobody but the owner writes there.
    ///
    /// Fails with [`StorageError::Owned`] as long as another living owner holds it, in this process
    /// or elsewhere. The death of a process ends its ownership.
    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError>;

    /// Like [`own`](Self::own), but takes the directory also from an owner that lives: one that is
    /// stopped, or that cannot be reached. What he publishes through his hold from then on does not
    /// appear ([`Ownership::publish`]).
    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError>;
}

/// Writes one new file. Dropped before [`finish`](Self::finish), it leaves nothing behind.
///
/// A failing `write` gives an [`io::Error`] around a [`StorageError`];
/// [`StorageError::from_write`] takes it out again.
pub trait StateWriter: io::Write + Send {
    /// Makes the file durable, then visible.
    fn finish(self: Box<Self>) -> Result<FinishedFile, StorageError>;
}

/// Reads one file, which never changes.
pub trait StateReader: Send {
    /// The file's length in bytes.
    fn length(&self) -> u64;

    /// Fills the buffer with the bytes from `offset` on.
    ///
    /// Fails with [`StorageError::OutOfBounds`] when the file has fewer.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError>;

    /// The whole content.
    ///
    /// Fails with [`StorageError::TooLong`], before anything is allocated, above `limit` bytes.
    fn read_all(&self, limit: u64) -> Result<Vec<u8>, StorageError>;
}

/// What a finished file is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FinishedFile {
    /// Its length in bytes.
    pub length: u64,
    /// The digest of its content.
    pub digest: Digest,
}

/// What became of a [`CheckpointStorage::publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a file that existed before has other content than was to be published"]
pub enum PublishOutcome {
    /// The file is there, with these bytes.
    Published,
    /// There was a file under this path before; it is unchanged, and durable.
    AlreadyExists,
}

/// What became of a [`CheckpointStorage::link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "where links are not supported the file is to be copied"]
pub enum LinkOutcome {
    /// The file has both names.
    Linked,
    /// The store has no second names, or not between these places: copy the file.
    NotSupported,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeleteOutcome {
    /// It was there and is gone.
    Deleted,
    /// It was not there.
    Absent,
}

/// A child of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its name within the directory.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// When it was last modified, in milliseconds since the Unix epoch, where the store knows.
    pub modified_at_ms: Option<u64>,
}

/// What a child of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A finished file.
    File {
        /// Its length in bytes.
        length: u64,
    },
    /// A directory.
    Directory,
}
