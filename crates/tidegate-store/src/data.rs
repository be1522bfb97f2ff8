//! Where data files go that are not to lie beside the metadata, if need be under random names.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use tidegate_types::Digest;

use crate::uri::split_authority;
use crate::{CheckpointStorage, StorageError, StoragePath, StorageRegistry};

/// Flink's default of `s3.entropy.length`.
const LENGTH: usize = 4;
/// How many hexadecimal digits the name of an owner's part has.
const OWNER_LENGTH: usize = 16;
const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A part of URIs that stands for random letters, as in `s3://bucket/_entropy_/checkpoints`: object
/// stores spread what they hold by the beginning of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntropyMarker {
    key: Box<str>,
    length: usize,
}

impl EntropyMarker {
    /// Stands as `key` in URIs, for so many letters; for 4 unless that is said. `None` if it cannot
    /// be a part of a name, or is for no letters or more than 32.
    #[must_use]
    pub fn new(key: &str, length: Option<usize>) -> Option<Self> {
        let length = length.unwrap_or(LENGTH);
        let is_name = StoragePath::new(&format!("x{key}")).is_ok() && !key.contains('/');
        (is_name && !key.is_empty() && (1..=32).contains(&length))
            .then(|| Self { key: key.into(), length })
    }

    /// Whether the URI has the marker in its path.
    #[must_use]
    pub fn is_in(&self, uri: &str) -> bool {
        split_authority(uri).1.contains(&*self.key)
    }

    /// The URI for metadata: without the marker, so that it is found again.
    #[must_use]
    pub fn removed_from(&self, uri: &str) -> String {
        let (authority, path) = split_authority(uri);
        let is_left = |name: &str| !name.is_empty();
        let names = path.split('/').map(|name| name.replace(&*self.key, ""));
        let path = names.filter(|name| is_left(name)).collect::<Vec<_>>().join("/");
        format!("{authority}/{path}")
    }
}

/// A directory for data files, apart from the metadata.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    storage: Arc<dyn CheckpointStorage>,
    entropy: Option<Entropy>,
    /// The directory of those whose metadata lies in one place; empty if it is everybody's.
    owner: Box<str>,
}

/// The names below the root, the first of which has random letters in it.
#[derive(Clone, Debug)]
struct Entropy {
    before: Box<str>,
    length: usize,
    /// What follows the letters in their name, and the names after that.
    after: Box<str>,
}

impl DataDirectory {
    /// The root of this storage.
    #[must_use]
    pub fn new(storage: Arc<dyn CheckpointStorage>) -> Self {
        Self { storage, entropy: None, owner: "".into() }
    }

    /// The directory of this URI. Where the marker stands in it each file has letters of its own.
    pub fn open(
        registry: &StorageRegistry,
        uri: &str,
        marker: Option<&EntropyMarker>,
    ) -> Result<Self, StorageError> {
        let Some(marker) = marker.filter(|marker| marker.is_in(uri)) else {
            return Ok(Self::new(registry.open(uri)?));
        };
        let (authority, path) = split_authority(uri.trim_end_matches('/'));
        let (head, tail) = path.split_once(&*marker.key).unwrap_or((path, ""));
        let (directory, before) = head.rsplit_once('/').unwrap_or(("", head));
        // The root is what stays the same.
        let storage = registry.open(&format!("{authority}{directory}"))?;
        let (before, after, length) = (before.into(), tail.into(), marker.length);
        let entropy = Some(Entropy { before, length, after });
        Ok(Self { storage, entropy, owner: "".into() })
    }

    /// The part of the directory that belongs to the metadata below this URI alone. Only there can
    /// be told what nobody refers to any more: a job's directory of the same name may also be used
    /// by another run, whose metadata is elsewhere.
    #[must_use]
    pub fn of_metadata(self, uri: &str) -> Self {
        let mut owner = Digest::of(uri.as_bytes()).to_string();
        owner.truncate(OWNER_LENGTH);
        Self { owner: owner.into(), ..self }
    }

