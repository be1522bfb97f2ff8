//! Lines into files of a directory, each line exactly once.
//!
//! What must hold: a file whose name does not begin with a dot belongs to a completed checkpoint and
//! never changes. A line's way:
//!
//! ```text
//! .part-…  ──prepare: sync, rename──▶  .pending-…  ──commit: rename──▶  part-<subtask>-<checkpoint>-<attempt>
//! ```
//!
//! `.tidegate-owner` names the job whose output the directory holds, and is locked while one writes.

mod committable;
mod disk;
mod names;
mod ownership;
mod recovery;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;

use tidegate_types::{CheckpointId, JobId};

use self::disk::Disk;
pub use self::writer::FileSinkWriter;
use crate::{ConnectError, Recovery, SinkContext, SinkFactory, SinkOwnership};

/// A directory of text files, committed with checkpoints.
///
/// Readers see finished files only, if they ignore names that begin with a dot. A job has such a
/// directory for itself, and each of its file sinks another.
#[derive(Clone, Debug)]
pub struct FileSink {
    disk: Arc<Disk>,
    buffer_size: usize,
}

impl FileSink {
    /// Into this directory, which is created when absent.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self::on(Disk::new(directory.as_ref()))
    }

    /// How many bytes a writer gathers before it writes them: 256 KiB unless said otherwise.
    #[must_use]
    pub fn with_buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.disk.directory()
    }

    fn on(disk: Disk) -> Self {
        Self { disk: Arc::new(disk), buffer_size: 256 * 1024 }
    }
}

impl SinkFactory for FileSink {
    type Writer = FileSinkWriter;

    fn prepare_job(&self, job: JobId, restored: bool) -> Result<SinkOwnership, ConnectError> {
        let lock = ownership::take(&self.disk, job, restored)?;
        if !restored {
            recovery::remove_leftovers(&self.disk)?;
        }
        Ok(SinkOwnership::held_by(lock))
    }

    fn recover_job(
        &self,
        _job: JobId,
        restored_from: Option<CheckpointId>,
        committables: &[Vec<u8>],
    ) -> Result<Recovery, ConnectError> {
        recovery::recover(&self.disk, restored_from, committables)
    }

    fn open(&self, context: &SinkContext) -> Result<FileSinkWriter, ConnectError> {
        Ok(FileSinkWriter::new(Arc::clone(&self.disk), context, self.buffer_size))
    }
}
