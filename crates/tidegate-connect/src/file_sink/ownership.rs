//! Whose output a directory holds, and that only one job at a time writes to it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};

use tidegate_types::JobId;

use super::disk::Disk;
use super::names::{OWNER, is_hidden};
use crate::{ConnectError, FileOperation};

/// Held while the job runs. The operating system's lock (`flock`), which ends with the process; the
/// file stays, for its text says whose output lies beside it.
#[derive(Debug)]
pub(super) struct OutputLock {
    _file: File,
}

pub(super) fn take(disk: &Disk, job: JobId, restored: bool) -> Result<OutputLock, ConnectError> {
    disk.create_directory()?;
    let directory = || disk.directory().to_owned();
    let path = disk.locate(OWNER);
    let failed = |error| ConnectError::io(FileOperation::Lock, &path, error);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(failed)?;
    let locked = file.try_lock();
    let owner = read_owner(&file).map_err(failed)?;
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(ConnectError::OutputInUse { directory: directory(), owner });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let goes_on = restored && owner == Some(job);
    if !goes_on && disk.list()?.iter().any(|name| !is_hidden(name)) {
        return Err(ConnectError::ForeignOutput { directory: directory(), owner });
    }
    // Stopped in the middle of this, the file names nobody; and there is no output to be named.
    if owner != Some(job) {
        file.set_len(0).map_err(failed)?;
        (&file).seek(SeekFrom::Start(0)).map_err(failed)?;
        disk.write(&file, &path, format!("job {job}\n").as_bytes())?;
    }
    disk.sync_file(&file, &path)?;
    disk.sync_directory()?;
    Ok(OutputLock { _file: file })
}

fn read_owner(file: &File) -> io::Result<Option<JobId>> {
    let mut bytes = Vec::new();
    file.take(256).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix("job ").and_then(|id| id.trim_end().parse().ok()))
}
