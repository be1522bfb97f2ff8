//! What can go wrong with a mapped file.

use std::io;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The file is missing, is no regular file, or may not be read.
    #[error("cannot open {path} for mapping: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused the mapping itself: out of address space or of mappings
    /// (`vm.max_map_count`), or a file system without mmap.
    #[error("cannot map the {length} bytes of {path} into memory: {source}")]
    Map {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// What the system said.
        source: io::Error,
    },
}
