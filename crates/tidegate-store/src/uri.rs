//! From a URI, as configuration has it, to the storage that it names.

use std::path::Path;
use std::sync::Arc;

use crate::{CheckpointStorage, FsStorage, MemoryStorage, StorageError};

const AVAILABLE: &str = "file:///an/absolute/path, a plain path, or memory:";

/// The storage whose root is `uri`.
///
/// `file:///x` and plain paths are the local file system; percent signs are taken literally, as
/// Hadoop and Flink do. `memory:` is a new, empty [`MemoryStorage`], shared with nobody.
pub fn storage_for_uri(uri: &str) -> Result<Arc<dyn CheckpointStorage>, StorageError> {
    let invalid = || StorageError::InvalidUri { uri: uri.into(), available: AVAILABLE };
    if matches!(uri, "memory:" | "memory://") {
        return Ok(Arc::new(MemoryStorage::new()));
    }
    let path = match uri.split_once(':') {
        Some(("file", rest)) => {
            // One slash or three; two would make the first name a host.
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(invalid());
            }
            path
        }
        Some((scheme, rest)) if rest.starts_with("//") && is_scheme(scheme) => {
            return Err(invalid());
        }
        _ if uri.is_empty() => return Err(invalid()),
        _ => uri,
    };
    Ok(Arc::new(FsStorage::open(Path::new(path))?))
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_by_uri_and_by_path() {
        for uri in ["file:///x/y", "file:/x/y", "/x/y", "/x/y/", "file:///x/y/"] {
            assert_eq!(storage_for_uri(uri).unwrap().uri(), "file:///x/y", "{uri}");
        }
        assert_eq!(storage_for_uri("memory:").unwrap().uri(), "memory:");
        let relative = storage_for_uri("some/where").unwrap();
        assert!(relative.uri().starts_with("file:///") && relative.uri().ends_with("/some/where"));
    }

    #[test]
    fn other_schemes_are_named_with_what_there_is() {
        for uri in ["hdfs:///x", "s3://bucket/x", "file://host/x", "file:x", ""] {
            let error = storage_for_uri(uri).unwrap_err();
            assert!(matches!(error, StorageError::InvalidUri { .. }), "{uri}: {error}");
            assert!(error.to_string().contains("memory:"), "{error}");
        }
    }
}
