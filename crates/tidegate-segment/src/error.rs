//! What can go wrong with a mapped file or a segment.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_types::{KeyGroup, MaxParallelism, StateKind};

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
    /// The file lost bytes while it was mapped: somebody truncated it, or the disk under it
    /// failed. Whatever was read of it since may be zeros; take the state from a checkpoint.
    #[error("{path} had {expected} bytes when it was opened and has lost some: {found} are left")]
    Lost {
        /// The file.
        path: PathBuf,
        /// Its length when it was mapped.
        expected: u64,
        /// Its length now; equal to `expected` when the disk failed to deliver a page.
        found: u64,
    },
    /// It is no segment: other bytes stand where every segment has the same.
    #[error("{path} is no segment: {held} has {found:02x?} for its first bytes at offset {offset}")]
    Magic {
        /// The file.
        path: PathBuf,
        /// Where the bytes are.
        offset: u64,
        /// What was found.
        found: [u8; 8],
        /// What is at that place in a segment.
        held: Part,
    },
    /// It was written by a release with another format.
    #[error("{path} has segment version {found}, this release reads {supported}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
        /// The version that this release reads.
        supported: u16,
    },
    /// Bytes are not the ones that were written.
    #[error(
        "{path} is damaged: {held} at offset {offset} has checksum {found:016x}, \
         {expected:016x} was written; restore from another checkpoint"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Where the damaged bytes begin.
        offset: u64,
        /// The checksum when it was written.
        expected: u64,
        /// The checksum now.
        found: u64,
        /// What the bytes held.
        held: Part,
    },
    /// Bytes carry the right checksum and yet say something that no writer writes.
    #[error("{path} is malformed: {held} has {found} at offset {offset}, expected {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What should be there.
        expected: &'static str,
        /// The number that is there.
        found: u64,
        /// What the bytes hold.
        held: Part,
    },
    /// The file is longer or shorter than it says, or than any segment.
    #[error("{path} has {found} bytes, expected {expected}: it was cut or appended to")]
    Length {
        /// The file.
        path: PathBuf,
        /// The length it should have, or the least length of a segment.
        expected: u64,
        /// The length it has.
        found: u64,
    },
    /// The destination of a segment refused bytes. [`io::Error`] as the destination gave it.
    #[error("cannot write the segment: {source}")]
    Write {
        /// What the destination said.
        source: io::Error,
    },
    /// Something is longer than the format can hold.
    #[error("{what} of {found} bytes in state {state:?}, the format holds {limit}")]
    TooLong {
        /// What it is, such as `a value`.
        what: &'static str,
        /// The state.
        state: Arc<str>,
        /// The most that the format holds.
        limit: u64,
        /// How long it is.
        found: u64,
    },
    /// Segments that were to be merged do not belong together.
    #[error("{path} has {found}, the newest segment {expected}: they cannot be merged")]
    Unlike {
        /// The segment that differs from the newest.
        path: PathBuf,
        /// What the newest has.
        expected: Likeness,
        /// What this one has.
        found: Likeness,
    },
    /// The callback said to stop.
    #[error("the compaction was cancelled")]
    Cancelled,
}

/// A part of a segment file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The header, the first 64 bytes.
    Header,
    /// The footer, the last 64 bytes.
    Footer,
    /// The directory of states and key groups.
    Directory,
    /// The table of the chunks' checksums.
    ChecksumTable,
    /// Entries of a state or their index.
    Entries {
        /// The state.
        state: Arc<str>,
        /// The first key group concerned.
        first: KeyGroup,
        /// The last key group concerned; of this state, others may follow.
        last: KeyGroup,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::Footer => f.write_str("the footer"),
            Self::Directory => f.write_str("the directory"),
            Self::ChecksumTable => f.write_str("the checksum table"),
            Self::Entries { state, first, last } if first == last => {
                write!(f, "key group {first} of state {state:?}")
            }
            Self::Entries { state, first, last } => {
                write!(f, "key groups {first}..={last} of state {state:?}")
            }
        }
    }
}

/// What segments must agree in to be merged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Likeness {
    /// The number of key groups of the job.
    MaxParallelism(MaxParallelism),
    /// The schema of a state.
    Schema {
        /// The state.
        state: Arc<str>,
        /// Its shape.
        kind: StateKind,
        /// The fingerprint of its types.
        fingerprint: u64,
        /// The version that the job's author gave it.
        schema_version: u32,
    },
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxParallelism(max) => write!(f, "maximum parallelism {max}"),
            Self::Schema { state, kind, fingerprint, schema_version } => {
                write!(f, "{kind} state {state:?}, schema {schema_version}, {fingerprint:016x}")
            }
        }
    }
}
