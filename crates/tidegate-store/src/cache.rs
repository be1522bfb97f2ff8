//! Copies of files of remote stores in the local file system, so that they can be mapped.
//!
//! ```text
//! files/{digest}-{length}    a copy: content and name say the same, whoever put it there
//! work/{process}-{random}/   files of a living process, which holds the directory's lock
//! ```
//!
//! What stays true:
//! - a copy appears whole, by a rename, and only after its digest was found right;
//! - a name means one content, so that processes share a cache without knowing of each other;
//! - everything may be deleted at any time: who has a file mapped or linked keeps it, and who looks
//!   for one that is gone downloads it again;
//! - all copies together have at most so many bytes, but for those that this process has fetched
//!   and not used yet; those used least recently go first.

mod download;
mod room;
#[cfg(test)]
mod tests;
mod working;

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tidegate_types::DigestBuilder;

use self::download::Readers;
pub use self::working::WorkingDirectory;
use crate::fs::FsReader;
use crate::{
    CheckpointStorage, Determinacy, FinishedFile, Operation, StateReader, StorageError, StoragePath,
};

/// How much of a copy is read at a time to check it, in bytes.
const PIECE: usize = 1 << 20;

/// A directory of verified copies.
pub struct FileCache {
    directory: PathBuf,
    max_bytes: u64,
    readers: Readers,
    state: Mutex<State>,
    /// A file that another thread was fetching is there, or is not.
    fetched: Condvar,
    working: Mutex<Option<Arc<WorkingDirectory>>>,
}

#[derive(Default)]
struct State {
    /// What threads are fetching at the moment.
    under_way: HashSet<String>,
    /// What was fetched and not used yet.
    kept: HashSet<String>,
}