    /// The storage that it lies in.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn CheckpointStorage> {
        &self.storage
    }

    /// Where a new file goes that has this path below the directory.
    pub fn place(&self, path: &StoragePath) -> Result<StoragePath, StorageError> {
        let path = self.owned(path)?;
        let Some(Entropy { before, length, after }) = &self.entropy else { return Ok(path) };
        StoragePath::new(&format!("{before}{}{after}/{path}", letters(*length)))
    }

    /// Where files go that have this path below the directory and must be found without being named:
    /// they have no random names.
    pub fn fixed_place(&self, path: &StoragePath) -> Result<StoragePath, StorageError> {
        self.owned(path)
    }

    fn owned(&self, path: &StoragePath) -> Result<StoragePath, StorageError> {
        match &*self.owner {
            "" => Ok(path.clone()),
            owner => StoragePath::new(owner)?.join(path.as_str()),
        }
    }

    /// Every directory that files of this one below the path may lie in: as many as there are random
    /// names.
    pub fn directories(&self, path: &StoragePath) -> Result<Vec<StoragePath>, StorageError> {
        let path = self.owned(path)?;
        let Some(Entropy { before, length, after }) = &self.entropy else {
            return Ok(vec![path]);
        };
        let (rest, deeper) = after.split_once('/').unwrap_or((after, ""));
        let is_ours = |name: &str| {
            let letters = name.strip_prefix(&**before).and_then(|name| name.strip_suffix(rest));
            letters.is_some_and(|letters| {
                letters.len() == *length && letters.bytes().all(|b| LETTERS.contains(&b))
            })
        };
        let children = self.storage.list(&StoragePath::root())?;
        let names = children.iter().map(|child| &*child.name).filter(|name| is_ours(name));
        names
            .map(|name| match deeper {
                "" => StoragePath::new(&format!("{name}/{path}")),
                deeper => StoragePath::new(&format!("{name}/{deeper}/{path}")),
            })
            .collect()
    }

    /// The URI of a file of the storage.
    #[must_use]
    pub fn uri_of(&self, path: &StoragePath) -> String {
        format!("{}/{path}", self.storage.uri())
    }
}

fn letters(count: usize) -> String {
    let mut text = String::with_capacity(count);
    let mut random = 0;
    for index in 0..count {
        if index % 8 == 0 {
            random = RandomState::new().build_hasher().finish();
        }
        let letter = LETTERS[usize::try_from(random % 36).expect("below 36")];
        text.write_char(letter.into()).expect("a String takes everything");
        random /= 36;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_gets_letters_and_metadata_does_not() {
        let marker = EntropyMarker::new("_entropy_", None).unwrap();
        for (uri, metadata) in [
            ("s3://bucket/_entropy_/checkpoints", "s3://bucket/checkpoints"),
            ("s3://bucket/a/x_entropy_y/b/", "s3://bucket/a/xy/b"),
            ("s3://bucket/plain", "s3://bucket/plain"),
            ("s3://_entropy_/x", "s3://_entropy_/x"),
        ] {
            assert_eq!(marker.removed_from(uri), metadata);
        }
        assert!(!marker.is_in("s3://_entropy_/x") && marker.is_in("s3://b/_entropy_"));
        for (key, length) in [("", None), ("a/b", None), ("x", Some(0)), ("x", Some(33))] {
            assert_eq!(EntropyMarker::new(key, length), None, "{key:?} {length:?}");
        }
    }

    #[test]
    fn every_file_has_letters_of_its_own_and_is_found_again() {
        let temporary = tempfile::tempdir().unwrap();
        let uri = format!("file://{}/data/x_entropy_y/z", temporary.path().display());
        let marker = EntropyMarker::new("_entropy_", Some(10));
        let registry = StorageRegistry::local();
        let data = DataDirectory::open(&registry, &uri, marker.as_ref()).unwrap();
        let job = StoragePath::new("job/shared").unwrap();
        let mut places = Vec::new();
        for name in ["a", "b"] {
            let place = data.place(&job.join(name).unwrap()).unwrap();
            data.storage().create(&place).unwrap().finish().unwrap();
            places.push(place.parent().unwrap());
        }
        assert!(places[0] != places[1] && places[0].as_str().ends_with("y/z/job/shared"));
        // What is somebody else's.
        for other in ["x/z/a", "xABCDEFGHIJy/z", "q"] {
            let other = StoragePath::new(other).unwrap();
            data.storage().create(&other).unwrap().finish().unwrap();
        }
        places.sort();
        assert_eq!(data.directories(&job).unwrap(), places);
    }
}
