//! The files of a checkpoint, put where a database is to be opened: linked, or copied by several
//! threads and compared with their digests on the way.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tidegate_state::{RestoredFile, RestoredKeyedState, StateError};
use tidegate_store::StorageError;
use tidegate_types::{CheckpointId, DigestBuilder, FileHandle};

use crate::error::{RocksDbStateError, local};
use crate::known::Known;
use crate::manifest::{Content, Manifest};
use crate::place::Place;

/// How much is copied at a time, in bytes.
const PIECE: usize = 1 << 20;

pub(crate) fn fetch(
    place: &Place,
    known: &Known,
    state: &RestoredKeyedState,
    manifest: &Manifest,
    directory: &Path,
) -> Result<(), StateError> {
    let queue = Mutex::new(manifest.files.iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<(), StateError> {
        while let Some((name, content)) = next() {
            let path = directory.join(&**name);
            match content {
                Content::Inline(bytes) => fs::write(&path, bytes)
                    .map_err(local("write", &path))
                    .map_err(|error| place.failed(error))?,
                Content::Shared(index) => {
                    let index = *index as usize;
                    let handle = &state.handle.shared[index].file;
                    let file = File { place, checkpoint: manifest.checkpoint, name, handle };
                    file.put(&state.shared[index], &path)?;
                    let trusted = known.trust(&path, handle.digest);
                    trusted.map_err(|error| place.failed(error))?;
                }
            }
        }
        Ok(())
    };
    let threads = place.tuning.config.transfer_threads.get().min(manifest.files.len());
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = others.into_iter().map(|other| other.join().expect("it does not panic"));
        others.fold(own, Result::and)
    })
}

/// A file that a checkpoint needs.
struct File<'a> {
    place: &'a Place,
    checkpoint: CheckpointId,
    name: &'a str,
    handle: &'a FileHandle,
}

impl File<'_> {
    fn put(&self, found: &RestoredFile, path: &Path) -> Result<(), StateError> {
        let Some(source) = found.storage.local_path(&found.path) else {
            return self.copy(found, path);
        };
        match fs::metadata(&source) {
            Ok(metadata) if metadata.len() != self.handle.length => {
                return Err(self.damaged(found.path.as_str()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let path = found.path.as_str().into();
                return Err(self.missing(StorageError::Missing { path }));
            }
            Err(error) => return Err(self.place.failed(local("look at", &source)(error))),
        }
        match fs::hard_link(&source, path) {
            Ok(()) => Ok(()),
            // On another device, or in a file system without links.
            Err(_) => self.copy(found, path),
        }
    }

    fn copy(&self, found: &RestoredFile, path: &Path) -> Result<(), StateError> {
        let missing = |error| match error {
            error @ StorageError::Missing { .. } => self.missing(error),
            error => error.into(),
        };
        let reader = found.storage.open(&found.path).map_err(missing)?;
        if reader.length() != self.handle.length {
            return Err(self.damaged(found.path.as_str()));
        }
        let failed = |error| self.place.failed(local("write", path)(error));
        let mut file = fs::File::create(path).map_err(failed)?;
        let mut buffer = vec![0; PIECE];
        let (mut digest, mut offset) = (DigestBuilder::new(), 0);
        while offset < self.handle.length {
            let left = usize::try_from(self.handle.length - offset).unwrap_or(PIECE).min(PIECE);
            reader.read_at(offset, &mut buffer[..left])?;
            digest.update(&buffer[..left]);
            file.write_all(&buffer[..left]).map_err(failed)?;
            offset += left as u64;
        }
        if digest.finish() != self.handle.digest {
            return Err(self.damaged(found.path.as_str()));
        }
        Ok(())
    }

    fn missing(&self, source: StorageError) -> StateError {
        let (checkpoint, name) = (self.checkpoint, self.name.into());
        self.place.failed(RocksDbStateError::MissingFile { checkpoint, name, source })
    }

    fn damaged(&self, path: &str) -> StateError {
        self.place.failed(RocksDbStateError::DamagedFile {
            checkpoint: self.checkpoint,
            name: self.name.into(),
            path: path.into(),
            length: self.handle.length,
        })
    }
}
