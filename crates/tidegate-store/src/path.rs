//! Paths within a storage: relative, and unable to climb out of its root.

use std::fmt;
use std::sync::Arc;

use crate::StorageError;

/// A path below a storage's root: plain names joined by `/`, or the root itself.
///
/// No name is empty or begins with a dot (those are the store's own), none holds a backslash, a
/// colon or a control character, so that no path means something else on another system. At most
/// 1,024 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoragePath(Arc<str>);

impl StoragePath {
    /// The longest path, in bytes.
    pub const MAX_LENGTH: usize = 1024;

    /// The path with this text. The empty text is refused: the root is [`StoragePath::root`].
    pub fn new(path: &str) -> Result<Self, StorageError> {
        if path.len() <= Self::MAX_LENGTH && path.split('/').all(is_plain_name) {
            return Ok(Self(path.into()));
        }
        Err(StorageError::InvalidPath { found: path.chars().take(Self::MAX_LENGTH).collect() })
    }

    /// The storage's root.
    #[must_use]
    pub fn root() -> Self {
        Self("".into())
    }

    /// This path, followed by one or more further names.
    pub fn join(&self, path: &str) -> Result<Self, StorageError> {
        if self.is_root() { Self::new(path) } else { Self::new(&format!("{self}/{path}")) }
    }

    /// The directory that holds it; `None` of the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(self.0.rsplit_once('/').map_or_else(Self::root, |(parent, _)| Self(parent.into())))
    }

    /// The last name; `None` of the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.0.rsplit('/').next().filter(|name| !name.is_empty())
    }

    /// Whether it is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this path is `directory` or lies below it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        let rest = self.0.strip_prefix(&*directory.0);
        directory.is_root() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The text; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoragePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StoragePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoragePath({:?})", &*self.0)
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(|c: char| c.is_control() || matches!(c, '\\' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_climbs_or_is_hidden() {
        for path in ["", "/a", "a/", "a//b", "..", "a/../b", ".", ".owner", "a/.x", "c:", "a\\b"] {
            assert!(StoragePath::new(path).is_err(), "{path:?}");
        }
        assert!(StoragePath::new("a\0").is_err());
        assert!(StoragePath::new(&"x".repeat(1025)).is_err());
        assert!(StoragePath::new("chk-1/_metadata").is_ok());
    }

    #[test]
    fn join_and_parent_are_opposites() {
        let path = StoragePath::root().join("job").unwrap().join("chk-1/_metadata").unwrap();
        assert_eq!(path.as_str(), "job/chk-1/_metadata");
        assert_eq!(path.file_name(), Some("_metadata"));
        let up = path.parent().and_then(|p| p.parent()).unwrap();
        assert_eq!((up.as_str(), up.file_name()), ("job", Some("job")));
        assert_eq!(up.parent(), Some(StoragePath::root()));
        assert_eq!(StoragePath::root().parent(), None);
        assert_eq!(StoragePath::root().file_name(), None);
        assert!(path.join("..").is_err());
    }

    #[test]
    fn within_means_whole_names() {
        let path = |text| StoragePath::new(text).unwrap();
        assert!(path("chk-1/a").is_within(&path("chk-1")));
        assert!(path("chk-1").is_within(&path("chk-1")));
        assert!(path("chk-1").is_within(&StoragePath::root()));
        assert!(!path("chk-10").is_within(&path("chk-1")));
    }
}
