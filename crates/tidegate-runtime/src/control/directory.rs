//! The run-time directory: where running jobs are found.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::control::ControlError;

/// The environment variable that names the run-time directory.
pub const RUNTIME_DIRECTORY_VARIABLE: &str = "TIDEGATE_RUNTIME_DIR";

/// The run-time directory of this user. It need not exist yet.
pub fn runtime_directory() -> PathBuf {
    let named = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
    choose(
        named(RUNTIME_DIRECTORY_VARIABLE).map(PathBuf::from),
        named("XDG_RUNTIME_DIR").map(PathBuf::from),
        rustix::process::geteuid().as_raw(),
    )
}

fn choose(own: Option<PathBuf>, xdg: Option<PathBuf>, user: u32) -> PathBuf {
    // The XDG specification has relative paths ignored.
    let xdg = xdg.filter(|path| path.is_absolute()).map(|path| path.join("tidegate"));
    own.or(xdg).unwrap_or_else(|| PathBuf::from(format!("/tmp/tidegate-{user}")))
}

/// Makes the directory if it is not there, for this user alone, and checks it.
pub(super) fn prepare(path: &Path) -> Result<(), ControlError> {
    let failed = |source| ControlError::Directory { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    check(path)
}

/// Whether the directory is there. One that others can write to is refused: a file in it might be
/// anybody's.
pub(super) fn is_there(path: &Path) -> Result<bool, ControlError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        _ => check(path).map(|()| true),
    }
}

fn check(path: &Path) -> Result<(), ControlError> {
    let untrusted = |problem| ControlError::Untrusted { path: path.to_owned(), problem };
    let failed = |source| ControlError::Directory { path: path.to_owned(), source };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(untrusted("is not a directory"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(untrusted("belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(untrusted("can be written to by other users"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_first_directory_named_is_taken() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(choose(path("a"), path("/run/user/7"), 7), PathBuf::from("a"));
        assert_eq!(choose(None, path("/run/user/7"), 7), PathBuf::from("/run/user/7/tidegate"));
        assert_eq!(choose(None, path("run"), 7), PathBuf::from("/tmp/tidegate-7"));
        assert_eq!(choose(None, None, 7), PathBuf::from("/tmp/tidegate-7"));
    }

    #[test]
    fn what_others_could_write_to_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/b");
        assert!(!is_there(&directory).unwrap());
        prepare(&directory).unwrap();
        prepare(&directory).unwrap();
        assert!(is_there(&directory).unwrap());
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);

        let link = parent.path().join("link");
        symlink(&directory, &link).unwrap();
        assert!(matches!(is_there(&link), Err(ControlError::Untrusted { .. })));
        fs::set_permissions(&directory, Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(is_there(&directory), Err(ControlError::Untrusted { .. })));
        assert!(matches!(prepare(&directory), Err(ControlError::Untrusted { .. })));
    }
}
