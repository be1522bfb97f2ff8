//! The backend as a whole: where files go, and with which settings.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};

use tidegate_state::{
    FileNames, KeyedContext, KeyedStateBackend, RestoredKeyedState, StateBackend, StateError,
};
use tidegate_store::{CheckpointStorage, StorageError, StoragePath, storage_for_uri};
use tidegate_types::BackendKind;

use crate::RocksDbStateConfig;
use crate::database::{Memory, Tuning};
use crate::error::{files, local};
use crate::keyed::RocksDbKeyedState;
use crate::known::Known;
use crate::place::Place;
use crate::restore::restore;

/// Keeps keyed state in RocksDB, a database for each subtask.
#[derive(Clone, Debug)]
pub struct RocksDbStateBackend {
    config: Arc<RocksDbStateConfig>,
    /// Where the files of checkpoints go, unless beside their metadata.
    data: Option<Arc<dyn CheckpointStorage>>,
    /// Where databases are kept.
    working: Option<(Arc<dyn CheckpointStorage>, StoragePath)>,
    /// Of all subtasks together, made with the first.
    memory: Arc<OnceLock<Memory>>,
}

impl RocksDbStateBackend {
    /// Puts the files of checkpoints below this path or URI of the local file system; only
    /// references to them go into the metadata. Other stores are for [`in_storage`](Self::in_storage).
    pub fn new(uri: &str) -> Result<Self, StorageError> {
        Ok(Self::in_storage(storage_for_uri(uri)?))
    }

    /// Puts the files of checkpoints into this storage; only references to them go into the
    /// metadata.
    #[must_use]
    pub fn in_storage(storage: Arc<dyn CheckpointStorage>) -> Self {
        Self { data: Some(storage), ..Self::in_checkpoint_directory() }
    }

    /// Puts the files of checkpoints into the directory of the job's checkpoints.
    #[must_use]
    pub fn in_checkpoint_directory() -> Self {
        let (config, memory) = (Arc::default(), Arc::default());
        Self { config, data: None, working: None, memory }
    }

    /// With other settings.
    #[must_use]
    pub fn with_config(self, config: RocksDbStateConfig) -> Self {
        Self { config: Arc::new(config), memory: Arc::default(), ..self }
    }

    /// Keeps databases in a directory of the storage of the checkpoints, whose owner deletes what a
    /// killed process leaves there. In the same file system, a checkpoint takes over a database's
    /// file without copying it.
    ///
    /// [`RocksDbStateConfig::local_directory`] goes over it. A storage without local files leaves
    /// databases in a temporary directory, which is also what happens without this.
    #[must_use]
    pub fn with_working_directory(
        self,
        storage: Arc<dyn CheckpointStorage>,
        directory: StoragePath,
    ) -> Self {
        let storage = self.data.clone().unwrap_or(storage);
        Self { working: Some((storage, directory)), ..self }
    }

    fn place(&self, context: &KeyedContext) -> Result<Place, StateError> {
        let tuning = Tuning {
            config: Arc::clone(&self.config),
            memory: self.memory.get_or_init(|| Memory::new(&self.config)).clone(),
            now_ms: Arc::new(AtomicI64::new(i64::MIN)),
            operator: context.operator.clone(),
        };
        let (context, names) = (context.clone(), FileNames::new(context));
        let working = self.working.as_ref().filter(|_| self.config.local_directory.is_none());
        let in_storage = working.and_then(|(storage, directory)| {
            Some((storage.local_path(directory)?, (Arc::clone(storage), directory.clone())))
        });
        if let Some((root, stored)) = in_storage {
            return Ok(Place {
                context,
                tuning,
                names,
                root,
                stored: Some(stored),
                _temporary: None,
            });
        }
        let parent = self.config.local_directory.clone().unwrap_or_else(std::env::temp_dir);
        let made = std::fs::create_dir_all(&parent).and_then(|()| {
            tempfile::Builder::new().prefix("tidegate-rocksdb-").tempdir_in(&parent)
        });
        let made = made.map_err(local("make a directory below", &parent));
        let made = made.map_err(|error| files(&context.operator, error))?;
        let root = made.path().to_owned();
        Ok(Place { context, tuning, names, root, stored: None, _temporary: Some(made) })
    }
}

impl StateBackend for RocksDbStateBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::RocksDb
    }

    fn name(&self) -> &'static str {
        "rocksdb"
    }

    fn open_keyed(
        &self,
        context: &KeyedContext,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Box<dyn KeyedStateBackend>, StateError> {
        let place = Arc::new(self.place(context)?);
        let known = Known::default();
        let restored = restore(&place, &known, restored)?;
        Ok(Box::new(RocksDbKeyedState::new(place, self.data.clone(), known, restored)))
    }
}