impl FileCache {
    /// The cache in this directory, which is made with the first copy, for this user alone. At most
    /// `max_bytes` are kept there, however large what is in use at the moment is.
    #[must_use]
    pub fn new(directory: PathBuf, max_bytes: u64) -> Self {
        Self {
            directory,
            max_bytes,
            readers: Readers::default(),
            state: Mutex::default(),
            fetched: Condvar::new(),
            working: Mutex::default(),
        }
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes sure that there is a copy of a file of a store; downloads it if there is none. It is kept
    /// until it is [opened](Self::open_file) or [linked](Self::link).
    ///
    /// Fails with [`StorageError::OtherLength`] or [`StorageError::OtherContent`] when what the
    /// store has is not the file that is wanted.
    pub fn fetch(
        &self,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
        wanted: FinishedFile,
    ) -> Result<(), StorageError> {
        let name = name_of(wanted);
        let mut state = self.state();
        while state.under_way.contains(&name) {
            state = self.fetched.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Kept before it is looked for, so that no other thread of ours removes it in between.
        state.kept.insert(name.clone());
        if self.is_there(&name, wanted.length) {
            return Ok(());
        }
        state.under_way.insert(name.clone());
        drop(state);
        let turn = Turn { cache: self, name };
        let downloaded = self.download(storage, path, wanted, &turn.name);
        if downloaded.is_err() {
            self.state().kept.remove(&turn.name);
        }
        drop(turn);
        downloaded?;
        self.make_room();
        Ok(())
    }

    /// Like [`fetch`](Self::fetch), and reads a copy that was there before: it may have been damaged
    /// since, and is then downloaded again.
    pub fn check(
        &self,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
        wanted: FinishedFile,
    ) -> Result<(), StorageError> {
        let copy = self.copy(&name_of(wanted));
        if copy.exists() && content_of(&copy).ok() != Some(wanted) {
            remove(&copy)?;
        }
        self.fetch(storage, path, wanted)
    }

    /// Opens the copy of a file of a store, made if there is none.
    pub fn open_file(
        &self,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
        wanted: FinishedFile,
    ) -> Result<Box<dyn StateReader>, StorageError> {
        self.with_copy(storage, path, wanted, |copy| match FsReader::open(copy) {
            Ok(reader) => Ok(Some(Box::new(reader) as Box<dyn StateReader>)),
            Err(StorageError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// Gives the copy of a file of a store, made if there is none, a name in another directory of the
    /// local file system: for whoever wants to map it.
    pub fn link(
        &self,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
        wanted: FinishedFile,
        target: &Path,
    ) -> Result<(), StorageError> {
        self.with_copy(storage, path, wanted, |copy| match link_or_copy(copy, target) {
            Ok(()) => Ok(Some(())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Of the two, the directory of the target can be made.
                let directory = target.parent().unwrap_or(target);
                fs::create_dir_all(directory)
                    .map_err(|error| cannot(Operation::Create, directory, error))?;
                Ok(None)
            }
            Err(error) => Err(cannot(Operation::Create, target, error)),
        })
    }

    /// Takes in a local file that was just uploaded, so that it need not be downloaded later. Its
    /// content must be what `file` says. That it is not taken in is no failure of anything else.
    pub fn adopt(&self, local: &Path, file: FinishedFile) {
        if file.length > self.max_bytes {
            return;
        }
        let copy = self.copy(&name_of(file));
        if self.make_directory().is_err() {
            return;
        }
        // Only a second name, not a second file: a working file goes when its task no longer needs it.
        if fs::hard_link(local, &copy).is_ok() {
            self.make_room();
        }
    }

    /// The directory for working files of this process, in the file system of the copies. What
    /// killed processes have left in theirs is removed first.
    pub fn working_directory(&self) -> Result<Arc<WorkingDirectory>, StorageError> {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*working {
            return Ok(Arc::clone(directory));
        }
        self.make_directory()?;
        working::remove_abandoned(&self.directory)?;
        let made = Arc::new(WorkingDirectory::make(&self.directory)?);
        *working = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Uses a copy; again if it was removed between the look and the use.
    fn with_copy<T>(
        &self,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
        wanted: FinishedFile,
        r#use: impl Fn(&Path) -> Result<Option<T>, StorageError>,
    ) -> Result<T, StorageError> {
        let name = name_of(wanted);
        let copy = self.copy(&name);
        for _ in 0..USES {
            self.fetch(storage, path, wanted)?;
            let used = r#use(&copy);
            self.state().kept.remove(&name);
            if let Some(used) = used? {
                self.make_room();
                return Ok(used);
            }
        }
        let vanished = io::Error::other("it vanishes as soon as it is there");
        Err(cannot(Operation::Read, &copy, vanished))
    }

    fn download(
        &self,
        storage: &dyn CheckpointStorage,
        path: &StoragePath,
        wanted: FinishedFile,
        name: &str,
    ) -> Result<(), StorageError> {
        self.make_directory()?;
        let copy = self.copy(name);
        let failed = |error| cannot(Operation::Write, &copy, error);
        let mut temporary = tempfile::Builder::new()
            .prefix(room::TEMPORARY)
            .tempfile_in(self.files())
            .map_err(failed)?;
        self.readers.download(storage, path, wanted, temporary.as_file_mut(), &copy)?;
        // Not synced: what a loss of power makes of it shows when it is checked at the next start.
        temporary.persist(&copy).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn make_directory(&self) -> Result<(), StorageError> {
        let files = self.files();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&files);
        made.map_err(|error| cannot(Operation::Create, &files, error))
    }

    /// Whether there is a copy of the right length, which then counts as used now.
    fn is_there(&self, name: &str, length: u64) -> bool {
        let Ok(file) = File::open(self.copy(name)) else { return false };
        // A copy that cannot be marked as used goes earlier than it should, which is no failure.
        let _ = file.set_modified(SystemTime::now());
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == length)
    }

    fn make_room(&self) {
        room::make(&self.files(), self.max_bytes, |name| self.state().kept.contains(name));
    }

    fn files(&self) -> PathBuf {
        self.directory.join("files")
    }

    fn copy(&self, name: &str) -> PathBuf {
        self.files().join(name)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a copy is fetched that vanishes before it can be used.
const USES: u32 = 8;

impl fmt::Debug for FileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCache")
            .field("directory", &self.directory)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// The right to fetch a file, which only one thread has.
struct Turn<'a> {
    cache: &'a FileCache,
    name: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.cache.state().under_way.remove(&self.name);
        self.cache.fetched.notify_all();
    }
}

fn name_of(file: FinishedFile) -> String {
    format!("{}-{:x}", file.digest, file.length)
}

fn content_of(path: &Path) -> Result<FinishedFile, StorageError> {
    let reader = FsReader::open(path)?;
    let mut digest = DigestBuilder::new();
    let mut buffer = vec![0; PIECE];
    let mut offset = 0;
    while offset < reader.length() {
        let left = usize::try_from(reader.length() - offset).unwrap_or(PIECE);
        let piece = &mut buffer[..left.min(PIECE)];
        reader.read_at(offset, piece)?;
        digest.update(piece);
        offset += piece.len() as u64;
    }
    Ok(FinishedFile { length: reader.length(), digest: digest.finish() })
}

fn link_or_copy(copy: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(copy, target) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => fs::copy(copy, target).map(drop),
        linked => linked,
    }
}

fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(cannot(Operation::Delete, path, error))
        }
        _ => Ok(()),
    }
}

fn cannot(operation: Operation, path: &Path, error: io::Error) -> StorageError {
    StorageError::from_io(operation, path.to_string_lossy(), Determinacy::Determinate, error)
}
