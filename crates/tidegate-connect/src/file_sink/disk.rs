//! The steps that change the output directory.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::{ConnectError, FileOperation};

/// A step that changes the directory. Tests stop the world before each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    CreateDirectory,
    CreateFile,
    Write,
    SyncFile,
    Rename,
    SyncDirectory,
    Remove,
}

/// Asked before every step.
pub(super) type Hook = Box<dyn Fn(Step, &Path) -> io::Result<()> + Send + Sync>;

pub(super) struct Disk {
    directory: PathBuf,
    hook: Option<Hook>,
}

impl Disk {
    pub(super) fn new(directory: &Path) -> Self {
        // So that the job may change its current directory.
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        Self { directory, hook: None }
    }

    #[cfg(test)]
    pub(super) fn with_hook(directory: &Path, hook: Hook) -> Self {
        Self { hook: Some(hook), ..Self::new(directory) }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn locate(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn step(&self, step: Step, path: &Path) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(step, path))
    }

    /// Makes the directory and those above it, durably.
    pub(super) fn create_directory(&self) -> Result<(), ConnectError> {
        self.create_directories(&self.directory)
    }

    fn create_directories(&self, directory: &Path) -> Result<(), ConnectError> {
        if directory.is_dir() {
            return Ok(());
        }
        let Some(parent) = directory.parent() else { return Ok(()) };
        self.create_directories(parent)?;
        self.step(Step::CreateDirectory, directory)
            .and_then(|()| fs::create_dir(directory))
            .or_else(|error| if directory.is_dir() { Ok(()) } else { Err(error) })
            .map_err(|error| ConnectError::io(FileOperation::Create, directory, error))?;
        self.sync(parent)
    }

    /// A new file; never one that exists.
    pub(super) fn create_file(&self, path: &Path) -> Result<File, ConnectError> {
        self.step(Step::CreateFile, path)
            .and_then(|()| OpenOptions::new().write(true).create_new(true).open(path))
            .map_err(|error| ConnectError::io(FileOperation::Create, path, error))
    }

    pub(super) fn write(
        &self,
        mut file: &File,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), ConnectError> {
        self.step(Step::Write, path)
            .and_then(|()| file.write_all(bytes))
            .map_err(|error| ConnectError::io(FileOperation::Write, path, error))
    }

    pub(super) fn sync_file(&self, file: &File, path: &Path) -> Result<(), ConnectError> {
        self.step(Step::SyncFile, path)
            .and_then(|()| file.sync_all())
            .map_err(|error| ConnectError::io(FileOperation::Sync, path, error))
    }

    pub(super) fn sync_directory(&self) -> Result<(), ConnectError> {
        self.sync(&self.directory)
    }

    fn sync(&self, directory: &Path) -> Result<(), ConnectError> {
        self.step(Step::SyncDirectory, directory)
            .and_then(|()| File::open(directory)?.sync_all())
            .map_err(|error| ConnectError::io(FileOperation::Sync, directory, error))
    }

    /// Gives a file another name. An existing file of that name is `ErrorKind::AlreadyExists`.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Step::Rename, to)?;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can do it in one step. If we stop after the first of these two,
            // the file has both names, which a commit knows how to finish.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            renamed => renamed.map_err(Into::into),
        }
    }

    /// Removes a file; whether it was there.
    pub(super) fn remove(&self, path: &Path) -> Result<bool, ConnectError> {
        match self.step(Step::Remove, path).and_then(|()| fs::remove_file(path)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ConnectError::io(FileOperation::Remove, path, error)),
        }
    }

    /// The names in the directory, sorted. What is not UTF-8 in them is replaced: none of ours is.
    pub(super) fn list(&self) -> Result<Vec<String>, ConnectError> {
        let failed = |error| ConnectError::io(FileOperation::List, &self.directory, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            names.push(name.to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.directory.fmt(f)
    }
}
