//! What ownership needs of a store.

use std::future::Future;

use tidegate_store::{StorageError, StoragePath};

/// The directory of the owners' objects, below the one that is owned.
pub const OWNERS: &str = ".owner";

/// The requests of one owned directory. Each is linearizable, and retried by whoever implements it.
pub trait OwnershipStore: Send + Sync + 'static {
    /// Creates an object in [`OWNERS`] if there is none of this name. After an answer that got lost,
    /// [`Created::Exists`] may have the caller's own; no two callers ever create equal ones.
    fn create(
        &self,
        name: &str,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<Created, StorageError>> + Send;

    /// The content of an object in [`OWNERS`], if it is there.
    fn read(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, StorageError>> + Send;

    /// The names of all objects in [`OWNERS`].
    fn list(&self) -> impl Future<Output = Result<Vec<String>, StorageError>> + Send;

    /// Deletes an object in [`OWNERS`], if it is there.
    fn delete(&self, name: &str) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Puts an object in [`OWNERS`], over one of the same name if there is one.
    fn overwrite(
        &self,
        name: &str,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Creates a file if there is none of this path, denied ones included. An answer that got lost
    /// is found out.
    fn publish(
        &self,
        path: &StoragePath,
        bytes: &[u8],
    ) -> impl Future<Output = Result<Publication, StorageError>> + Send;

    /// Puts an empty object at the path, which readers take for none, if there is no object.
    fn deny(&self, path: &StoragePath) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// From now on, the files of these paths are not to be deleted but made empty, as long as the
    /// owned directory exists.
    fn guard(&self, paths: &[StoragePath]);
}

/// What became of [`OwnershipStore::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is there, and the caller's.
    Created,
    /// There is one, with this content.
    Exists(Vec<u8>),
}

/// What became of [`OwnershipStore::publish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The file is there, with these bytes.
    Published,
    /// There is another file.
    AlreadyExists,
    /// Somebody who took the directory over denied it.
    Denied,
}
