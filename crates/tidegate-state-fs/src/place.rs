//! Where a subtask's working files lie, and how one is written and mapped.
//!
//! Every segment begins as a working file: it belongs to the task, is deleted when its last user is
//! gone, and a checkpoint that refers to it gets a name of its own for it (a link, or a copy). So
//! nothing that happens to a checkpoint's files can take the live state away, and nothing that
//! happens to the task can take a checkpoint's files away.

use std::sync::Arc;

use tempfile::TempDir;
use tidegate_segment::{Origin, Segment, SegmentError, SegmentWriter};
use tidegate_state::{FileNames, KeyedContext, StateError};
use tidegate_store::{CheckpointStorage, FileCache, StateWriter, StoragePath};
use tidegate_types::CheckpointId;

use crate::error::{FsStateError, files};
use crate::stored::{Location, Stored};

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) context: KeyedContext,
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) directory: StoragePath,
    pub(crate) names: FileNames,
    /// The directory is temporary, and goes with its last user.
    pub(crate) temporary: Option<Arc<TempDir>>,
    pub(crate) cache: Option<Arc<FileCache>>,
}

pub(crate) type Writer = SegmentWriter<Box<dyn StateWriter>>;

impl Place {
    pub(crate) fn origin(&self, checkpoint: CheckpointId) -> Origin {
        Origin {
            checkpoint,
            attempt: self.context.attempt,
            max_parallelism: self.context.max_parallelism,
            key_groups: self.context.key_groups,
        }
    }

    /// Writes a segment and maps it. When `fill` fails nothing is left.
    pub(crate) fn write(
        &self,
        checkpoint: CheckpointId,
        fill: impl FnOnce(&mut Writer) -> Result<(), StateError>,
    ) -> Result<Arc<Stored>, StateError> {
        let location = self.new_location()?;
        let out = location.storage.create(&location.path)?;
        let mut writer =
            SegmentWriter::new(out, self.origin(checkpoint)).map_err(|e| self.failed(e))?;
        fill(&mut writer)?;
        let (out, _) = writer.finish().map_err(|error| self.failed(error))?;
        let finished = out.finish()?;
        let segment = self.map(&location).inspect_err(|_| drop(location.delete()))?;
        Ok(Arc::new(Stored::working(segment, finished, location, self.temporary.clone())))
    }

    pub(crate) fn new_location(&self) -> Result<Location, StateError> {
        let path = self.directory.join(&self.names.working(".segment"))?;
        Ok(Location { storage: Arc::clone(&self.storage), path })
    }

    pub(crate) fn map(&self, location: &Location) -> Result<Segment, StateError> {
        let local = location.storage.local_path(&location.path).ok_or_else(|| {
            self.failed(FsStateError::NotLocal { path: location.path.as_str().into() })
        })?;
        Segment::open(&local).map_err(|error| self.failed(error))
    }

    /// Keeps what was uploaded for a restore on this machine.
    pub(crate) fn keep_copy(
        &self,
        stored: &Stored,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
    ) {
        let local = stored.location.storage.local_path(&stored.location.path);
        if let (Some(cache), Some(local), None) = (&self.cache, local, storage.local_path(path)) {
            cache.adopt(&local, stored.file);
        }
    }

    pub(crate) fn failed(&self, error: impl Into<FsStateError>) -> StateError {
        files(&self.context.operator, error)
    }

    /// A failure to write an entry, as the operator is told.
    pub(crate) fn written(&self, result: Result<(), SegmentError>) -> Result<(), StateError> {
        result.map_err(|error| self.failed(error))
    }
}
