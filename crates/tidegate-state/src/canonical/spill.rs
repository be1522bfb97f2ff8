//! Where a savepoint's keyed state goes: into the metadata while it is tiny, else into a file.

use std::io;

use tidegate_store::{CheckpointStorage, StateWriter, StorageError, StoragePath};
use tidegate_types::{FileHandle, FileReference, StateHandle};

use crate::StateError;

/// State up to this length needs no file of its own, in bytes.
const INLINE_LENGTH_MAX: usize = 4 << 10;

/// Takes a stream and keeps it in memory until it is too long for that.
pub(super) struct Spill<'a> {
    storage: &'a dyn CheckpointStorage,
    directory: &'a StoragePath,
    name: String,
    buffer: Vec<u8>,
    file: Option<Box<dyn StateWriter>>,
}

impl<'a> Spill<'a> {
    /// The file, if it comes to one, has this name in the directory of the metadata.
    pub(super) fn new(
        storage: &'a dyn CheckpointStorage,
        directory: &'a StoragePath,
        name: String,
    ) -> Self {
        Self { storage, directory, name, buffer: Vec::new(), file: None }
    }

    /// Makes it durable.
    pub(super) fn finish(self) -> Result<StateHandle, StateError> {
        let Some(file) = self.file else { return Ok(StateHandle::Inline(self.buffer.into())) };
        let finished = file.finish()?;
        let reference = FileReference::in_checkpoint(&self.name).expect("a plain name");
        let (length, digest) = (finished.length, finished.digest);
        Ok(StateHandle::File(FileHandle { reference, length, digest }))
    }
}

impl io::Write for Spill<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            return file.write(bytes);
        }
        if self.buffer.len() + bytes.len() <= INLINE_LENGTH_MAX {
            self.buffer.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let create = || -> Result<_, StorageError> {
            self.storage.create(&self.directory.join(&self.name)?)
        };
        let file = self.file.insert(create().map_err(io::Error::other)?);
        file.write_all(&std::mem::take(&mut self.buffer))?;
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
