//! The backend as a whole: where files go, and with which settings.

use std::path::Path;
use std::sync::Arc;

use tidegate_state::{
    KeyedContext, KeyedStateBackend, RestoredKeyedState, StateBackend, StateError,
};
use tidegate_store::{CheckpointStorage, FsStorage, StorageError, StoragePath, storage_for_uri};
use tidegate_types::BackendKind;

use crate::FsStateConfig;
use crate::error::{FsStateError, files};
use crate::keyed::FsKeyedState;
use crate::names::Names;
use crate::place::Place;
use crate::restore::restore;

/// Keeps keyed state in mapped segment files.
#[derive(Clone, Debug)]
pub struct FsStateBackend {
    config: FsStateConfig,
    /// Where the files of checkpoints go, unless beside their metadata.
    data: Option<Arc<dyn CheckpointStorage>>,
    /// Where working files are kept.
    working: Option<(Arc<dyn CheckpointStorage>, StoragePath)>,
}

impl FsStateBackend {
    /// Puts the files of checkpoints below this URI; only references to them go into the metadata.
    pub fn new(uri: &str) -> Result<Self, StorageError> {
        Ok(Self { data: Some(storage_for_uri(uri)?), ..Self::in_checkpoint_directory() })
    }

    /// Puts the files of checkpoints into the directory of the job's checkpoints.
    #[must_use]
    pub fn in_checkpoint_directory() -> Self {
        Self { config: FsStateConfig::default(), data: None, working: None }
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
    /// A storage without local files leaves working files in a temporary directory, which is also
    /// what happens without this.
    #[must_use]
    pub fn with_working_directory(
        self,
        storage: Arc<dyn CheckpointStorage>,
        directory: StoragePath,
    ) -> Self {
        let storage = self.data.clone().unwrap_or(storage);
        let working = storage.local_path(&directory).is_some().then_some((storage, directory));
        Self { working, ..self }
    }

    fn place(&self, context: &KeyedContext) -> Result<Place, StateError> {
        let names = Names::new(context);
        let context = context.clone();
        if let Some((storage, directory)) = self.working.clone() {
            return Ok(Place { context, storage, directory, names, temporary: None });
        }
        let made = tempfile::Builder::new().prefix("tidegate-state-").tempdir();
        let made = made.map_err(|source| {
            let path = std::env::temp_dir().to_string_lossy().into();
            files(&context.operator, FsStateError::Working { path, source })
        })?;
        let storage: Arc<dyn CheckpointStorage> = Arc::new(open_local(made.path())?);
        let directory = StoragePath::root();
        Ok(Place { context, storage, directory, names, temporary: Some(Arc::new(made)) })
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
