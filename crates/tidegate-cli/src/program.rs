//! Finds the job's program, as a shell would, and says what is wrong before it is started.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The path of the program.
pub(crate) fn find(name: &OsStr, search: Option<&OsStr>) -> Result<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        check(&path)?;
        return Ok(path);
    }
    let directories = search.map(|search| std::env::split_paths(search).collect::<Vec<_>>());
    let found = directories.unwrap_or_default().into_iter().map(|directory| directory.join(name));
    if let Some(path) = found.into_iter().find(|path| check(path).is_ok()) {
        return Ok(path);
    }
    let shown = Path::new(name).display();
    if Path::new(name).exists() {
        bail!("there is no program {shown} in $PATH; to run the one here write ./{shown}");
    }
    bail!("there is no program {shown} in $PATH; name its path, such as ./target/release/{shown}");
}

fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    let metadata =
        fs::metadata(path).with_context(|| format!("the job program {shown} cannot be run"))?;
    if !metadata.is_file() {
        bail!("the job program {shown} is not a file");
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        bail!("the job program {shown} is not executable; chmod +x it if it is a program");
    }
    Ok(())
}
