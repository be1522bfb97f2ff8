//! Writes one file as a stream.
//!
//! Invariant: once a write has failed the file is never finished, since bytes may be missing in it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::behind::{self, WriteBehind};
use super::disk::{Disk, Persisted, determinate, shown};
use super::sink::Sink;
use crate::{Determinacy, FinishedFile, Operation, StateWriter, StorageError};

// Large enough that the cost of a system call vanishes beside that of the bytes.
const BUFFER: usize = 256 * 1024;

// From so many bytes on a thread is worth its start.
const LARGE: usize = 4 << 20;

pub(super) struct FsWriter {
    disk: Arc<Disk>,
    target: PathBuf,
    temporary: NamedTempFile,
    buffer: Vec<u8>,
    /// Handed to whoever writes, so far.
    handed: usize,
    out: Out,
}

enum Out {
    Here(Sink),
    Behind(WriteBehind),
    Failed,
}

impl FsWriter {
    pub(super) fn new(disk: Arc<Disk>, target: PathBuf) -> Result<Self, StorageError> {
        let temporary = disk.create_temporary(&target)?;
        let file = temporary.as_file().try_clone();
        let file = file.map_err(|error| determinate(Operation::Create, &target, error))?;
        let out = Out::Here(Sink::new(Arc::clone(&disk), target.clone(), file));
        Ok(Self { disk, target, temporary, buffer: Vec::with_capacity(BUFFER), handed: 0, out })
    }

    fn capacity(&self) -> usize {
        if matches!(self.out, Out::Behind(_)) { behind::BUFFER } else { BUFFER }
    }

    fn write_out(&mut self) -> Result<(), StorageError> {
        if self.buffer.is_empty() && !matches!(self.out, Out::Failed) {
            return Ok(());
        }
        self.handed = self.handed.saturating_add(self.buffer.len());
        if self.handed >= LARGE && matches!(self.out, Out::Here(_)) {
            let Out::Here(sink) = std::mem::replace(&mut self.out, Out::Failed) else {
                return Ok(());
            };
            self.out = WriteBehind::start(sink).map_or_else(Out::Here, Out::Behind);
        }
        match std::mem::replace(&mut self.out, Out::Failed) {
            Out::Here(mut sink) => {
                sink.put(&self.buffer)?;
                self.buffer.clear();
                self.out = Out::Here(sink);
            }
            Out::Behind(mut behind) => match behind.put(std::mem::take(&mut self.buffer)) {
                Ok(empty) => {
                    self.buffer = empty;
                    self.out = Out::Behind(behind);
                }
                Err(behind::Ended) => {
                    behind.finish()?;
                    return Err(self.failed_before());
                }
            },
            Out::Failed => return Err(self.failed_before()),
        }
        Ok(())
    }

    fn failed_before(&self) -> StorageError {
        let earlier = io::Error::other("an earlier write failed");
        StorageError::from_io(
            Operation::Write,
            shown(&self.target),
            Determinacy::Determinate,
            earlier,
        )
    }
}

impl Write for FsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= self.capacity() {
            self.write_out().map_err(StorageError::into_io)?;
        }
        let taken = bytes.len().min(self.capacity() - self.buffer.len());
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
        let finished = match std::mem::replace(&mut self.out, Out::Failed) {
            Out::Here(sink) => sink.finish()?,
            Out::Behind(behind) => behind.finish()?.finish()?,
            Out::Failed => return Err(self.failed_before()),
        };
        match self.disk.persist(self.temporary, &self.target)? {
            Persisted::Renamed => Ok(finished),
            Persisted::Exists => Err(StorageError::AlreadyExists { path: shown(&self.target) }),
        }
    }
}
