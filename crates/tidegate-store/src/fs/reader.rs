//! Reads one file at any offset.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::disk::{determinate, shown};
use crate::{Operation, StateReader, StorageError};

pub(crate) struct FsReader {
    path: PathBuf,
    file: File,
    length: u64,
}

impl FsReader {
    pub(crate) fn open(path: &Path) -> Result<Self, StorageError> {
        let failed = |error| determinate(Operation::Read, path, error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("it is not a file")));
        }
        Ok(Self { path: path.to_owned(), file, length: metadata.len() })
    }

    fn out_of_bounds(&self, offset: u64, wanted: u64) -> StorageError {
        StorageError::OutOfBounds { path: shown(&self.path), offset, wanted, length: self.length }
    }
}

impl StateReader for FsReader {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let wanted = buffer.len() as u64;
        if offset.checked_add(wanted).is_none_or(|end| end > self.length) {
            return Err(self.out_of_bounds(offset, wanted));
        }
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            // Somebody truncated the file after it was opened.
            ErrorKind::UnexpectedEof => self.out_of_bounds(offset, wanted),
            _ => determinate(Operation::Read, &self.path, error),
        })
    }

    fn read_all(&self, limit: u64) -> Result<Vec<u8>, StorageError> {
        let too_long =
            || StorageError::TooLong { path: shown(&self.path), length: self.length, limit };
        if self.length > limit {
            return Err(too_long());
        }
        let mut bytes = vec![0; usize::try_from(self.length).map_err(|_| too_long())?];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}
