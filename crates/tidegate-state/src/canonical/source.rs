//! Restored state before it is read: bytes in memory, or an open file.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_store::{StateReader, StorageError};

/// A piece of restored state. Cheap to clone; a file is read in ranges, as far as it is needed.
#[derive(Clone)]
pub struct StateSource(Place);

#[derive(Clone)]
enum Place {
    Bytes(Arc<[u8]>),
    // A reader is for one thread at a time, and a snapshot job may hold the source too.
    File { reader: Arc<Mutex<Box<dyn StateReader>>>, length: u64 },
}

impl StateSource {
    /// An open file.
    #[must_use]
    pub fn from_reader(reader: Box<dyn StateReader>) -> Self {
        let length = reader.length();
        Self(Place::File { reader: Arc::new(Mutex::new(reader)), length })
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match &self.0 {
            Place::Bytes(bytes) => bytes.len() as u64,
            Place::File { length, .. } => *length,
        }
    }

    /// All of it, for what is known to be small.
    ///
    /// # Errors
    ///
    /// [`StorageError::TooLong`], before anything is allocated, above `limit` bytes.
    pub fn read_all(&self, limit: u64) -> Result<Arc<[u8]>, StorageError> {
        match &self.0 {
            Place::Bytes(bytes) if bytes.len() as u64 > limit => Err(StorageError::TooLong {
                path: "state in the metadata".into(),
                length: bytes.len() as u64,
                limit,
            }),
            Place::Bytes(bytes) => Ok(Arc::clone(bytes)),
            Place::File { reader, .. } => Ok(lock(reader).read_all(limit)?.into()),
        }
    }

    /// The bytes of a range; `buffer` is where they go if they are not in memory already.
    ///
    /// # Errors
    ///
    /// [`StorageError::OutOfBounds`], before anything is allocated, when there are fewer.
    ///
    /// # Panics
    ///
    /// Never: what lies in memory has offsets that fit there.
    pub fn read<'a>(
        &'a self,
        offset: u64,
        length: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], StorageError> {
        let all = self.length();
        let end = offset.checked_add(length as u64).filter(|end| *end <= all);
        let Some(end) = end else {
            let (path, wanted) = ("keyed state".into(), length as u64);
            return Err(StorageError::OutOfBounds { path, offset, wanted, length: all });
        };
        match &self.0 {
            Place::Bytes(bytes) => {
                // Within the bytes in memory: neither is cut off.
                let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(&bytes[at(offset)..at(end)])
            }
            Place::File { reader, .. } => {
                buffer.clear();
                buffer.resize(length, 0);
                lock(reader).read_at(offset, buffer)?;
                Ok(buffer)
            }
        }
    }
}

// A reader has no state that a panic could leave half changed.
fn lock(reader: &Mutex<Box<dyn StateReader>>) -> std::sync::MutexGuard<'_, Box<dyn StateReader>> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Arc<[u8]>> for StateSource {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Place::Bytes(bytes))
    }
}

impl fmt::Debug for StateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.0 {
            Place::Bytes(_) => "memory",
            Place::File { .. } => "file",
        };
        f.debug_struct("StateSource")
            .field("place", &place)
            .field("length", &self.length())
            .finish()
    }
}
