//! The file that is being written: its bytes, their digest, and the disk set to work early.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_types::DigestBuilder;

use super::disk::{Disk, determinate};
use super::sync_ahead::SyncAhead;
use crate::{FinishedFile, Operation, StorageError};

// So much that a sync is worth its cost, and that the last one has not much left to do.
const SYNC_EVERY: u64 = 32 << 20;

pub(super) struct Sink {
    disk: Arc<Disk>,
    target: PathBuf,
    file: File,
    digest: DigestBuilder,
    length: u64,
    ahead: Option<SyncAhead>,
    // The length at which the disk is next set to work.
    to_sync: u64,
}

impl Sink {
    pub(super) fn new(disk: Arc<Disk>, target: PathBuf, file: File) -> Self {
        let digest = DigestBuilder::new();
        Self { disk, target, file, digest, length: 0, ahead: None, to_sync: SYNC_EVERY }
    }

    /// Adds bytes. After a failure some may be missing: the file must not be finished.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.disk.write(&self.file, &self.target, bytes)?;
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        if self.length >= self.to_sync {
            self.to_sync = self.length + SYNC_EVERY;
            self.sync_ahead();
        }
        Ok(())
    }

    /// Lets the disk begin with what is written so far, so that it works while the rest is made.
    fn sync_ahead(&mut self) {
        if self.ahead.is_none() {
            // Where there is no thread for it all is synced at the end.
            let file = self.file.try_clone().ok();
            self.ahead = file.and_then(|file| {
                SyncAhead::start(Arc::clone(&self.disk), self.target.clone(), file)
            });
        }
        if let Some(ahead) = &self.ahead {
            ahead.go();
        }
    }

    /// What was written. It is to be synced once more.
    pub(super) fn finish(self) -> Result<FinishedFile, StorageError> {
        // The system tells of a failed sync once: whoever heard of it must pass it on.
        if let Some(ahead) = self.ahead {
            let synced = ahead.join();
            synced.map_err(|error| determinate(Operation::Sync, &self.target, error))?;
        }
        Ok(FinishedFile { length: self.length, digest: self.digest.finish() })
    }
}
