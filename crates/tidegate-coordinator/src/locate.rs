//! From what a person names to a checkpoint whose metadata has been read and is sound.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use tidegate_meta::{CheckpointMetadata, MetadataView};
use tidegate_segment::Mapping;
use tidegate_store::{
    CheckpointStorage, Determinacy, Entry, EntryKind, Operation, StorageError, StoragePath,
    StorageRegistry, local_path_of,
};
use tidegate_types::JobId;

use crate::maintain::checkpoints;
use crate::{CheckpointPaths, FileResolver, RestoreError, SkippedCheckpoint, verify};

/// The longest metadata that is read into memory, in bytes.
const LONGEST_METADATA: u64 = 1 << 30;

/// A checkpoint that was found, and whose metadata is sound.
#[derive(Debug)]
pub struct LocatedCheckpoint {
    /// Where the stores are that its files may lie in.
    pub registry: StorageRegistry,
    /// The storage that it lies in.
    pub storage: Arc<dyn CheckpointStorage>,
    /// The directory of its `_metadata` there.
    pub directory: StoragePath,
    /// What it holds.
    pub metadata: Arc<CheckpointMetadata>,
    /// Newer checkpoints of the job that cannot be used, newest first.
    pub skipped: Vec<SkippedCheckpoint>,
    verified: bool,
}

impl LocatedCheckpoint {
    /// The URI of its directory.
    #[must_use]
    pub fn uri(&self) -> String {
        uri(&*self.storage, &self.directory).into()
    }

    /// What finds and reads its files.
    #[must_use]
    pub fn resolver(&self) -> FileResolver {
        let (registry, storage) = (self.registry.clone(), Arc::clone(&self.storage));
        FileResolver::new(registry, storage, self.directory.clone())
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.verified
    }
}

/// Finds the checkpoint that a path or URI names: a `_metadata` file, the directory that holds it,
/// or a job's directory, whose newest usable checkpoint it then is. A directory that holds just one
/// job's directory will do too.
pub fn locate(registry: &StorageRegistry, path: &str) -> Result<LocatedCheckpoint, RestoreError> {
    let Some(local) = local_path_of(path) else {
        let trimmed = path.trim_end_matches('/');
        let found = split(registry, trimmed).map_err(|source| storage_error(path, source));
        let (storage, place) = found?;
        return locate_in(registry, &storage, &place);
    };
    let canonical = canonical(local)?;
    let found = split(registry, &canonical).map_err(|source| storage_error(path, source));
    let (storage, place) = found?;
    locate_in(registry, &storage, &place).map_err(|error| match error {
        // It does exist: it is an empty directory.
        RestoreError::NotFound { path } => RestoreError::NoCheckpoint { path },
        other => other,
    })
}

/// Like [`locate`], within a storage.
pub fn locate_in(
    registry: &StorageRegistry,
    storage: &Arc<dyn CheckpointStorage>,
    path: &StoragePath,
) -> Result<LocatedCheckpoint, RestoreError> {
    if let (Some(CheckpointPaths::METADATA), Some(directory)) = (path.file_name(), path.parent()) {
        return read_checkpoint(registry, storage, directory);
    }
    let full = || uri(&**storage, path);
    let children = storage.list(path).map_err(|source| storage_error(&full(), source))?;
    if children.iter().any(|child| child.name == CheckpointPaths::METADATA) {
        return read_checkpoint(registry, storage, path.clone());
    }
    if path.file_name().is_some_and(|name| CheckpointPaths::checkpoint_of(name).is_some()) {
        return Err(RestoreError::Incomplete { path: full() });
    }
    if holds_checkpoints(&children) {
        return newest_usable(registry, storage, path);
    }
    let jobs = jobs_with_checkpoints(&**storage, path, &children)
        .map_err(|source| storage_error(&full(), source))?;
    match &jobs[..] {
        [] if children.is_empty() => Err(RestoreError::NotFound { path: full() }),
        [] => Err(RestoreError::NoCheckpoint { path: full() }),
        [job] => newest_usable(registry, storage, job),
        several => {
            let jobs = several.iter().filter_map(StoragePath::file_name).map(Box::from).collect();
            Err(RestoreError::SeveralJobs { path: full(), jobs })
        }
    }
}

/// The storage's root is chosen so that `..` of the checkpoint's directory lies in it too.
fn split(
    registry: &StorageRegistry,
    uri: &str,
) -> Result<(Arc<dyn CheckpointStorage>, StoragePath), StorageError> {
    match uri.strip_suffix(CheckpointPaths::METADATA).and_then(|rest| rest.strip_suffix('/')) {
        Some(directory) => {
            let (storage, path) = registry.locate(directory)?;
            Ok((storage, path.join(CheckpointPaths::METADATA)?))
        }
        None => registry.locate(uri),
    }
}

