//! One subtask's files.

use std::fs::File;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_types::{AttemptId, CheckpointId, DigestBuilder, Subtask};

use super::committable::{Check, Committable};
use super::disk::Disk;
use super::names::{self, OutputName};
use crate::{ConnectError, FileOperation, SealedOutput, SinkContext, TwoPhaseSink};

/// Writes the lines of one subtask of a [`FileSink`](crate::FileSink).
#[derive(Debug)]
pub struct FileSinkWriter {
    disk: Arc<Disk>,
    subtask: Subtask,
    attempt: AttemptId,
    buffer: Vec<u8>,
    buffer_size: usize,
    part: Option<Part>,
    // How many files were begun.
    parts: u64,
    // A part may lack bytes, or have half a line, so that it must never be prepared.
    failed: bool,
}

/// The file in progress. What is in the buffer belongs to it.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
    digest: DigestBuilder,
    length: u64,
}

impl FileSinkWriter {
    pub(super) fn new(disk: Arc<Disk>, context: &SinkContext, buffer_size: usize) -> Self {
        Self {
            disk,
            subtask: context.subtask,
            attempt: context.attempt,
            buffer: Vec::new(),
            buffer_size,
            part: None,
            parts: 0,
            failed: false,
        }
    }

    /// Writes a line; the line break is added, and should not be in it.
    pub fn write_line(&mut self, line: &str) -> Result<(), ConnectError> {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        if self.buffer.len() >= self.buffer_size { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), ConnectError> {
        if self.failed {
            let error = io::Error::other("an earlier write failed");
            return Err(ConnectError::io(FileOperation::Write, self.disk.directory(), error));
        }
        let part = match &mut self.part {
            Some(part) => part,
            None => self.part.insert(Part::create(&self.disk, {
                let name = names::in_progress(self.subtask, self.attempt, self.parts);
                self.parts += 1;
                self.disk.locate(&name)
            })?),
        };
        let written = part.append(&self.disk, &self.buffer);
        self.failed = written.is_err();
        self.buffer.clear();
        written
    }
}

impl Part {
    fn create(disk: &Disk, path: PathBuf) -> Result<Self, ConnectError> {
        let file = disk.create_file(&path)?;
        Ok(Self { path, file, digest: DigestBuilder::new(), length: 0 })
    }

    fn append(&mut self, disk: &Disk, bytes: &[u8]) -> Result<(), ConnectError> {
        disk.write(&self.file, &self.path, bytes)?;
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    // The pending name is durable, with its content, when this returns.
    fn into_pending(self, disk: &Disk, name: OutputName) -> Result<Committable, ConnectError> {
        disk.sync_file(&self.file, &self.path)?;
        let pending = disk.locate(&name.pending());
        disk.rename(&self.path, &pending)
            .map_err(|error| ConnectError::io(FileOperation::Rename, pending, error))?;
        disk.sync_directory()?;
        Ok(Committable { name, length: self.length, digest: self.digest.finish() })
    }
}

impl TwoPhaseSink for FileSinkWriter {
    type Record = String;

    fn write(&mut self, record: String) -> Result<(), ConnectError> {
        self.write_line(&record)
    }

    fn seal(&mut self, checkpoint: CheckpointId) -> Result<SealedOutput, ConnectError> {
        if !self.buffer.is_empty() || self.failed {
            self.write_out()?;
        }
        let Some(part) = self.part.take() else { return Ok(SealedOutput::nothing()) };
        let name = OutputName { subtask: self.subtask.index(), checkpoint, attempt: self.attempt };
        let disk = Arc::clone(&self.disk);
        Ok(SealedOutput::new(move || Ok(vec![part.into_pending(&disk, name)?.encode()])))
    }

    fn commit(&mut self, committables: &[Vec<u8>]) -> Result<(), ConnectError> {
        if committables.is_empty() {
            return Ok(());
        }
        for bytes in committables {
            Committable::decode(bytes)?.commit(&self.disk, Check::Length)?;
        }
        // Also when all were committed before: perhaps by one who was stopped just here.
        self.disk.sync_directory()
    }
}

impl Drop for FileSinkWriter {
    fn drop(&mut self) {
        // A courtesy to whoever looks into the directory: recovery would remove it as well.
        if let Some(part) = mem::take(&mut self.part) {
            let _ = self.disk.remove(&part.path);
        }
    }
}
