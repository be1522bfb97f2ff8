//! What the text of a URI says, before any store is asked.

use crate::{StorageError, StoragePath};

/// Schemes that stores of other crates have: what a program without them is told to add.
const ADAPTERS: [(&[&str], &str); 4] = [
    (&["hdfs", "viewfs"], "hdfs"),
    (&["s3", "s3a", "s3n"], "s3"),
    (&["gs"], "gcs"),
    (&["az", "azure", "abfs", "abfss", "wasb", "wasbs"], "azure"),
];

/// The path in the local file system that a URI or plain path means; `None` for every other scheme.
///
/// `file:///x` and `file:/x` are `/x`; percent signs are taken literally, as Hadoop and Flink do.
#[must_use]
pub fn local_path_of(uri: &str) -> Option<&str> {
    match scheme_of(uri) {
        None => Some(uri),
        // One slash or three; two would make the first name a host.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            Some(rest.strip_prefix("//").unwrap_or(rest))
        }
        Some(_) => None,
    }
}

/// A URI of another scheme than `file`, taken apart: `s3` and `//bucket/x`. `None` for a plain path,
/// which may have a colon in it.
pub(crate) fn scheme_of(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    // Hadoop takes one slash for an empty authority.
    let is_known = || {
        scheme.eq_ignore_ascii_case("file") || feature_of(&scheme.to_ascii_lowercase()).is_some()
    };
    let is_uri = rest.starts_with("//")
        || rest.starts_with('/') && is_known()
        || scheme.eq_ignore_ascii_case("file")
        || scheme == "memory" && rest.is_empty();
    (is_scheme && is_uri).then_some((scheme, rest))
}

/// The facade's feature that has a store of this scheme, in lower case.
pub(crate) fn feature_of(scheme: &str) -> Option<&'static str> {
    ADAPTERS.iter().find(|(schemes, _)| schemes.contains(&scheme)).map(|(_, feature)| *feature)
}

/// The URI of the storage's root in its one form: scheme in lower case, an authority even if empty,
/// no slash at the end. Refused when it carries a password.
pub(crate) fn normal(scheme: &str, rest: &str) -> Result<String, StorageError> {
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err(StorageError::PasswordInUri { scheme: scheme.into() });
    }
    let trimmed = rest.trim_end_matches('/');
    // What is left of `hdfs:///`, the root of the default name node.
    let slash = if trimmed.is_empty() { "/" } else { "" };
    Ok(format!("{scheme}://{trimmed}{slash}"))
}

/// A URI as scheme and authority, which are no names in a store, and the path after them; a plain
/// path is all path.
pub(crate) fn split_authority(uri: &str) -> (&str, &str) {
    let Some((scheme, rest)) = scheme_of(uri) else { return ("", uri) };
    let authority = rest.strip_prefix("//");
    let authority = authority.map_or(0, |rest| 2 + rest.find('/').unwrap_or(rest.len()));
    uri.split_at(scheme.len() + 1 + authority)
}

/// A URI as root and path in it: the path is the last name, if a store accepts that, so that `..` of
/// a checkpoint's directory lies in the same storage.
pub(crate) fn split(uri: &str) -> (&str, StoragePath) {
    let whole = (uri, StoragePath::root());
    let (authority, path) = split_authority(uri);
    let Some(slash) = path.rfind('/') else {
        // A plain relative name lies in the current directory.
        return match StoragePath::new(uri) {
            Ok(path) if authority.is_empty() => (".", path),
            _ => whole,
        };
    };
    // The root directory itself keeps its slash.
    let directory = &uri[..authority.len() + slash.max(1)];
    StoragePath::new(&path[slash + 1..]).map_or(whole, |name| (directory, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_and_file_uris_are_local() {
        for (uri, path) in [
            ("file:///x/y", Some("/x/y")),
            ("file:/x", Some("/x")),
            ("/x:y/z", Some("/x:y/z")),
            ("a:/b", Some("a:/b")),
            ("hdfs:/x", None),
            ("HDFS:///x", None),
            ("s3://bucket/x", None),
            ("memory:", None),
        ] {
            assert_eq!(local_path_of(uri), path, "{uri}");
        }
    }

    #[test]
    fn a_uri_has_one_form() {
        for (uri, expected) in [
            ("hdfs:///x/", "hdfs:///x"),
            ("hdfs:/x", "hdfs:///x"),
            ("hdfs:///", "hdfs:///"),
            ("HDFS://name:9000/x//", "hdfs://name:9000/x"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("abfss://container@account.host/x", "abfss://container@account.host/x"),
        ] {
            let (scheme, rest) = scheme_of(uri).unwrap();
            assert_eq!(normal(scheme, rest).unwrap(), expected, "{uri}");
        }
        let (scheme, rest) = scheme_of("s3://AKIA:hush@bucket/x").unwrap();
        let error = normal(scheme, rest).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }

    #[test]
    fn the_last_name_is_split_off() {
        for (uri, root, path) in [
            ("/x/job/chk-1", "/x/job", "chk-1"),
            ("/x", "/", "x"),
            ("x", ".", "x"),
            ("file:///x/y", "file:///x", "y"),
            ("hdfs:///x", "hdfs:///", "x"),
            ("hdfs:/x/y", "hdfs:/x", "y"),
            ("s3://bucket/job", "s3://bucket/", "job"),
            ("s3://bucket/a/job", "s3://bucket/a", "job"),
            ("s3://bucket", "s3://bucket", ""),
            ("/x/.hidden", "/x/.hidden", ""),
        ] {
            let (found, name) = split(uri);
            assert_eq!((found, name.as_str()), (root, path), "{uri}");
        }
    }
}
