//! The long part of a checkpoint: names for the files that are in the snapshot's directory.
//!
//! The short part has linked all files of the database there. Tables that a checkpoint already has,
//! by their content, are referred to; the others get a name: a link where the store can, else they
//! are copied by several threads. Small files go into the manifest.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tidegate_state::{CancelToken, SnapshotJob, SnapshotResult, SnapshotTarget, StateError};
use tidegate_store::{CheckpointStorage, FinishedFile, LinkOutcome, StorageError, StoragePath};
use tidegate_types::{
    BackendKind, CheckpointId, FileHandle, FileReference, KeyedStateHandle, RegisteredState,
    SharedFile, StateHandle,
};

use crate::database::ROCKSDB_VERSION;
use crate::error::{RocksDbStateError, local, shown};
use crate::known::{Content, Known, Named, finished};
use crate::manifest::{self, Manifest, is_file_name};
use crate::place::{Place, WorkingDirectory};

/// How much is copied between two looks at the cancellation, in bytes.
const PIECE: usize = 1 << 20;

/// All tables that go into the manifest, in bytes.
const INLINE_MAX: u64 = 1 << 20;

pub(crate) struct RocksDbSnapshot {
    pub(crate) place: Arc<Place>,
    pub(crate) known: Arc<Known>,
    /// The database's files, as they were at the barrier.
    pub(crate) directory: WorkingDirectory,
    /// Names that the checkpoint may use.
    pub(crate) offer: Arc<Named>,
    pub(crate) registered: Vec<RegisteredState>,
    /// The time at the barrier, by which values have expired.
    pub(crate) now_ms: i64,
    /// Where files go, unless where the checkpoint itself is.
    pub(crate) data: Option<Arc<dyn CheckpointStorage>>,
}

/// Files of a checkpoint, deleted unless it is kept.
struct Made<'a> {
    storage: &'a dyn CheckpointStorage,
    paths: Mutex<Vec<StoragePath>>,
}

impl Made<'_> {
    fn add(&self, path: StoragePath) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    fn keep(&self) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for path in self.paths.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Nobody refers to it: whatever is left is found by a garbage collection.
            let _ = self.storage.delete(path);
        }
    }
}

/// A file of the snapshot's directory.
struct Found {
    name: String,
    path: PathBuf,
    content: Content,
}

impl SnapshotJob for RocksDbSnapshot {
    fn run(
        self: Box<Self>,
        target: &SnapshotTarget<'_>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        cancel.check()?;
        let storage = self.data.as_deref().unwrap_or(target.storage);
        let made = Made { storage, paths: Mutex::default() };
        let mut manifest = Manifest {
            checkpoint: target.checkpoint,
            now_ms: self.now_ms,
            written_by: ROCKSDB_VERSION.into(),
            files: Vec::new(),
        };
        let (mut large, mut tables, mut inlined) = (Vec::new(), Vec::new(), 0);
        for found in self.files(cancel)? {
            let is_table = found.path.extension().is_some_and(|extension| extension == "sst");
            if is_table {
                tables.push(found.path.clone());
            }
            let is_small = found.content.0 < self.place.tuning.config.data_inline_threshold
                && inlined + found.content.0 <= INLINE_MAX;
            if is_small || !is_table {
                inlined += found.content.0;
                let content = fs::read(&found.path).map_err(local("read", &found.path));
                let content = content.map_err(|error| self.place.failed(error))?;
                manifest.files.push((found.name.into(), manifest::Content::Inline(content)));
            } else {
                large.push(found);
            }
        }
        self.known.retain(&tables);
        let handles = self.name_all(&large, target, &made, cancel)?;
        let (mut shared, mut named) = (Vec::new(), Named::new());
        for (found, handle) in large.iter().zip(handles) {
            let index = u32::try_from(shared.len()).expect("fewer than 2^32 files");
            manifest.files.push((found.name.as_str().into(), manifest::Content::Shared(index)));
            let name = handle.reference.as_str().rsplit('/').next().unwrap_or_default();
            shared.push(SharedFile { name: name.into(), file: handle.clone() });
            named.insert(found.content, handle);
        }
        cancel.check()?;
        made.keep();
        if self.place.tuning.config.incremental {
            self.known.add_written(target.checkpoint, named);
        }
        let handle = KeyedStateHandle {
            backend: BackendKind::RocksDb,
            key_groups: self.place.context.key_groups,
            manifest: StateHandle::Inline(manifest.encode().into()),
            shared,
        };
        Ok(SnapshotResult { keyed: vec![handle], registered: self.registered.clone() })
    }
}

