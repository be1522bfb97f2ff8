//! The steps that change the disk, in the order that makes files durable before they are visible.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tempfile::NamedTempFile;

use crate::{Determinacy, LinkOutcome, Operation, PublishOutcome, StorageError, StoragePath};

/// A step that changes the disk. Tests make each of them fail in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    MakeDirectory,
    CreateTemporary,
    Write,
    SyncFile,
    Rename,
    SyncDirectory,
    Remove,
}

/// Asked before every step.
pub(super) type Hook = Box<dyn Fn(Step, &Path) -> io::Result<()> + Send + Sync>;

/// How the names of unfinished files begin.
pub(super) const TEMPORARY: &str = ".tmp-";

/// The root, and what is known about the directories below it.
pub(super) struct Disk {
    root: PathBuf,
    // Directories whose own names are durable: created or found, and their parents synced, by us.
    // That a directory exists is not enough: another thread may have made it just now.
    durable: Mutex<HashSet<PathBuf>>,
    hook: Option<Hook>,
}

/// What became of the last step of writing a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persisted {
    Renamed,
    Exists,
}

impl Disk {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, durable: Mutex::default(), hook: None }
    }

    #[cfg(test)]
    pub(super) fn with_hook(root: PathBuf, hook: Hook) -> Self {
        Self { hook: Some(hook), ..Self::new(root) }
    }

    pub(super) fn locate(&self, path: &StoragePath) -> PathBuf {
        if path.is_root() { self.root.clone() } else { self.root.join(path.as_str()) }
    }

    /// Whether a step may be taken.
    pub(super) fn step(&self, step: Step, path: &Path) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(step, path))
    }

    /// Makes a directory and those above it, durably.
    pub(super) fn ensure_directory(&self, directory: &Path) -> Result<(), StorageError> {
        if self.durable.lock().contains(directory) {
            return Ok(());
        }
        // What lies above our root is not ours to sync, unless we make it.
        if !directory.starts_with(&self.root) && directory.is_dir() {
            return Ok(());
        }
        let Some(parent) = directory.parent() else { return Ok(()) };
        let found = directory.is_dir();
        if !found {
            self.ensure_directory(parent)?;
            let made = self
                .step(Step::MakeDirectory, directory)
                .and_then(|()| fs::create_dir(directory))
                .or_else(|error| if directory.is_dir() { Ok(()) } else { Err(error) });
            made.map_err(|error| determinate(Operation::Create, directory, error))?;
        }
        match self.sync_directory(parent, Determinacy::Determinate) {
            // A root that was made for us below a directory that we may not read.
            Err(StorageError::Permission { .. }) if found && directory == self.root => {}
            synced => synced?,
        }
        self.durable.lock().insert(directory.to_owned());
        Ok(())
    }

    /// To be called when a directory was deleted.
    pub(super) fn forget_directory(&self, directory: &Path) {
        self.durable.lock().retain(|known| !known.starts_with(directory));
    }

    /// An empty hidden file in the target's directory, which goes when it is dropped.
    pub(super) fn create_temporary(&self, target: &Path) -> Result<NamedTempFile, StorageError> {
        let directory = target.parent().unwrap_or(&self.root);
        let create = || {
            self.ensure_directory(directory)?;
            self.step(Step::CreateTemporary, target)
                .and_then(|()| {
                    tempfile::Builder::new()
                        .prefix(TEMPORARY)
                        // Less the umask: as readable as any file that its owner makes.
                        .permissions(Permissions::from_mode(0o666))
                        .tempfile_in(directory)
                })
                .map_err(|error| determinate(Operation::Create, target, error))
        };
        match create() {
            // Another process deleted the directory, and how much above it we cannot know.
            Err(StorageError::Missing { .. }) => {
                self.durable.lock().clear();
                create()
            }
            created => created,
        }
    }

    pub(super) fn write(
        &self,
        mut file: &File,
        target: &Path,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        self.step(Step::Write, target)
            .and_then(|()| file.write_all(bytes))
            .map_err(|error| determinate(Operation::Write, target, error))
    }

    /// Makes a small file in one step, if `allowed` still says so when all but the last step, which
    /// makes it visible, is done.
    pub(super) fn publish(
        &self,
        target: &Path,
        bytes: &[u8],
        allowed: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<PublishOutcome, StorageError> {
        let temporary = self.create_temporary(target)?;
        self.write(temporary.as_file(), target, bytes)?;
        allowed()?;
        match self.persist(temporary, target)? {
            Persisted::Renamed => Ok(PublishOutcome::Published),
            Persisted::Exists => Ok(PublishOutcome::AlreadyExists),
        }
    }

    /// Makes a written file durable and then visible; the other way round, a crash could leave a
    /// visible file without its content.
    pub(super) fn persist(
        &self,
        temporary: NamedTempFile,
        target: &Path,
    ) -> Result<Persisted, StorageError> {
        self.step(Step::SyncFile, target)
            .and_then(|()| temporary.as_file().sync_all())
            .map_err(|error| determinate(Operation::Sync, target, error))?;
        let directory = target.parent().unwrap_or(&self.root);
        let renamed = self.step(Step::Rename, target).and_then(|()| {
            temporary.persist_noclobber(target).map(drop).map_err(|error| error.error)
        });
        match renamed {
            Ok(()) => {
                self.sync_directory(directory, Determinacy::Indeterminate)?;
                Ok(Persisted::Renamed)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Whoever made that file may have died before it was durable.
                self.sync_directory(directory, Determinacy::Determinate)?;
                Ok(Persisted::Exists)
            }
            Err(error) => {
                let determinacy = determinacy_of_rename(error.kind());
                Err(StorageError::from_io(Operation::Publish, shown(target), determinacy, error))
            }
        }
    }

    /// Gives a file, which is durable, a second name.
    pub(super) fn link(&self, file: &Path, new: &Path) -> Result<LinkOutcome, StorageError> {
        let directory = new.parent().unwrap_or(&self.root);
        self.ensure_directory(directory)?;
        let linked = self.step(Step::Rename, new).and_then(|()| fs::hard_link(file, new));
        match linked {
            Ok(()) => {
                self.sync_directory(directory, Determinacy::Indeterminate)?;
                Ok(LinkOutcome::Linked)
            }
            Err(error) => match error.kind() {
                ErrorKind::AlreadyExists => Err(StorageError::AlreadyExists { path: shown(new) }),
                // Too many links, another file system, or one without links.
                ErrorKind::TooManyLinks
                | ErrorKind::CrossesDevices
                | ErrorKind::Unsupported
                | ErrorKind::PermissionDenied => Ok(LinkOutcome::NotSupported),
                ErrorKind::NotFound if !file.exists() => {
                    Err(StorageError::Missing { path: shown(file) })
                }
                kind => {
                    let determinacy = determinacy_of_rename(kind);
                    Err(StorageError::from_io(Operation::Publish, shown(new), determinacy, error))
                }
            },
        }
    }

    pub(super) fn sync_directory(
        &self,
        directory: &Path,
        determinacy: Determinacy,
    ) -> Result<(), StorageError> {
        self.step(Step::SyncDirectory, directory)
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(|error| {
                StorageError::from_io(Operation::Sync, shown(directory), determinacy, error)
            })
    }
}

/// A path as errors show it.
pub(super) fn shown(path: &Path) -> Box<str> {
    path.to_string_lossy().into()
}

pub(super) fn determinate(operation: Operation, path: &Path, error: io::Error) -> StorageError {
    StorageError::from_io(operation, shown(path), Determinacy::Determinate, error)
}

// A local rename that fails did not happen. A mounted file system may lose the answer, but it does
// not make up these.
fn determinacy_of_rename(kind: ErrorKind) -> Determinacy {
    match kind {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded => Determinacy::Determinate,
        _ => Determinacy::Indeterminate,
    }
}
