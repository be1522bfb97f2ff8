//! Which files there are to be read.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::{ConnectError, FileOperation};

/// The file itself, or the visible files of the directory by name; with their lengths in bytes.
pub(super) fn files(input: &Path) -> Result<Vec<(PathBuf, u64)>, ConnectError> {
    let metadata = fs::metadata(input).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            ConnectError::InputMissing { path: input.to_owned() }
        }
        _ => ConnectError::io(FileOperation::Open, input, error),
    })?;
    if metadata.is_file() {
        return Ok(vec![readable(input.to_owned())?]);
    }
    if !metadata.is_dir() {
        let error = io::Error::other("it is neither a file nor a directory");
        return Err(ConnectError::io(FileOperation::Open, input, error));
    }
    let failed = |error| ConnectError::io(FileOperation::List, input, error);
    let mut paths = Vec::new();
    for child in fs::read_dir(input).map_err(failed)? {
        let child = child.map_err(failed)?;
        let path = child.path();
        let hidden = child.file_name().as_encoded_bytes().starts_with(b".");
        // Symbolic links are followed; one that leads nowhere is told below, when it is opened.
        if !hidden && fs::metadata(&path).map_or(true, |metadata| metadata.is_file()) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    paths.into_iter().map(readable).collect()
}

// Opened, so that a file which may not be read is told before the job starts.
fn readable(path: PathBuf) -> Result<(PathBuf, u64), ConnectError> {
    match File::open(&path).and_then(|file| file.metadata()) {
        Ok(metadata) => Ok((path, metadata.len())),
        Err(error) => Err(ConnectError::io(FileOperation::Open, path, error)),
    }
}