impl RocksDbSnapshot {
    /// What is needed to open the database again, with its content.
    fn files(&self, cancel: &CancelToken) -> Result<Vec<Found>, StateError> {
        let directory = self.directory.path();
        let failed = |error| self.place.failed(local("list", directory)(error));
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_file_name(&name) {
                cancel.check()?;
                let path = entry.path();
                let content = self.known.content(&path).map_err(|e| self.place.failed(e))?;
                found.insert(name.clone(), Found { name, path, content });
            }
        }
        Ok(found.into_values().collect())
    }

    /// A handle for each file, in their order.
    fn name_all(
        &self,
        files: &[Found],
        target: &SnapshotTarget<'_>,
        made: &Made<'_>,
        cancel: &CancelToken,
    ) -> Result<Vec<FileHandle>, StateError> {
        let mut handles: Vec<Option<FileHandle>> =
            files.iter().map(|found| self.offer.get(&found.content).cloned()).collect();
        let missing: Vec<usize> = (0..files.len()).filter(|i| handles[*i].is_none()).collect();
        let threads = self.place.tuning.config.transfer_threads.get().min(missing.len());
        let queue = Mutex::new(missing.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> Result<Vec<(usize, FileHandle)>, StateError> {
            let mut done = Vec::new();
            while let Some(index) = next() {
                done.push((index, self.name(&files[index], target, made, cancel)?));
            }
            Ok(done)
        };
        let results: Vec<_> = thread::scope(|scope| {
            // The last share is done here: with one file no thread is started.
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut results = vec![work()];
            let joined = others.into_iter().map(|other| other.join().expect("it does not panic"));
            results.extend(joined);
            results
        });
        for result in results {
            for (index, handle) in result? {
                handles[index] = Some(handle);
            }
        }
        Ok(handles.into_iter().map(|handle| handle.expect("each file was named")).collect())
    }

    /// Gives the file a name of this checkpoint: by a link, or else by copying it.
    fn name(
        &self,
        found: &Found,
        target: &SnapshotTarget<'_>,
        made: &Made<'_>,
        cancel: &CancelToken,
    ) -> Result<FileHandle, StateError> {
        cancel.check()?;
        let name = self.place.names.of_checkpoint(target.checkpoint, ".sst");
        let exclusive = !self.place.tuning.config.incremental;
        let directory = if exclusive { target.exclusive } else { target.shared };
        let path = directory.join(&name)?;
        let file = match self.link(found, &path, made)? {
            Some(file) => file,
            None => self.copy(found, (target.checkpoint, &path), made, cancel)?,
        };
        let reference = match &self.data {
            None if exclusive => FileReference::in_checkpoint(&name),
            None => {
                let directory = directory.file_name().unwrap_or_default();
                FileReference::in_job(&format!("{directory}/{name}"))
            }
            Some(storage) => FileReference::absolute(&format!("{}/{path}", storage.uri())),
        };
        let reference =
            reference.map_err(|invalid| StorageError::InvalidPath { found: invalid.found })?;
        Ok(FileHandle { reference, length: file.length, digest: file.digest })
    }

    /// `None` when there are no links from here to there.
    fn link(
        &self,
        found: &Found,
        path: &StoragePath,
        made: &Made<'_>,
    ) -> Result<Option<FinishedFile>, StateError> {
        let Some((storage, directory)) = &self.directory.stored else { return Ok(None) };
        if storage.uri() != made.storage.uri() {
            return Ok(None);
        }
        match made.storage.link(&directory.join(&found.name)?, path)? {
            LinkOutcome::Linked => {
                made.add(path.clone());
                Ok(Some(finished(found.content)))
            }
            LinkOutcome::NotSupported => Ok(None),
        }
    }

    fn copy(
        &self,
        found: &Found,
        (checkpoint, path): (CheckpointId, &StoragePath),
        made: &Made<'_>,
        cancel: &CancelToken,
    ) -> Result<FinishedFile, StateError> {
        let failed = |error| self.place.failed(local("read", &found.path)(error));
        let mut source = fs::File::open(&found.path).map_err(failed)?;
        let mut writer = made.storage.create(path)?;
        let mut buffer = vec![0; PIECE];
        loop {
            cancel.check()?;
            let length = source.read(&mut buffer).map_err(failed)?;
            if length == 0 {
                break;
            }
            let written = writer.write_all(&buffer[..length]);
            written.map_err(|error| StorageError::from_write(path.as_str(), error))?;
        }
        let file = writer.finish()?;
        made.add(path.clone());
        if file != finished(found.content) {
            return Err(self.place.failed(RocksDbStateError::DamagedFile {
                checkpoint,
                name: found.name.as_str().into(),
                path: shown(&found.path),
                length: found.content.0,
            }));
        }
        Ok(file)
    }
}
