//! A whole file in memory, without copying it.
//!
//! Invariants:
//! - a mapping is only ever read;
//! - it lives as long as the `Mapping`, and slices of it borrow from the `Mapping`;
//! - the file is sealed: complete and durable before it got its name, never written to again.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::SegmentError;

/// The content of a sealed file, mapped for reading.
///
/// Cheap to make whatever the file's length: pages are read when they are first touched. The file
/// may be renamed or unlinked meanwhile; its pages stay until the mapping is dropped.
///
/// # What the caller promises
///
/// The file is sealed: nobody truncates it or writes to it while it is mapped. Tidegate's own
/// files are (they are published by rename or link when complete), so this is a promise about
/// other programs. Breaking it by truncation ends the process with SIGBUS when a lost page is
/// touched; breaking it by writing changes bytes after they were verified. `docs/unsafe.md` has
/// the whole argument.
pub struct Mapping {
    // `None` for an empty file, which the system does not map.
    map: Option<Mmap>,
}

impl Mapping {
    /// Maps the whole of a sealed file.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Open`] when there is no readable regular file at `path`;
    /// [`SegmentError::Map`] when the system refuses the mapping.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        let failed = |source| SegmentError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let length = metadata.len();
        if length == 0 {
            return Ok(Self { map: None });
        }
        let map = map(&file);
        let map =
            map.map_err(|source| SegmentError::Map { path: path.to_owned(), length, source })?;
        Ok(Self { map: Some(map) })
    }
}

#[expect(unsafe_code, reason = "mapping a file is what this crate is for")]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: `Mmap::map` asks that the file is not changed while it is mapped.
    // - Not by this process: no code of Tidegate opens a published file for writing, truncates it
    //   or punches holes in it; names change by rename, link and unlink only, all of which leave
    //   the mapped inode alone.
    // - Not by other processes: the contract of `Mapping`, which docs/unsafe.md states with what
    //   happens when it is broken. No check could prove it, so it is a precondition and not a
    //   claim of this code.
    // The descriptor may be closed afterwards: a mapping keeps its inode.
    unsafe { Mmap::map(file) }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("length", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_shows_the_whole_file_even_after_it_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealed");
        let content: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        std::fs::write(&path, &content).unwrap();
        let mapping = Mapping::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&*mapping, content);
    }

    #[test]
    fn an_empty_file_is_an_empty_slice() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        assert!(Mapping::open(&path).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("absent")] {
            let error = Mapping::open(&path).unwrap_err();
            assert!(matches!(&error, SegmentError::Open { path: p, .. } if *p == path), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()));
        }
    }
}
