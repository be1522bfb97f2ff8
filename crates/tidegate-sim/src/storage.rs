//! A storage in memory whose every operation can fail or crash, in one thread.
//!
//! The fault model, operation by operation; what is not said here is as the contract has it:
//! - `create`, `write`, `open`, reads and `list` change nothing that lasts;
//! - `finish` and `publish` are atomic, and durable when they have returned;
//! - `delete` of a `_metadata` is durable when it has returned; of any other file the deletion may be
//!   undone by a crash at any later time;
//! - `delete_directory` deletes the `_metadata` files first, each durably, then the rest one by one
//!   in an order that the seed chooses; those deletions may be undone by a crash too;
//! - `own` and `take_over` do not outlive a crash.
//!
//! After a crash every operation fails until [`SimStorage::restart`] gives the storage as the next
//! process finds it.

mod hold;
mod io;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_store::{
    CheckpointStorage, DeleteOutcome, Determinacy, Entry, EntryKind, MemoryStorage, Operation,
    OwnerInfo, Ownership, PublishOutcome, StateReader, StateWriter, StorageError, StoragePath,
};

use crate::{Fault, Random};
use hold::SimHold;
use io::{SimReader, SimWriter};

/// The storage. Clones are the same storage.
#[derive(Clone)]
pub struct SimStorage {
    files: MemoryStorage,
    world: Arc<Mutex<World>>,
}

struct World {
    random: Random,
    operations: u64,
    planned: Option<(u64, Fault)>,
    has_crashed: bool,
    trace: Vec<String>,
    // Deleted files that a crash may bring back.
    undurable: Vec<(StoragePath, Vec<u8>)>,
}

/// What an operation is to do.
enum Course {
    Normal,
    /// Fail without an effect.
    Fail(StorageError),
    /// Have the effect and fail.
    HappenAndFail(StorageError),
    /// Have a part of the effect and fail.
    Partly(StorageError),
}

impl SimStorage {
    /// An empty one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = World {
            random: Random::new(seed),
            operations: 0,
            planned: None,
            has_crashed: false,
            trace: Vec::new(),
            undurable: Vec::new(),
        };
        Self { files: MemoryStorage::new(), world: Arc::new(Mutex::new(world)) }
    }

    /// Plans a fault for the operation with this number, counted from zero at the start.
    pub fn plan(&self, operation: u64, fault: Fault) {
        self.world.lock().planned = Some((operation, fault));
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.world.lock().operations
    }

    /// Whether the power has failed.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.world.lock().has_crashed
    }

    /// What was done, a line for each operation.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.world.lock().trace.clone()
    }

    /// The storage as it is found when the power is back; it goes on counting.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut old = self.world.lock();
        let files = self.copy();
        for (path, bytes) in std::mem::take(&mut old.undurable) {
            if old.random.coin() {
                old.trace.push(format!("{path} comes back"));
                // One that was made anew is the one that counts.
                let _ = files.publish(&path, &bytes);
            }
        }
        let seed = old.random.bits();
        old.trace.push("restart".to_owned());
        let world = World {
            random: Random::new(seed),
            operations: old.operations,
            planned: None,
            has_crashed: false,
            trace: std::mem::take(&mut old.trace),
            undurable: Vec::new(),
        };
        Self { files, world: Arc::new(Mutex::new(world)) }
    }

    /// The files as they are now, to be looked at without counting operations.
    #[must_use]
    pub fn copy(&self) -> MemoryStorage {
        let files = MemoryStorage::new();
        all_files(&self.files).iter().for_each(|path| copy(&self.files, &files, path));
        files
    }

    /// The paths of all files, in their order. No operation: nobody notices, and nothing fails.
    #[must_use]
    pub fn files(&self) -> Vec<StoragePath> {
        all_files(&self.files)
    }

    /// Counts an operation and says how it is to go.
    fn course(&self, operation: Operation, path: &StoragePath) -> Course {
        let mut world = self.world.lock();
        let error = |determinacy, text: &'static str| {
            let source = std::io::Error::other(text);
            StorageError::from_io(operation, format!("sim:{path}"), determinacy, source)
        };
        let (sure, in_doubt) = (Determinacy::Determinate, Determinacy::Indeterminate);
        if world.has_crashed {
            return Course::Fail(error(in_doubt, "the process is dead"));
        }
        let number = world.operations;
        world.operations += 1;
        let fault = world.planned.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        world.trace.push(match fault {
            Some(fault) => format!("{number} {operation} {path}: {fault:?}"),
            None => format!("{number} {operation} {path}"),
        });
        let Some(fault) = fault else { return Course::Normal };
        world.has_crashed = fault.is_crash();
        match fault {
            Fault::CrashBefore => Course::Fail(error(in_doubt, "crash before")),
            Fault::CrashAfter => Course::HappenAndFail(error(in_doubt, "crash after")),
            Fault::CrashWithin => Course::Partly(error(in_doubt, "crash within")),
            Fault::Fail => Course::Fail(error(sure, "failed")),
            Fault::FailInDoubt => Course::Fail(error(in_doubt, "failed in doubt")),
            Fault::HappenAndFail => Course::HappenAndFail(error(in_doubt, "happened and failed")),
        }
    }

    /// An operation whose effect is atomic.
    fn atomic<T>(
        &self,
        operation: Operation,
        path: &StoragePath,
        effect: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match self.course(operation, path) {
            Course::Normal => effect(),
            Course::Fail(error) => Err(error),
            Course::HappenAndFail(error) => effect().and(Err(error)),
            Course::Partly(error) => {
                let happens = self.world.lock().random.coin();
                if happens { effect().and(Err(error)) } else { Err(error) }
            }
        }
    }

    /// Deletes a file; unless its deletion is durable, a crash may undo it.
    fn forget(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        let is_durable = path.file_name() == Some("_metadata");
        if let Ok(reader) = self.files.open(path).and_then(|reader| reader.read_all(u64::MAX))
            && !is_durable
        {
            self.world.lock().undurable.push((path.clone(), reader));
        }
        self.files.delete(path)
    }

    fn forget_directory(
        &self,
        directory: &StoragePath,
        is_interrupted: bool,
    ) -> Result<DeleteOutcome, StorageError> {
        // Of a file, it is an error, and of nothing, nothing.
        if self.files.list(directory)?.is_empty() {
            return Ok(DeleteOutcome::Absent);
        }
        let mut files = all_files(&self.files);
        files.retain(|file| file.is_within(directory));
        let mut world = self.world.lock();
        for unsorted in (1..files.len()).rev() {
            let other = usize::try_from(world.random.below(unsorted as u64 + 1)).unwrap_or(0);
            files.swap(unsorted, other);
        }
        let left = if is_interrupted { world.random.below(files.len() as u64 + 1) } else { 0 };
        drop(world);
        files.sort_by_key(|file| file.file_name() != Some("_metadata"));
        let gone = files.len() - usize::try_from(left).unwrap_or(0);
        for file in &files[..gone] {
            self.forget(file)?;
        }
        if !is_interrupted {
            // Nothing is left but whoever owned it, and does no longer.
            self.files.delete_directory(directory)?;
        }
        Ok(DeleteOutcome::Deleted)
    }
}

