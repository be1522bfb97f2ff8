//! The long part of a checkpoint: write what is not written, and give every segment a name.

use std::io::Write;
use std::sync::Arc;

use tidegate_state::{
    CancelToken, CanonicalSnapshot, FrozenTable, SnapshotJob, SnapshotResult, SnapshotTarget,
    StateError,
};
use tidegate_store::{CheckpointStorage, DataDirectory, LinkOutcome, StorageError, StoragePath};
use tidegate_types::{
    BackendKind, FileHandle, FileReference, KeyedStateHandle, RegisteredState, SharedFile,
    SnapshotKind, StateHandle,
};

use crate::base::FsBase;
use crate::canonical::AsEntries;
use crate::compaction::Merge;
use crate::error::FsStateError;
use crate::manifest::Manifest;
use crate::place::Place;
use crate::stack::{Merged, Stack};
use crate::stored::{Named, Part, Reused, Stored};
use crate::worker::Shared;

/// How much is copied between two looks at the cancellation, in bytes.
const PIECE: usize = 1 << 20;

pub(crate) struct FsSnapshot {
    pub(crate) place: Arc<Place>,
    pub(crate) shared: Arc<Shared>,
    /// As it was at the barrier.
    pub(crate) stack: Stack,
    /// Segments that the checkpoint may refer to under a name that they have.
    pub(crate) named: Vec<Reused>,
    pub(crate) epoch: u64,
    pub(crate) registered: Vec<RegisteredState>,
    pub(crate) kind: SnapshotKind,
    /// Whether the checkpoint's files are its own, and go with its directory.
    pub(crate) exclusive: bool,
    /// What makes one segment of all, unless the checkpoint is to be incremental.
    pub(crate) whole: Option<Merge>,
    /// Where files go, unless where the checkpoint itself is.
    pub(crate) data: Option<DataDirectory>,
}

/// Files of a checkpoint, deleted unless it is kept.
struct Files<'a> {
    storage: &'a dyn CheckpointStorage,
    made: Vec<StoragePath>,
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        for path in &self.made {
            // Nobody refers to it: whatever is left is found by a garbage collection.
            let _ = self.storage.delete(path);
        }
    }
}

impl SnapshotJob for FsSnapshot {
    fn run(
        mut self: Box<Self>,
        target: &SnapshotTarget<'_>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        cancel.check()?;
        let mut parts = self.stack.parts().to_vec();
        let key_groups = self.place.context.key_groups;
        for delta in self.stack.deltas() {
            let stored = delta.write(&self.place, target.checkpoint, cancel)?;
            parts.push(Part { stored, key_groups });
        }
        self.shared.announce();
        for part in &parts {
            self.place.written(part.stored.segment.check_intact())?;
        }
        if self.kind == SnapshotKind::Savepoint {
            return self.savepoint(&parts).run(target, cancel);
        }
        if let Some(whole) = self.whole.take() {
            parts = self.one(parts, whole, cancel)?;
        }
        let keyed = vec![self.checkpoint(&parts, target, cancel)?];
        Ok(SnapshotResult { keyed, registered: std::mem::take(&mut self.registered) })
    }
}

impl FsSnapshot {
    fn savepoint(&self, parts: &[Part]) -> Box<dyn SnapshotJob> {
        let context = &self.place.context;
        let states = self.registered.iter().map(|state| {
            let base = FsBase::new(&context.operator, &state.name, parts.iter());
            let table: Box<dyn FrozenTable> = Box::new(AsEntries { base, kind: state.kind });
            (state.clone(), table)
        });
        Box::new(CanonicalSnapshot::new(context, states.collect()))
    }

    /// One segment with everything, which then is the task's too.
    fn one(
        &self,
        parts: Vec<Part>,
        whole: Merge,
        cancel: &CancelToken,
    ) -> Result<Vec<Part>, StateError> {
        if parts.len() < 2 {
            return Ok(parts);
        }
        let inputs = parts.iter().map(|part| Arc::clone(&part.stored)).collect();
        let stored = Merge { parts, ..whole }.run(&self.place, cancel)?;
        let output = Part { stored, key_groups: self.place.context.key_groups };
        self.shared.add_merged(Merged { inputs, output: output.clone() });
        Ok(vec![output])
    }

