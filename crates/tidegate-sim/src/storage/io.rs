//! Reading and writing one file: each step is an operation.

use std::io::{self, Write};

use tidegate_store::{
    FinishedFile, Operation, StateReader, StateWriter, StorageError, StoragePath,
};

use super::SimStorage;

pub(super) struct SimWriter {
    storage: SimStorage,
    path: StoragePath,
    writer: Box<dyn StateWriter>,
}

impl SimWriter {
    pub(super) fn new(
        storage: SimStorage,
        path: StoragePath,
        writer: Box<dyn StateWriter>,
    ) -> Self {
        Self { storage, path, writer }
    }
}

impl Write for SimWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { storage, path, writer } = self;
        let write = || writer.write(bytes).map_err(|e| StorageError::from_write(path.as_str(), e));
        storage.atomic(Operation::Write, path, write).map_err(StorageError::into_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl StateWriter for SimWriter {
    fn finish(self: Box<Self>) -> Result<FinishedFile, StorageError> {
        let Self { storage, path, writer } = *self;
        storage.atomic(Operation::Sync, &path, || writer.finish())
    }
}

pub(super) struct SimReader {
    storage: SimStorage,
    path: StoragePath,
    reader: Box<dyn StateReader>,
}

impl SimReader {
    pub(super) fn new(
        storage: SimStorage,
        path: StoragePath,
        reader: Box<dyn StateReader>,
    ) -> Self {
        Self { storage, path, reader }
    }
}

impl StateReader for SimReader {
    fn length(&self) -> u64 {
        self.reader.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let read = || self.reader.read_at(offset, buffer);
        self.storage.atomic(Operation::Read, &self.path, read)
    }

    fn read_all(&self, limit: u64) -> Result<Vec<u8>, StorageError> {
        self.storage.atomic(Operation::Read, &self.path, || self.reader.read_all(limit))
    }
}
