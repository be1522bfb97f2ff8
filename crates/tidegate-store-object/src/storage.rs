//! The store.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_store::{
    CheckpointStorage, DeleteOutcome, Determinacy, Entry, EntryKind, Operation, OwnerInfo,
    Ownership, PublishOutcome, StateReader, StateWriter, StorageError, StoragePath,
    StorageSettings,
};
use tidegate_store_remote::RemoteRuntime;

use crate::bucket::{Bucket, METADATA, Made, is_denial, new_writer};
use crate::connect::connect;
use crate::delete::{self, Misuse};
use crate::location::Location;
use crate::options::Options;
use crate::owners::DirectoryHold;
use crate::reader::ObjectReader;
use crate::writer::ObjectWriter;

/// A directory of a bucket of S3, Google Cloud Storage or Azure Blob Storage.
pub struct ObjectStorage {
    location: Location,
    bucket: Arc<Bucket>,
}

impl ObjectStorage {
    /// The storage whose root is `uri`, reached as the settings and the environment say. The server
    /// is not asked anything yet.
    ///
    /// Fails with [`StorageError::InvalidUri`] when the URI names no bucket, and with
    /// [`StorageError::Io`] when settings or credentials are not accepted.
    pub fn open(uri: &str, settings: &StorageSettings) -> Result<Self, StorageError> {
        let location = Location::parse(uri)?;
        let bucket = Self::bucket(&location, settings)?;
        Ok(Self { location, bucket: Arc::new(bucket) })
    }

    pub(crate) fn on(location: Location, bucket: Arc<Bucket>) -> Self {
        Self { location, bucket }
    }

    pub(crate) fn bucket(
        location: &Location,
        settings: &StorageSettings,
    ) -> Result<Bucket, StorageError> {
        let options = Options::from_settings(location.kind, settings)?;
        let client = connect(location, settings, &options)?;
        let runtime = RemoteRuntime::shared().map_err(|error| {
            let what = "threads for requests";
            StorageError::from_io(Operation::Create, what, Determinacy::Determinate, error)
        })?;
        Ok(Bucket { client, runtime, options, guards: parking_lot::Mutex::default() })
    }

    fn misused(&self, operation: Operation, path: &StoragePath, kind: ErrorKind) -> StorageError {
        let path = self.location.shown(path);
        StorageError::from_io(operation, path, Determinacy::Determinate, kind.into())
    }

    fn deleted(
        &self,
        path: &StoragePath,
        outcome: Result<DeleteOutcome, Misuse>,
    ) -> Result<DeleteOutcome, StorageError> {
        outcome.map_err(|misuse| {
            let kind = match misuse {
                Misuse::IsDirectory => ErrorKind::IsADirectory,
                Misuse::IsFile => ErrorKind::NotADirectory,
            };
            self.misused(Operation::Delete, path, kind)
        })
    }
}

impl fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectStorage").field(&self.location.uri).finish()
    }
}

impl CheckpointStorage for ObjectStorage {
    fn uri(&self) -> &str {
        &self.location.uri
    }

    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError> {
        let (object, shown) = (self.location.object(path), self.location.shown(path));
        // Told now rather than after gigabytes were uploaded; `finish` asks again.
        let found = self.bucket.head(&object);
        if self.bucket.wait(Operation::Create, shown.clone(), found)?.is_some() {
            return Err(StorageError::AlreadyExists { path: shown });
        }
        Ok(Box::new(ObjectWriter::start(&self.bucket, object, shown)))
    }

    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError> {
        let (object, shown) = (self.location.object(path), self.location.shown(path));
        Ok(Box::new(ObjectReader::open(&self.bucket, object, shown)?))
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        let (object, shown) = (self.location.object(path), self.location.shown(path));
        if bytes.is_empty() && path.file_name() == Some(METADATA) {
            let error = io::Error::new(ErrorKind::InvalidInput, "an empty _metadata says nothing");
            let determinate = Determinacy::Determinate;
            return Err(StorageError::from_io(Operation::Publish, shown, determinate, error));
        }
        let (bytes, writer) = (Bytes::copy_from_slice(bytes), new_writer());
        let made = self.bucket.create(&object, bytes, &writer);
        Ok(match self.bucket.wait(Operation::Publish, shown, made)? {
            Made::Created => PublishOutcome::Published,
            Made::Exists(_) => PublishOutcome::AlreadyExists,
        })
    }

    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        let (object, shown) = (self.location.object(directory), self.location.shown(directory));
        let listed = self.bucket.list(&object);
        let listed = self.bucket.wait(Operation::List, shown.clone(), listed)?;
        if listed.objects.is_empty() && listed.common_prefixes.is_empty() && !directory.is_root() {
            let file = self.bucket.wait(Operation::List, shown, self.bucket.head(&object))?;
            return match file {
                Some(found) if !is_denial(&object, found.length) => {
                    Err(self.misused(Operation::List, directory, ErrorKind::NotADirectory))
                }
                _ => Ok(Vec::new()),
            };
        }
        let files = listed.objects.iter().filter(|o| !is_denial(&o.location, o.size));
        let files = files.filter_map(|object| {
            let modified_at_ms = u64::try_from(object.last_modified.timestamp_millis()).ok();
            let kind = EntryKind::File { length: object.size };
            Some(Entry { name: object.location.filename()?.to_owned(), kind, modified_at_ms })
        });
        let directories = listed.common_prefixes.iter().filter_map(|prefix| {
            let name = prefix.filename()?.to_owned();
            Some(Entry { name, kind: EntryKind::Directory, modified_at_ms: None })
        });
        // What has no storage path (the owners' log among it) is not listed.
        let mut entries: Vec<_> =
            files.chain(directories).filter(|entry| directory.join(&entry.name).is_ok()).collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        let (object, shown) = (self.location.object(path), self.location.shown(path));
        let deleted = delete::file(&self.bucket, &object);
        self.deleted(path, self.bucket.wait(Operation::Delete, shown, deleted)?)
    }

    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        let (object, shown) = (self.location.object(directory), self.location.shown(directory));
        let deleted = delete::directory(&self.bucket, &object);
        self.deleted(directory, self.bucket.wait(Operation::Delete, shown, deleted)?)
    }

    fn local_path(&self, _path: &StoragePath) -> Option<PathBuf> {
        None
    }

    /// What an earlier owner left of unfinished uploads is not seen by anybody, and removed by the
    /// bucket's life-cycle rule.
    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let Self { bucket, location } = self;
        Ok(Box::new(DirectoryHold::acquire(bucket, location, directory, owner, false)?))
    }

    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let Self { bucket, location } = self;
        Ok(Box::new(DirectoryHold::acquire(bucket, location, directory, owner, true)?))
    }
}
