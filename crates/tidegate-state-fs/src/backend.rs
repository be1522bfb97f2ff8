//! The backend as a whole: where files go, and with which settings.

use std::path::Path;
use std::sync::Arc;

use tidegate_state::{
    FileNames, KeyedContext, KeyedStateBackend, RestoredKeyedState, StateBackend, StateError,
};
use tidegate_store::{
    CheckpointStorage, DataDirectory, FileCache, FsStorage, StorageError, StoragePath,
    storage_for_uri,
};
use tidegate_types::BackendKind;

use crate::FsStateConfig;
use crate::error::{FsStateError, files};
use crate::keyed::FsKeyedState;
use crate::place::Place;
use crate::restore::restore;

/// Keeps keyed state in mapped segment files.
#[derive(Clone, Debug)]
pub struct FsStateBackend {
    config: FsStateConfig,
    /// Where the files of checkpoints go, unless beside their metadata.
    data: Option<DataDirectory>,
    /// Where working files are kept.
    working: Option<(Arc<dyn CheckpointStorage>, StoragePath)>,
    /// Where files of stores are kept that have no local ones.
    cache: Option<Arc<FileCache>>,
}

impl FsStateBackend {
    /// Puts the files of checkpoints below this path or URI of the local file system; only
    /// references to them go into the metadata. Other stores are for
    /// [`in_data_directory`](Self::in_data_directory).
    pub fn new(uri: &str) -> Result<Self, StorageError> {
        Ok(Self::in_data_directory(DataDirectory::new(storage_for_uri(uri)?)))
    }

    /// Puts the files of checkpoints into this directory; only references to them go into the
    /// metadata.
    #[must_use]
    pub fn in_data_directory(data: DataDirectory) -> Self {
        Self { data: Some(data), ..Self::in_checkpoint_directory() }
    }

    /// Puts the files of checkpoints into the directory of the job's checkpoints.
    #[must_use]
    pub fn in_checkpoint_directory() -> Self {
        Self { config: FsStateConfig::default(), data: None, working: None, cache: None }
    }

    /// With other settings.
    #[must_use]
    pub fn with_config(self, config: FsStateConfig) -> Self {
        Self { config, ..self }
    }

    /// Keeps working files in a directory of the storage of the checkpoints, whose owner deletes
    /// what a killed process leaves there. In the same file system, a checkpoint takes over a
    /// working file without copying it.
    ///
    /// With a storage without local files they are in the [cache](Self::with_cache), or else in a
    /// temporary directory, which is also what happens without this.
    #[must_use]
    pub fn with_working_directory(
        self,
        storage: Arc<dyn CheckpointStorage>,
        directory: StoragePath,
    ) -> Self {
        let storage = self.data.as_ref().map_or(storage, |data| Arc::clone(data.storage()));
        let working = storage.local_path(&directory).is_some().then_some((storage, directory));
        Self { working, ..self }
    }

    /// Keeps copies of files of stores without local ones in this cache: what is restored is
    /// downloaded once for all subtasks, and what a checkpoint uploads need not be downloaded.
    #[must_use]
    pub fn with_cache(self, cache: Arc<FileCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    fn place(&self, context: &KeyedContext) -> Result<Place, StateError> {
        let names = FileNames::new(context);
        let (context, cache) = (context.clone(), self.cache.clone());
        if let Some((storage, directory)) = self.working.clone() {
            return Ok(Place { context, storage, directory, names, temporary: None, cache });
        }
        if let Some(cache) = &cache {
            let working = cache.working_directory()?;
            let storage = Arc::clone(working.storage());
            let (directory, cache) = (working.directory().clone(), Some(Arc::clone(cache)));
            return Ok(Place { context, storage, directory, names, temporary: None, cache });
        }
        let made = tempfile::Builder::new().prefix("tidegate-state-").tempdir();
        let made = made.map_err(|source| {
            let path = std::env::temp_dir().to_string_lossy().into();
            files(&context.operator, FsStateError::Working { path, source })
        })?;
        let storage: Arc<dyn CheckpointStorage> = Arc::new(open_local(made.path())?);
        let directory = StoragePath::root();
        let temporary = Some(Arc::new(made));
        Ok(Place { context, storage, directory, names, temporary, cache })
    }
}

fn open_local(path: &Path) -> Result<FsStorage, StorageError> {
    FsStorage::open(path)
}

impl StateBackend for FsStateBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Fs
    }

    fn name(&self) -> &'static str {
        "fs"
    }

    fn open_keyed(
        &self,
        context: &KeyedContext,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Box<dyn KeyedStateBackend>, StateError> {
        let place = Arc::new(self.place(context)?);
        let restored = restore(&place, restored)?;
        Ok(Box::new(FsKeyedState::new(place, self.config, self.data.clone(), restored)))
    }
}
