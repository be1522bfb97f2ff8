//! Paths on the cluster, and the names that begin with a dot, which are this crate's own.

use std::hash::{BuildHasher, RandomState};

use tidegate_store::StorageError;

/// The beginning of the names of unfinished files.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// A root as its URI has it: scheme with authority, and an absolute path without a slash at its end.
pub(crate) struct Root {
    pub(crate) address: String,
    pub(crate) path: String,
}

impl Root {
    /// Percent signs are taken literally, as Hadoop does.
    pub(crate) fn parse(uri: &str) -> Result<Self, StorageError> {
        let invalid = || StorageError::InvalidUri {
            uri: uri.into(),
            available: "hdfs://host:port/path, hdfs://nameservice/path or hdfs:///path",
        };
        let rest = uri.strip_prefix("hdfs:").ok_or_else(invalid)?;
        // Hadoop takes one slash for an empty authority.
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let path = path.trim_end_matches('/');
        let is_path = path.is_empty() || path.starts_with('/');
        let is_plain = path.split('/').skip(1).all(|name| !matches!(name, "" | "." | ".."));
        if !is_path || !is_plain || rest.is_empty() {
            return Err(invalid());
        }
        Ok(Self { address: format!("hdfs://{authority}"), path: path.to_owned() })
    }

    pub(crate) fn uri(&self) -> String {
        format!("{}{}", self.address, self.path)
    }
}

/// A name that nobody has or will have.
pub(crate) fn temporary_name() -> String {
    format!("{TEMPORARY}{}", unique())
}

/// 128 bits from the system's source of randomness, as text.
pub(crate) fn unique() -> String {
    let random = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", random(), random())
}

pub(crate) fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

/// The directory of an absolute path.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_taken_apart_and_put_together() {
        for (uri, address, path) in [
            ("hdfs://name:9000/a/b", "hdfs://name:9000", "/a/b"),
            ("hdfs://prod/a/", "hdfs://prod", "/a"),
            ("hdfs:///a%20b", "hdfs://", "/a%20b"),
            ("hdfs:/a", "hdfs://", "/a"),
            ("hdfs:///", "hdfs://", ""),
            ("hdfs://name:1", "hdfs://name:1", ""),
        ] {
            let root = Root::parse(uri).unwrap();
            assert_eq!((&*root.address, &*root.path), (address, path), "{uri}");
            assert_eq!(Root::parse(&root.uri()).unwrap().path, root.path, "{uri}");
        }
        for uri in ["s3://x/y", "/x", "hdfs:x", "hdfs://n/a/../b", "hdfs://n/a//b", "hdfs:"] {
            assert!(Root::parse(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn names_are_unique_and_parents_found() {
        assert_ne!(temporary_name(), temporary_name());
        assert_eq!((parent("/a/b"), parent("/a")), ("/a", "/"));
        assert_eq!((join("/", "x"), join("/a", "x")), ("/x".to_owned(), "/a/x".to_owned()));
    }
}
