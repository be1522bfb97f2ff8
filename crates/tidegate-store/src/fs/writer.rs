//! Writes one file as a stream.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::NamedTempFile;
use tidegate_types::DigestBuilder;

use super::disk::{Disk, Persisted, shown};
use crate::{FinishedFile, Operation, StateWriter, StorageError};

// Large enough that the cost of a system call vanishes beside that of the bytes.
const BUFFER: usize = 256 * 1024;

pub(super) struct FsWriter {
    disk: Arc<Disk>,
    target: PathBuf,
    temporary: NamedTempFile,
    buffer: Vec<u8>,
    digest: DigestBuilder,
    length: u64,
    // Some bytes may be missing in the file, so that it must never be finished.
    failed: bool,
}

impl FsWriter {
    pub(super) fn new(disk: Arc<Disk>, target: PathBuf) -> Result<Self, StorageError> {
        let temporary = disk.create_temporary(&target)?;
        let (buffer, digest) = (Vec::with_capacity(BUFFER), DigestBuilder::new());
        Ok(Self { disk, target, temporary, buffer, digest, length: 0, failed: false })
    }

    fn write_out(&mut self) -> Result<(), StorageError> {
        if self.failed {
            return Err(super::disk::determinate(
                Operation::Write,
                &self.target,
                io::Error::other("an earlier write failed"),
            ));
        }
        let written = self.disk.write(&mut self.temporary, &self.target, &self.buffer);
        self.failed = written.is_err();
        self.digest.update(&self.buffer);
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        written
    }
}

impl Write for FsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == BUFFER {
            self.write_out().map_err(StorageError::into_io)?;
        }
        let taken = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out().map_err(StorageError::into_io)
    }
}

impl StateWriter for FsWriter {
    fn finish(mut self: Box<Self>) -> Result<FinishedFile, StorageError> {
        self.write_out()?;
        let finished = FinishedFile { length: self.length, digest: self.digest.finish() };
        match self.disk.persist(self.temporary, &self.target)? {
            Persisted::Renamed => Ok(finished),
            Persisted::Exists => Err(StorageError::AlreadyExists { path: shown(&self.target) }),
        }
    }
}