impl fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStorage").field("operations", &self.operations()).finish()
    }
}

impl CheckpointStorage for SimStorage {
    fn uri(&self) -> &'static str {
        "sim:"
    }

    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError> {
        let writer = self.atomic(Operation::Create, path, || self.files.create(path))?;
        Ok(Box::new(SimWriter::new(self.clone(), path.clone(), writer)))
    }

    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError> {
        let reader = self.atomic(Operation::Read, path, || self.files.open(path))?;
        Ok(Box::new(SimReader::new(self.clone(), path.clone(), reader)))
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.atomic(Operation::Publish, path, || self.files.publish(path, bytes))
    }

    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        self.atomic(Operation::List, directory, || self.files.list(directory))
    }

    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        self.atomic(Operation::Delete, path, || self.forget(path))
    }

    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        match self.course(Operation::Delete, directory) {
            Course::Normal => self.forget_directory(directory, false),
            Course::Fail(error) => Err(error),
            Course::HappenAndFail(error) => self.forget_directory(directory, false).and(Err(error)),
            Course::Partly(error) => self.forget_directory(directory, true).and(Err(error)),
        }
    }

    fn local_path(&self, _path: &StoragePath) -> Option<PathBuf> {
        None
    }

    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let own = || self.files.own(directory, owner);
        let hold = self.atomic(Operation::Own, directory, own)?;
        Ok(Box::new(SimHold::new(self.clone(), directory.clone(), hold)))
    }

    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let take_over = || self.files.take_over(directory, owner);
        let hold = self.atomic(Operation::Own, directory, take_over)?;
        Ok(Box::new(SimHold::new(self.clone(), directory.clone(), hold)))
    }
}

fn all_files(files: &MemoryStorage) -> Vec<StoragePath> {
    let mut found = Vec::new();
    let mut directories = vec![StoragePath::root()];
    while let Some(directory) = directories.pop() {
        for child in files.list(&directory).expect("a listed directory can be listed") {
            let path = directory.join(&child.name).expect("a listed name is a path");
            match child.kind {
                EntryKind::Directory => directories.push(path),
                EntryKind::File { .. } => found.push(path),
            }
        }
    }
    found.sort_unstable();
    found
}

fn copy(from: &MemoryStorage, to: &MemoryStorage, path: &StoragePath) {
    let bytes = from.open(path).and_then(|reader| reader.read_all(u64::MAX));
    let made = to.publish(path, &bytes.expect("a listed file can be read"));
    assert_eq!(made.expect("nothing fails in memory"), PublishOutcome::Published);
}
