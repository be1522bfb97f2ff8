//! State handles: where a piece of state lies, how long it is, and its digest.
//!
//! References are relative wherever the file lies under the same root as the metadata, so that a
//! checkpoint directory can be moved or copied whole. A relative reference cannot climb: it is a
//! list of plain names joined by `/`, checked when the reference is made.

use std::fmt;
use std::sync::Arc;

use crate::Digest;

/// A text that is no reference to a file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidReference {
    /// The text, cut to its first 1,024 bytes.
    pub found: Box<str>,
}

impl fmt::Display for InvalidReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no reference to a file of a checkpoint: plain names joined by '/' or an \
             absolute URI of at most 1,024 bytes are accepted",
            self.found
        )
    }
}

impl std::error::Error for InvalidReference {}

/// Where a file of a checkpoint lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileReference {
    /// Below the directory that holds the `_metadata`: an exclusive file of that checkpoint.
    InCheckpoint(Arc<str>),
    /// Below the job's checkpoint directory, the parent of the one that holds the `_metadata`:
    /// `shared/…` and `taskowned/…`.
    InJob(Arc<str>),
    /// Anywhere: an absolute URI with its scheme, such as `hdfs://name/data/x`.
    Absolute(Arc<str>),
}

impl FileReference {
    /// The longest reference, in bytes.
    pub const MAX_LENGTH: usize = 1024;

    /// A file below the directory of the metadata.
    pub fn in_checkpoint(path: &str) -> Result<Self, InvalidReference> {
        checked(path, is_relative(path)).map(Self::InCheckpoint)
    }

    /// A file below the job's checkpoint directory.
    pub fn in_job(path: &str) -> Result<Self, InvalidReference> {
        checked(path, is_relative(path)).map(Self::InJob)
    }

    /// A file by its absolute URI.
    pub fn absolute(uri: &str) -> Result<Self, InvalidReference> {
        let has_scheme = uri.split_once("://").is_some_and(|(scheme, rest)| {
            !scheme.is_empty()
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                && rest.split('/').all(|name| name != "..")
        });
        checked(uri, has_scheme).map(Self::Absolute)
    }

    /// The text, without what it is relative to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InCheckpoint(path) | Self::InJob(path) | Self::Absolute(path) => path,
        }
    }
}

impl fmt::Display for FileReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCheckpoint(path) => f.write_str(path),
            Self::InJob(path) => write!(f, "../{path}"),
            Self::Absolute(uri) => f.write_str(uri),
        }
    }
}

fn checked(text: &str, fits: bool) -> Result<Arc<str>, InvalidReference> {
    if fits && text.len() <= FileReference::MAX_LENGTH && !text.chars().any(char::is_control) {
        Ok(text.into())
    } else {
        Err(InvalidReference { found: text.chars().take(FileReference::MAX_LENGTH).collect() })
    }
}

// Backslash and colon are refused so that no reference means something else on another system.
fn is_relative(path: &str) -> bool {
    path.split('/').all(|name| !matches!(name, "" | "." | "..") && !name.contains(['\\', ':']))
}

/// A file, with what is needed to know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHandle {
    /// Where it lies.
    pub reference: FileReference,
    /// Its length in bytes.
    pub length: u64,
    /// The digest of its whole content.
    pub digest: Digest,
}

/// A piece of state: its bytes, or the file that holds them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateHandle {
    /// The bytes themselves, kept in the metadata.
    Inline(Arc<[u8]>),
    /// A file beside the metadata or elsewhere.
    File(FileHandle),
}

impl StateHandle {
    /// The length of the state in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File(file) => file.length,
        }
    }

    /// The digest of the state's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Inline(bytes) => Digest::of(bytes),
            Self::File(file) => file.digest,
        }
    }

    /// The file, if the state lies in one.
    #[must_use]
    pub fn file(&self) -> Option<&FileHandle> {
        match self {
            Self::Inline(_) => None,
            Self::File(file) => Some(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reference_climbs_out_of_its_root() {
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "c:\\x", "a\0b"] {
            assert!(FileReference::in_checkpoint(path).is_err(), "{path:?}");
            assert!(FileReference::in_job(path).is_err(), "{path:?}");
        }
        assert!(FileReference::in_job("shared/0a/segment-1").is_ok());
        assert!(FileReference::in_job(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn absolute_references_need_a_scheme() {
        assert!(FileReference::absolute("hdfs:///checkpoints/a").is_ok());
        for uri in ["/a", "a/b", "://a", "file:///a/../b"] {
            assert!(FileReference::absolute(uri).is_err(), "{uri:?}");
        }
    }
}