fn newest_usable(
    registry: &StorageRegistry,
    storage: &Arc<dyn CheckpointStorage>,
    job: &StoragePath,
) -> Result<LocatedCheckpoint, RestoreError> {
    let path = uri(&**storage, job);
    let failed = |source| storage_error(&path, source);
    let paths = CheckpointPaths::of_directory(job.clone()).map_err(failed)?;
    let mut skipped = Vec::new();
    for checkpoint in checkpoints(&**storage, &paths).map_err(failed)?.into_iter().rev() {
        let directory = paths.checkpoint(checkpoint);
        let usable = read_checkpoint(registry, storage, directory.clone()).and_then(|located| {
            verify(&located)?;
            Ok(located)
        });
        match usable {
            Ok(located) => return Ok(LocatedCheckpoint { skipped, verified: true, ..located }),
            Err(error) => {
                let path = uri(&**storage, &directory);
                skipped.push(SkippedCheckpoint { path, error });
            }
        }
    }
    Err(RestoreError::NoneUsable { path, skipped })
}

pub(crate) fn read_checkpoint(
    registry: &StorageRegistry,
    storage: &Arc<dyn CheckpointStorage>,
    directory: StoragePath,
) -> Result<LocatedCheckpoint, RestoreError> {
    let failed = |source| storage_error(&uri(&**storage, &directory), source);
    let file = directory.join(CheckpointPaths::METADATA).map_err(failed)?;
    let metadata = match storage.local_path(&file).and_then(|path| Mapping::open(&path).ok()) {
        Some(mapping) => decode(&mapping),
        // Nothing to map, or not mappable: reading it tells why, if it fails too.
        None => match storage.open(&file).and_then(|reader| reader.read_all(LONGEST_METADATA)) {
            Ok(bytes) => decode(&bytes),
            Err(StorageError::Missing { .. }) => {
                let path = uri(&**storage, &directory);
                return Err(RestoreError::Incomplete { path });
            }
            Err(source) => return Err(storage_error(&uri(&**storage, &file), source)),
        },
    };
    let path = || uri(&**storage, &file);
    let metadata = metadata.map_err(|source| RestoreError::Metadata { path: path(), source })?;
    Ok(LocatedCheckpoint {
        registry: registry.clone(),
        storage: Arc::clone(storage),
        directory,
        metadata: Arc::new(metadata),
        skipped: Vec::new(),
        verified: false,
    })
}

fn decode(bytes: &[u8]) -> Result<CheckpointMetadata, tidegate_meta::MetadataError> {
    Ok(MetadataView::open(bytes)?.to_metadata())
}

fn holds_checkpoints(children: &[Entry]) -> bool {
    children.iter().any(|child| {
        child.kind == EntryKind::Directory && CheckpointPaths::checkpoint_of(&child.name).is_some()
    })
}

fn jobs_with_checkpoints(
    storage: &dyn CheckpointStorage,
    path: &StoragePath,
    children: &[Entry],
) -> Result<Vec<StoragePath>, StorageError> {
    let mut jobs = Vec::new();
    for child in children.iter().filter(|child| child.name.parse::<JobId>().is_ok()) {
        let job = path.join(&child.name)?;
        if holds_checkpoints(&storage.list(&job)?) {
            jobs.push(job);
        }
    }
    Ok(jobs)
}

pub(crate) fn uri(storage: &dyn CheckpointStorage, path: &StoragePath) -> Box<str> {
    let separator = if path.is_root() { "" } else { "/" };
    format!("{}{separator}{path}", storage.uri()).into()
}

pub(crate) fn storage_error(path: &str, source: StorageError) -> RestoreError {
    RestoreError::Storage { path: path.into(), source }
}

/// Absolute and without links, so that `..` in the checkpoint's references means what it meant when
/// they were written.
fn canonical(path: &str) -> Result<String, RestoreError> {
    let local = Path::new(path);
    // The link `newest/_metadata` would lead to `chk-7/_metadata` alright, but not if it were the
    // file itself that is linked under another name.
    let (directory, name) = match (local.parent(), local.file_name()) {
        (Some(parent), Some(name)) if name == CheckpointPaths::METADATA => (parent, Some(name)),
        _ => (local, None),
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let failed = |error: std::io::Error| {
        if error.kind() == ErrorKind::NotFound {
            return RestoreError::NotFound { path: path.into() };
        }
        let determinacy = Determinacy::Determinate;
        storage_error(path, StorageError::from_io(Operation::Read, path, determinacy, error))
    };
    let mut canonical = directory.canonicalize().map_err(failed)?;
    canonical.extend(name);
    let is_directory = canonical.metadata().map_err(failed)?.is_dir();
    match canonical.to_str() {
        Some(text) if is_directory || name.is_some() => Ok(text.to_owned()),
        _ => Err(RestoreError::NoCheckpoint { path: path.into() }),
    }
}