    fn checkpoint(
        &self,
        parts: &[Part],
        target: &SnapshotTarget<'_>,
        cancel: &CancelToken,
    ) -> Result<KeyedStateHandle, StateError> {
        let storage = self.data.as_ref().map_or(target.storage, |data| &**data.storage());
        let mut files = Files { storage, made: Vec::new() };
        let mut named: Vec<Named> = Vec::new();
        let mut manifest = Manifest { epoch: self.epoch, parts: Vec::with_capacity(parts.len()) };
        for Part { stored, key_groups } in parts {
            let known = named.iter().position(|(other, _)| Arc::ptr_eq(other, stored));
            let index = match known {
                Some(index) => index,
                None => {
                    let reused = self.named.iter().find(|(other, _)| Arc::ptr_eq(other, stored));
                    let reused = reused.and_then(|(_, name)| name.clone());
                    let handle = match reused.filter(|_| !self.exclusive) {
                        Some(handle) => handle,
                        None => self.name(stored, target, &mut files, cancel)?,
                    };
                    named.push((Arc::clone(stored), handle));
                    named.len() - 1
                }
            };
            let index = u32::try_from(index).expect("fewer than 2^32 segments");
            manifest.parts.push((index, *key_groups));
        }
        let file = |(_, file): &Named| SharedFile {
            name: file.reference.as_str().rsplit('/').next().unwrap_or_default().into(),
            file: file.clone(),
        };
        let shared = named.iter().map(file).collect();
        files.made.clear();
        self.shared.add_pending(target.checkpoint, named);
        Ok(KeyedStateHandle {
            backend: BackendKind::Fs,
            key_groups: self.place.context.key_groups,
            manifest: StateHandle::Inline(manifest.encode().into()),
            shared,
        })
    }

    /// Gives the segment a name of this checkpoint: by a link, or else by copying it.
    fn name(
        &self,
        stored: &Stored,
        target: &SnapshotTarget<'_>,
        files: &mut Files<'_>,
        cancel: &CancelToken,
    ) -> Result<FileHandle, StateError> {
        cancel.check()?;
        let name = self.place.names.of_checkpoint(target.checkpoint, ".segment");
        let storage = files.storage;
        let directory = if self.exclusive { target.exclusive } else { target.shared };
        let path = directory.join(&name)?;
        let path = self.data.as_ref().map_or(Ok(path.clone()), |data| data.place(&path))?;
        let linked = if stored.location.storage.uri() == storage.uri() {
            storage.link(&stored.location.path, &path)
        } else {
            Ok(LinkOutcome::NotSupported)
        };
        let file = match linked {
            Ok(LinkOutcome::Linked) => {
                files.made.push(path.clone());
                stored.file
            }
            // A file of an earlier run whose owner has deleted it meanwhile: it is still mapped.
            Ok(LinkOutcome::NotSupported) | Err(StorageError::Missing { .. }) => {
                let mut writer = storage.create(&path)?;
                for piece in stored.segment.bytes().chunks(PIECE) {
                    cancel.check()?;
                    let written = writer.write_all(piece);
                    written.map_err(|error| StorageError::from_write(path.as_str(), error))?;
                }
                let file = writer.finish()?;
                files.made.push(path.clone());
                self.place.written(stored.segment.check_intact())?;
                if file != stored.file {
                    let path = path.as_str().into();
                    return Err(self.place.failed(FsStateError::OtherContent { path }));
                }
                self.place.keep_copy(stored, storage, &path);
                file
            }
            Err(error) => return Err(error.into()),
        };
        let reference = match &self.data {
            None if self.exclusive => FileReference::in_checkpoint(&name),
            None => {
                let directory = directory.file_name().unwrap_or_default();
                FileReference::in_job(&format!("{directory}/{name}"))
            }
            Some(data) => FileReference::absolute(&data.uri_of(&path)),
        };
        let reference =
            reference.map_err(|invalid| StorageError::InvalidPath { found: invalid.found })?;
        Ok(FileHandle { reference, length: file.length, digest: file.digest })
    }
}
