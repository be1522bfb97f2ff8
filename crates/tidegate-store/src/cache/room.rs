//! Which copies go when there are too many.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How the names of unfinished copies begin.
pub(super) const TEMPORARY: &str = ".unfinished-";
/// No download takes this long: what is older was left by a process that was killed.
const UNFINISHED_FOR: Duration = Duration::from_hours(24);

struct Copy {
    path: PathBuf,
    name: String,
    used: SystemTime,
    length: u64,
}

/// Removes those used least recently until the rest has at most `max_bytes`, but none that
/// `is_kept`. What cannot be removed is left for the next time.
pub(super) fn make(files: &Path, max_bytes: u64, is_kept: impl Fn(&str) -> bool) {
    let mut copies = copies(files);
    let mut total = copies.iter().fold(0, |sum: u64, copy| sum.saturating_add(copy.length));
    let now = SystemTime::now();
    copies.sort_by_key(|copy| copy.used);
    for copy in copies {
        let is_unfinished = copy.name.starts_with(TEMPORARY);
        let age = now.duration_since(copy.used).unwrap_or_default();
        let goes = if is_unfinished {
            age > UNFINISHED_FOR
        } else {
            total > max_bytes && !is_kept(&copy.name)
        };
        if goes && fs::remove_file(&copy.path).is_ok() {
            total = total.saturating_sub(copy.length);
        }
    }
}

fn copies(files: &Path) -> Vec<Copy> {
    let children = fs::read_dir(files).into_iter().flatten().flatten();
    let copies = children.filter_map(|child| {
        let metadata = child.metadata().ok().filter(fs::Metadata::is_file)?;
        let name = child.file_name().to_str()?.to_owned();
        let used = metadata.modified().ok()?;
        Some(Copy { path: child.path(), name, used, length: metadata.len() })
    });
    copies.collect()
}
