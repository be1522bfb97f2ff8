//! Deletes files and directories, in an order that a crash cannot turn into a trap.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::disk::{Disk, Step, determinate};
use crate::{DeleteOutcome, Determinacy, Operation, StorageError};

// The file that makes a checkpoint of a directory: while it is there, the rest must be.
const METADATA: &str = "_metadata";

pub(super) fn file(disk: &Disk, path: &Path) -> Result<DeleteOutcome, StorageError> {
    match disk.step(Step::Remove, path).and_then(|()| fs::remove_file(path)) {
        Ok(()) => {}
        Err(error) if is_absent(&error) => return Ok(DeleteOutcome::Absent),
        Err(error) => return Err(determinate(Operation::Delete, path, error)),
    }
    // A data file that comes back after a crash is only garbage; metadata would be a checkpoint
    // whose data may be gone.
    if path.file_name().is_some_and(|name| name == METADATA)
        && let Some(directory) = path.parent()
    {
        disk.sync_directory(directory, Determinacy::Indeterminate)?;
    }
    Ok(DeleteOutcome::Deleted)
}

pub(super) fn directory(disk: &Disk, path: &Path) -> Result<DeleteOutcome, StorageError> {
    let failed = |error| determinate(Operation::Delete, path, error);
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(failed(io::Error::from(ErrorKind::NotADirectory))),
        Err(error) if is_absent(&error) => return Ok(DeleteOutcome::Absent),
        Err(error) => return Err(failed(error)),
    }
    delete_metadata_below(disk, path)?;
    disk.forget_directory(path);
    match disk.step(Step::Remove, path).and_then(|()| fs::remove_dir_all(path)) {
        Ok(()) => Ok(DeleteOutcome::Deleted),
        // Somebody else deletes it at the same time.
        Err(error) if is_absent(&error) => Ok(DeleteOutcome::Deleted),
        Err(error) => Err(failed(error)),
    }
}

// Symbolic links are not followed: what lies behind them is not this directory's.
fn delete_metadata_below(disk: &Disk, directory: &Path) -> Result<(), StorageError> {
    file(disk, &directory.join(METADATA))?;
    let failed = |error| determinate(Operation::List, directory, error);
    let children = match fs::read_dir(directory) {
        Ok(children) => children,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for child in children {
        let child = child.map_err(failed)?;
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            delete_metadata_below(disk, &child.path())?;
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
