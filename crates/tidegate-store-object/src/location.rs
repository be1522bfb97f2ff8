//! What a URI says: which bucket, and where in it.

use object_store::path::Path;
use tidegate_store::{StorageError, StoragePath};

const AVAILABLE: &str = "s3://bucket/path, gs://bucket/path, az://container/path or \
                         abfss://container@account.dfs.core.windows.net/path";

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    S3,
    Gcs,
    Azure,
}

/// A root in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) kind: Kind,
    /// Scheme and authority: what the client is made for.
    pub(crate) bucket: String,
    /// The bucket's or container's name.
    pub(crate) name: String,
    /// In Azure, the account, if the URI has it.
    pub(crate) account: Option<String>,
    /// The root's path in the bucket; may be empty.
    pub(crate) root: Path,
    /// The whole, without a slash at its end.
    pub(crate) uri: String,
}

impl Location {
    pub(crate) fn parse(uri: &str) -> Result<Self, StorageError> {
        let invalid = || StorageError::InvalidUri { uri: uri.into(), available: AVAILABLE };
        let (scheme, rest) = uri.split_once("://").ok_or_else(invalid)?;
        let kind = match scheme {
            "s3" | "s3a" => Kind::S3,
            "gs" => Kind::Gcs,
            "az" | "azure" | "abfs" | "abfss" => Kind::Azure,
            _ => return Err(invalid()),
        };
        let (authority, root) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, host) = match authority.split_once('@') {
            Some((name, host)) if kind == Kind::Azure => (name, Some(host)),
            // Whatever that is, it may be secret.
            Some(_) => return Err(StorageError::PasswordInUri { scheme: scheme.into() }),
            None => (authority, None),
        };
        let account = match host {
            Some(host) => {
                let known = [".dfs.core.windows.net", ".blob.core.windows.net"];
                let account = known.iter().find_map(|suffix| host.strip_suffix(suffix));
                Some(account.ok_or_else(invalid)?.to_owned())
            }
            None => None,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._$".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(invalid());
        }
        let root = Path::parse(root.trim_end_matches('/')).map_err(|_| invalid())?;
        Ok(Self {
            kind,
            bucket: format!("{scheme}://{authority}"),
            name: name.to_owned(),
            account,
            root,
            uri: uri.trim_end_matches('/').to_owned(),
        })
    }

    /// The object of a path below the root.
    pub(crate) fn object(&self, path: &StoragePath) -> Path {
        let root = self.root.as_ref();
        let text = match (root.is_empty(), path.is_root()) {
            (_, true) => root.to_owned(),
            (true, false) => path.as_str().to_owned(),
            (false, false) => format!("{root}/{path}"),
        };
        Path::parse(text).expect("a storage path has no names that objects cannot have")
    }

    /// A path as errors show it.
    pub(crate) fn shown(&self, path: &StoragePath) -> Box<str> {
        if path.is_root() {
            return self.uri.as_str().into();
        }
        format!("{}/{path}", self.uri).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_name_bucket_account_and_root() {
        let parse = |uri| {
            let l = Location::parse(uri).unwrap();
            (l.kind, l.name, l.account, l.root.to_string())
        };
        let text = str::to_owned;
        assert_eq!(parse("s3://b"), (Kind::S3, text("b"), None, text("")));
        assert_eq!(parse("s3a://b/x/y/"), (Kind::S3, text("b"), None, text("x/y")));
        assert_eq!(parse("gs://b_1/x"), (Kind::Gcs, text("b_1"), None, text("x")));
        assert_eq!(parse("az://c/x"), (Kind::Azure, text("c"), None, text("x")));
        let account = Some(text("acc"));
        let uri = "abfss://c@acc.dfs.core.windows.net/x";
        assert_eq!(parse(uri), (Kind::Azure, text("c"), account, text("x")));
    }

    #[test]
    fn what_names_no_bucket_is_refused_and_no_secret_repeated() {
        for uri in ["s3://", "s3:///x", "s3://b?/x", "abfs://c@elsewhere/x", "hdfs://x", "s3"] {
            let error = Location::parse(uri).unwrap_err();
            assert!(matches!(error, StorageError::InvalidUri { .. }), "{uri}: {error}");
        }
        let error = Location::parse("s3://key:hush@b/x").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hush"), "{error}");
    }

    #[test]
    fn paths_are_below_the_root() {
        let path = StoragePath::new("job/100% ü#?").unwrap();
        let object = |uri| Location::parse(uri).unwrap().object(&path).to_string();
        assert_eq!(object("s3://b"), "job/100% ü#?");
        assert_eq!(object("s3://b/x"), "x/job/100% ü#?");
        let location = Location::parse("s3://b/x").unwrap();
        assert_eq!(location.object(&StoragePath::root()).to_string(), "x");
        assert_eq!(&*location.shown(&path), "s3://b/x/job/100% ü#?");
    }
}
