//! What can go wrong with state in RocksDB.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use tidegate_state::StateError;
use tidegate_store::StorageError;
use tidegate_types::{CheckpointId, OperatorUid};

/// An error of the RocksDB backend. Operators see it as [`StateError::Files`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RocksDbStateError {
    /// RocksDB failed.
    #[error("cannot {action} the database {path}: {source}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// The database's directory.
        path: Box<str>,
        /// What RocksDB said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The local disk is full.
    #[error(
        "no space is left to {action} the database {path}: free some, or choose another directory (state.backend.rocksdb.localdir): {source}"
    )]
    Full {
        /// What was tried.
        action: &'static str,
        /// The database's directory.
        path: Box<str>,
        /// What RocksDB said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Somebody else has the database open.
    #[error(
        "the database {path} is open elsewhere: every subtask needs a directory of its own: {source}"
    )]
    Locked {
        /// The database's directory.
        path: Box<str>,
        /// What RocksDB said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The directory for a new database has something in it.
    #[error(
        "{path} exists already and is not this subtask's: remove it, or choose another directory (state.backend.rocksdb.localdir)"
    )]
    Foreign {
        /// The directory.
        path: Box<str>,
    },
    /// A file that a checkpoint needs is not there.
    #[error("checkpoint {checkpoint} needs the table file {name}, which is missing: {source}")]
    MissingFile {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The file, as the database calls it.
        name: Box<str>,
        /// Where it was looked for.
        source: StorageError,
    },
    /// A file that a checkpoint needs is another one, or damaged.
    #[error(
        "checkpoint {checkpoint} needs the table file {name}, which is damaged: {path} does not \
         have the {length} bytes that were written"
    )]
    DamagedFile {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The file, as the database calls it.
        name: Box<str>,
        /// Where it lies.
        path: Box<str>,
        /// The length that was written.
        length: u64,
    },
    /// The files are whole, and RocksDB does not take them.
    #[error(
        "RocksDB {own} cannot open what RocksDB {written_by} wrote for checkpoint {checkpoint}: \
         {source}"
    )]
    OtherVersion {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The version that wrote it.
        written_by: Box<str>,
        /// This program's version.
        own: &'static str,
        /// What RocksDB said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A manifest is whole and yet says something that nothing of ours writes.
    #[error("the manifest of keyed state, offset {offset}: {found} where {expected} is expected")]
    Manifest {
        /// Where, in bytes from the start of the manifest.
        offset: usize,
        /// What may stand there.
        expected: &'static str,
        /// What does.
        found: u64,
    },
    /// A state is not in the database.
    #[error("the database {path} has no column family for state {state:?}")]
    NoFamily {
        /// The database's directory.
        path: Box<str>,
        /// The state.
        state: Arc<str>,
    },
    /// A local file or directory cannot be worked with.
    #[error("cannot {action} {path}: {source}")]
    Local {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: Box<str>,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What an operator is told.
pub(crate) fn files(operator: &OperatorUid, error: RocksDbStateError) -> StateError {
    StateError::Files { operator: operator.clone(), source: Box::new(error) }
}

pub(crate) fn shown(path: &Path) -> Box<str> {
    path.to_string_lossy().into()
}

pub(crate) fn local<'p>(
    action: &'static str,
    path: &'p Path,
) -> impl FnOnce(std::io::Error) -> RocksDbStateError + use<'p> {
    move |source| RocksDbStateError::Local { action, path: shown(path), source }
}
