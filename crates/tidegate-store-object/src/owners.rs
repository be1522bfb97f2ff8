//! The owners of a directory of a bucket.
//!
//! The log has paths relative to the owned directory, so that it means the same whatever root the
//! next owner opens.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::Error;
use object_store::path::Path;
use tidegate_store::{Operation, OwnerInfo, Ownership, PublishOutcome, StorageError, StoragePath};
use tidegate_store_remote::GivenUp;
use tidegate_store_remote::ownership::{
    Created, Hold, OWNERS, OwnershipStore, Publication, own, take_over,
};

use crate::bucket::{Bucket, Made, is_denial, new_writer};
use crate::failure;
use crate::location::Location;

pub(crate) struct DirectoryHold {
    hold: Hold<Directory>,
    directory: StoragePath,
    shown: Box<str>,
}

impl DirectoryHold {
    pub(crate) fn acquire(
        bucket: &Arc<Bucket>,
        location: &Location,
        directory: &StoragePath,
        owner: &OwnerInfo,
        by_force: bool,
    ) -> Result<Self, StorageError> {
        let shown = location.shown(directory);
        let store = Directory {
            bucket: Arc::clone(bucket),
            path: location.object(directory),
            shown: shown.clone(),
        };
        let acquire = if by_force { take_over } else { own };
        let hold = acquire(&bucket.runtime, store, &shown, owner, bucket.options.lease)?;
        Ok(Self { hold, directory: directory.clone(), shown })
    }
}

impl Ownership for DirectoryHold {
    fn check(&self) -> Result<(), StorageError> {
        self.hold.check()
    }

    /// # Panics
    ///
    /// When the path is not below the directory.
    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        assert!(path.is_within(&self.directory), "{path} is not below {}", self.directory);
        let below = path.as_str()[self.directory.as_str().len()..].trim_start_matches('/');
        self.hold.publish(&StoragePath::new(below)?, bytes)
    }

    fn superseded(&self) -> Option<&OwnerInfo> {
        self.hold.superseded()
    }
}

impl fmt::Debug for DirectoryHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirectoryHold").field(&self.shown).finish()
    }
}

struct Directory {
    bucket: Arc<Bucket>,
    path: Path,
    shown: Box<str>,
}

impl Directory {
    fn object(&self, name: &str) -> Path {
        self.path.clone().join(OWNERS).join(name)
    }

    fn file(&self, path: &StoragePath) -> Path {
        let directory = self.path.as_ref();
        let text =
            if directory.is_empty() { path.to_string() } else { format!("{directory}/{path}") };
        Path::parse(text).expect("a storage path has no names that objects cannot have")
    }

    fn failed(&self, error: &GivenUp<Error>) -> StorageError {
        failure::given_up(Operation::Own, self.shown.clone(), error)
    }
}

impl OwnershipStore for Directory {
    async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<Created, StorageError> {
        let found = self.bucket.create_or_get(&self.object(name), bytes.into()).await;
        Ok(match found.map_err(|error| self.failed(&error))? {
            None => Created::Created,
            Some(found) => Created::Exists(found.to_vec()),
        })
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let got = self.bucket.get(&self.object(name)).await.map_err(|error| self.failed(&error))?;
        Ok(got.map(|bytes| bytes.to_vec()))
    }

    async fn list(&self) -> Result<Vec<String>, StorageError> {
        let listed = self.bucket.list(&self.path.clone().join(OWNERS)).await;
        let objects = listed.map_err(|error| self.failed(&error))?.objects;
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(objects.iter().filter_map(|object| name(&object.location)).collect())
    }

    async fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.bucket.delete(&self.object(name)).await.map_err(|error| self.failed(&error))
    }

    async fn overwrite(&self, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        let put = self.bucket.overwrite(&self.object(name), bytes.into()).await;
        put.map_err(|error| self.failed(&error))
    }

    async fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<Publication, StorageError> {
        let object = self.file(path);
        let bytes = Bytes::copy_from_slice(bytes);
        match self.bucket.create(&object, bytes, &new_writer()).await {
            Ok(Made::Created) => Ok(Publication::Published),
            Ok(Made::Exists(length)) if is_denial(&object, length) => Ok(Publication::Denied),
            Ok(Made::Exists(_)) => Ok(Publication::AlreadyExists),
            Err(error) => {
                let shown = format!("{}/{path}", self.shown).into();
                Err(failure::given_up(Operation::Publish, shown, &error))
            }
        }
    }

    async fn deny(&self, path: &StoragePath) -> Result<(), StorageError> {
        let made = self.bucket.create(&self.file(path), Bytes::new(), &new_writer()).await;
        made.map(drop).map_err(|error| self.failed(&error))
    }

    fn guard(&self, paths: &[StoragePath]) {
        self.bucket.guards.lock().extend(paths.iter().map(|path| self.file(path)));
    }
}
