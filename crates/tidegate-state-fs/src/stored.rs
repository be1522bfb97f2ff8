//! A mapped segment, where its file lies, and under which name checkpoints refer to it.

use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use tidegate_segment::Segment;
use tidegate_store::{CheckpointStorage, DeleteOutcome, FinishedFile, StorageError, StoragePath};
use tidegate_types::{CheckpointId, FileHandle, KeyGroupRange};

/// A file in a storage.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) path: StoragePath,
}

impl Location {
    pub(crate) fn delete(&self) -> Result<DeleteOutcome, StorageError> {
        self.storage.delete(&self.path)
    }
}

/// A segment that is mapped. Its file may lose its names; the mapping stays.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) segment: Segment,
    pub(crate) file: FinishedFile,
    pub(crate) location: Location,
    /// Whether the file is the task's own, to be deleted with this.
    is_working: bool,
    /// The name in the newest complete checkpoint of this run that has the segment. Only that one
    /// is sure to stay until a newer checkpoint refers to it.
    confirmed: Mutex<Option<(CheckpointId, FileHandle)>>,
    _temporary: Option<Arc<TempDir>>,
}

impl Stored {
    pub(crate) fn working(
        segment: Segment,
        file: FinishedFile,
        location: Location,
        temporary: Option<Arc<TempDir>>,
    ) -> Self {
        let confirmed = Mutex::default();
        Self { segment, file, location, is_working: true, confirmed, _temporary: temporary }
    }

    /// A file of a checkpoint, mapped where it lies.
    pub(crate) fn of_checkpoint(
        segment: Segment,
        handle: &FileHandle,
        location: Location,
        may_be_shared: bool,
    ) -> Self {
        let file = FinishedFile { length: handle.length, digest: handle.digest };
        // Older than any checkpoint of this run.
        let confirmed = may_be_shared.then(|| (CheckpointId::FIRST, handle.clone()));
        let confirmed = Mutex::new(confirmed);
        Self { segment, file, location, is_working: false, confirmed, _temporary: None }
    }

    /// A checkpoint that has the segment under this name is complete.
    pub(crate) fn confirm(&self, checkpoint: CheckpointId, handle: FileHandle) {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if confirmed.as_ref().is_none_or(|(newest, _)| *newest <= checkpoint) {
            *confirmed = Some((checkpoint, handle));
        }
    }

    /// The newest complete checkpoint that is known to have the segment, and under which name.
    pub(crate) fn confirmed(&self) -> Option<(CheckpointId, FileHandle)> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if self.is_working {
            // What cannot be deleted now is deleted with the directory, when the job next starts.
            let _ = self.location.delete();
        }
    }
}

/// A segment, and the name that a checkpoint may use for it because an earlier one does.
pub(crate) type Reused = (Arc<Stored>, Option<FileHandle>);

/// A segment, and the name that a checkpoint has for it.
pub(crate) type Named = (Arc<Stored>, FileHandle);

/// What a subtask sees of a segment: a segment of a wider range of key groups is shared with others,
/// who may have gone on from it in their own ways.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) stored: Arc<Stored>,
    pub(crate) key_groups: KeyGroupRange,
}
