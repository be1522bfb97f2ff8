//! Where a subtask's databases lie: directories of its own, which go with their last user.
//!
//! A checkpoint's files have names of their own beside these (links, or copies), so that nothing that
//! happens to a checkpoint's files can take the live state away, and nothing that happens to the task
//! can take a checkpoint's files away.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tidegate_state::{FileNames, KeyedContext, StateError};
use tidegate_store::{CheckpointStorage, StoragePath};

use crate::database::Tuning;
use crate::error::{RocksDbStateError, files, local, shown};

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) context: KeyedContext,
    pub(crate) tuning: Tuning,
    pub(crate) names: FileNames,
    /// Below it everything lies.
    pub(crate) root: PathBuf,
    /// The same as a place in a storage, if it is one: checkpoints there can link to files here.
    pub(crate) stored: Option<(Arc<dyn CheckpointStorage>, StoragePath)>,
    /// The root is temporary, and goes with its last user.
    pub(crate) _temporary: Option<TempDir>,
}

/// A directory that is deleted with this.
#[derive(Debug)]
pub(crate) struct WorkingDirectory {
    pub(crate) path: PathBuf,
    /// As a place in a storage.
    pub(crate) stored: Option<(Arc<dyn CheckpointStorage>, StoragePath)>,
    _place: Arc<Place>,
}

impl Place {
    /// A new name below the root, of which nothing exists.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<WorkingDirectory, StateError> {
        fs::create_dir_all(&self.root)
            .map_err(local("create the directory", &self.root))
            .map_err(|error| self.failed(error))?;
        let name = self.names.working("");
        let path = self.root.join(&name);
        if path.exists() {
            return Err(self.failed(RocksDbStateError::Foreign { path: shown(&path) }));
        }
        let stored = match &self.stored {
            Some((storage, directory)) => Some((Arc::clone(storage), directory.join(&name)?)),
            None => None,
        };
        Ok(WorkingDirectory { path, stored, _place: Arc::clone(self) })
    }

    /// A new, empty directory.
    pub(crate) fn create(self: &Arc<Self>) -> Result<WorkingDirectory, StateError> {
        let directory = self.reserve()?;
        let made = fs::create_dir(&directory.path);
        let made = made.map_err(local("create the directory", &directory.path));
        made.map_err(|error| self.failed(error))?;
        Ok(directory)
    }

    pub(crate) fn failed(&self, error: RocksDbStateError) -> StateError {
        files(&self.context.operator, error)
    }
}

impl WorkingDirectory {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkingDirectory {
    fn drop(&mut self) {
        // What cannot be deleted now is deleted with its parent, when the job next starts.
        let _ = fs::remove_dir_all(&self.path);
    }
}
