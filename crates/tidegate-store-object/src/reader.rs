//! Reads one file at any offset.

use std::sync::Arc;

use object_store::path::Path;
use tidegate_store::{Operation, StateReader, StorageError};
use tidegate_store_remote::fill;

use crate::bucket::{Bucket, is_denial};

pub(crate) struct ObjectReader {
    bucket: Arc<Bucket>,
    path: Path,
    shown: Box<str>,
    length: u64,
}

impl ObjectReader {
    pub(crate) fn open(
        bucket: &Arc<Bucket>,
        path: Path,
        shown: Box<str>,
    ) -> Result<Self, StorageError> {
        let found = bucket.wait(Operation::Read, shown.clone(), bucket.head(&path))?;
        match found {
            Some(found) if !is_denial(&path, found.length) => {
                Ok(Self { bucket: Arc::clone(bucket), path, shown, length: found.length })
            }
            _ => Err(StorageError::Missing { path: shown }),
        }
    }
}

impl StateReader for ObjectReader {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let wanted = buffer.len() as u64;
        if offset.checked_add(wanted).is_none_or(|end| end > self.length) {
            let (path, length) = (self.shown.clone(), self.length);
            return Err(StorageError::OutOfBounds { path, offset, wanted, length });
        }
        let Self { bucket, path, shown, .. } = self;
        let read = fill(buffer, offset, bucket.options.reads, |offset, piece| {
            bucket.get_range(path, offset, piece)
        });
        bucket.wait(Operation::Read, shown.clone(), read)
    }

    fn read_all(&self, limit: u64) -> Result<Vec<u8>, StorageError> {
        let (path, length) = (self.shown.clone(), self.length);
        let too_long = || StorageError::TooLong { path, length, limit };
        if self.length > limit {
            return Err(too_long());
        }
        let length = usize::try_from(self.length).map_err(|_| too_long())?;
        let mut bytes = vec![0; length];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}
