//! From a URI, as configuration and checkpoints have it, to the store that it names.
//!
//! This crate has the local file system and memory; stores of other crates come as
//! [`StorageFactory`]s. What stays true: stores of one root are one store as long as it is in use;
//! and no error says what a URI or setting holds in secret.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::uri::{feature_of, local_path_of, normal, scheme_of, split};
use crate::{
    CheckpointStorage, FileCache, FsStorage, MemoryStorage, StorageError, StoragePath,
    StorageSettings,
};

/// How many stores are kept open that were asked for by their URIs. Those beyond it are opened
/// again when they are asked for.
const KEPT_OPEN: usize = 64;

/// Opens the stores of some URI schemes.
pub trait StorageFactory: Send + Sync + fmt::Debug {
    /// The schemes, in lower case, such as `s3` and `s3a`.
    fn schemes(&self) -> &'static [&'static str];

    /// The keys of the settings that it reads. One that ends in a dot stands for all that begin so.
    fn settings(&self) -> &'static [&'static str];

    /// The store whose root is `uri`: of one of its schemes, with an authority even if that is
    /// empty, without a slash at the end except for `scheme:///`.
    ///
    /// It is asked for many roots of one server, and shares between them what is costly, such as
    /// connections and threads. It need not reach the server now. What `settings` does not say comes
    /// from the environment. No error holds a secret.
    fn open(
        &self,
        uri: &str,
        settings: &StorageSettings,
    ) -> Result<Arc<dyn CheckpointStorage>, StorageError>;
}

/// Finds the store that a URI names. Clones share what is open.
#[derive(Clone)]
pub struct StorageRegistry(Arc<Inner>);

struct Inner {
    factories: Vec<Arc<dyn StorageFactory>>,
    settings: StorageSettings,
    cache: Option<Arc<FileCache>>,
    /// By root, the one used last at the end.
    open: Mutex<VecDeque<(String, Arc<dyn CheckpointStorage>)>>,
}

impl StorageRegistry {
    /// The local file system, memory, and the stores of these factories, of which the first that
    /// has a scheme opens its stores.
    pub fn new(
        factories: impl IntoIterator<Item = Arc<dyn StorageFactory>>,
        settings: StorageSettings,
    ) -> Self {
        let factories = factories.into_iter().collect();
        Self(Arc::new(Inner { factories, settings, cache: None, open: Mutex::default() }))
    }

    /// The same stores, with copies of their files kept in this cache by whoever reads them through
    /// the registry. What is open is not shared.
    #[must_use]
    pub fn with_cache(&self, cache: Arc<FileCache>) -> Self {
        let Inner { factories, settings, .. } = &*self.0;
        let (factories, settings) = (factories.clone(), settings.clone());
        Self(Arc::new(Inner { factories, settings, cache: Some(cache), open: Mutex::default() }))
    }

    /// Where copies of files are kept that have no place in the local file system.
    #[must_use]
    pub fn cache(&self) -> Option<&Arc<FileCache>> {
        self.0.cache.as_ref()
    }

    /// The local file system and memory alone.
    #[must_use]
    pub fn local() -> Self {
        Self::new([], StorageSettings::default())
    }

    /// The storage whose root is `uri`.
    ///
    /// `file:///x` and plain paths are the local file system. `memory:` is a new, empty
    /// [`MemoryStorage`], shared with nobody.
    ///
    /// Fails with [`StorageError::UnknownScheme`] when no factory has its scheme.
    pub fn open(&self, uri: &str) -> Result<Arc<dyn CheckpointStorage>, StorageError> {
        if let Some(path) = local_path_of(uri) {
            let invalid = || StorageError::InvalidUri {
                uri: uri.into(),
                available: "file:///an/absolute/path, a plain path, memory:, or scheme://…",
            };
            if path.is_empty() || path.len() != uri.len() && !path.starts_with('/') {
                return Err(invalid());
            }
            return Ok(Arc::new(FsStorage::open(Path::new(path))?));
        }
        // What has no scheme is local.
        let (scheme, rest) = scheme_of(uri).unwrap_or(("", uri));
        if scheme == "memory" {
            return Ok(Arc::new(MemoryStorage::new()));
        }
        let root = normal(scheme, rest)?;
        let scheme = scheme.to_ascii_lowercase();
        let factories = &self.0.factories;
        let factory = factories.iter().find(|factory| factory.schemes().contains(&&*scheme));
        let Some(factory) = factory else { return Err(self.unknown(root, &scheme)) };
        if let Some(open) = self.opened(&root) {
            return Ok(open);
        }
        // Not under the lock: it may take its time. Of two who open at once, the first is kept.
        let opened = factory.open(&root, &self.0.settings)?;
        Ok(self.keep(root, opened))
    }

    /// A storage that holds the object of this URI, and its path there. Its directory is the
    /// storage's root, so that what lies beside it is in the same storage.
    pub fn locate(
        &self,
        uri: &str,
    ) -> Result<(Arc<dyn CheckpointStorage>, StoragePath), StorageError> {
        let (root, path) = split(uri);
        Ok((self.open(root)?, path))
    }

    /// The keys of settings that no store here reads.
    pub fn unread_settings(&self) -> impl Iterator<Item = &str> {
        let is_read = |key: &str| {
            let mut names = self.known_settings();
            names.any(|name| name == key || name.ends_with('.') && key.starts_with(name))
        };
        self.0.settings.keys().filter(move |key| !is_read(key))
    }

    /// The keys of all settings that the stores here read.
    pub fn known_settings(&self) -> impl Iterator<Item = &'static str> {
        self.0.factories.iter().flat_map(|factory| factory.settings().iter().copied())
    }

    fn opened(&self, root: &str) -> Option<Arc<dyn CheckpointStorage>> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open.iter().position(|(other, _)| other == root)?;
        let entry = open.remove(found)?;
        let storage = Arc::clone(&entry.1);
        open.push_back(entry);
        Some(storage)
    }

    fn keep(&self, root: String, opened: Arc<dyn CheckpointStorage>) -> Arc<dyn CheckpointStorage> {
        if let Some(first) = self.opened(&root) {
            return first;
        }
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back((root, Arc::clone(&opened)));
        if open.len() > KEPT_OPEN {
            open.pop_front();
        }
        opened
    }

    fn unknown(&self, uri: String, scheme: &str) -> StorageError {
        let advice = match feature_of(scheme) {
            Some(feature) => format!(
                "this program is built without the stores of {scheme}://; build it with the \
                 feature {feature:?} of the crate tidegate"
            ),
            None => {
                let schemes = self.0.factories.iter().flat_map(|factory| factory.schemes());
                let schemes = ["file", "memory"].iter().chain(schemes).copied();
                let schemes = schemes.collect::<Vec<_>>().join(", ");
                format!("no store has this scheme; there are {schemes}, and plain paths")
            }
        };
        StorageError::UnknownScheme { uri: uri.into(), advice: advice.into() }
    }
}

impl Default for StorageRegistry {
    fn default() -> Self {
        Self::local()
    }
}

impl fmt::Debug for StorageRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageRegistry")
            .field("factories", &self.0.factories)
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

/// The storage whose root is `uri`, in the local file system or memory:
/// [`StorageRegistry::open`] of a registry without further stores.
pub fn storage_for_uri(uri: &str) -> Result<Arc<dyn CheckpointStorage>, StorageError> {
    StorageRegistry::local().open(uri)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl StorageFactory for Counting {
        fn schemes(&self) -> &'static [&'static str] {
            &["x", "y"]
        }

        fn settings(&self) -> &'static [&'static str] {
            &["x.endpoint", "y."]
        }

        fn open(
            &self,
            _: &str,
            _: &StorageSettings,
        ) -> Result<Arc<dyn CheckpointStorage>, StorageError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::new(MemoryStorage::new()))
        }
    }

    #[test]
    fn files_by_uri_and_by_path() {
        for uri in ["file:///x/y", "file:/x/y", "/x/y", "/x/y/", "file:///x/y/"] {
            assert_eq!(storage_for_uri(uri).unwrap().uri(), "file:///x/y", "{uri}");
        }
        assert_eq!(storage_for_uri("memory:").unwrap().uri(), "memory:");
        let relative = storage_for_uri("some/where").unwrap();
        assert!(relative.uri().starts_with("file:///") && relative.uri().ends_with("/some/where"));
        for uri in ["file://host/x", "file:x", ""] {
            let error = storage_for_uri(uri).unwrap_err();
            assert!(matches!(error, StorageError::InvalidUri { .. }), "{uri}: {error}");
        }
    }

    #[test]
    fn what_lacks_is_named() {
        for (uri, told) in [
            ("hdfs:///x", "feature \"hdfs\""),
            ("s3a://bucket/x", "feature \"s3\""),
            ("gs://bucket", "feature \"gcs\""),
            ("abfss://c@account.host/x", "feature \"azure\""),
            ("swift://x", "there are file, memory, x, y"),
        ] {
            let factories: [Arc<dyn StorageFactory>; 1] = [Arc::new(Counting::default())];
            let registry = StorageRegistry::new(factories, StorageSettings::default());
            let error = registry.open(uri).unwrap_err();
            assert!(matches!(error, StorageError::UnknownScheme { .. }), "{uri}: {error}");
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn stores_of_one_root_are_one_and_few_are_kept() {
        let factory = Arc::new(Counting::default());
        let registry = StorageRegistry::new(
            [Arc::clone(&factory) as Arc<dyn StorageFactory>],
            StorageSettings::default(),
        );
        let first = registry.open("x://host/a").unwrap();
        let (same, path) = registry.locate("X://host/a/file").unwrap();
        assert!(Arc::ptr_eq(&first, &same) && path.as_str() == "file");
        assert_eq!(factory.0.load(Ordering::Relaxed), 1);
        for index in 0..KEPT_OPEN {
            registry.open(&format!("y://host/{index}")).unwrap();
        }
        let again = registry.open("x://host/a/").unwrap();
        assert!(!Arc::ptr_eq(&first, &again), "it was not used for long");
        assert_eq!(registry.0.open.lock().unwrap().len(), KEPT_OPEN);
    }

    #[test]
    fn settings_that_nobody_reads_are_known() {
        let settings =
            StorageSettings::new([("x.endpoint", "1"), ("x.endpont", "2"), ("y.z", "3")]);
        let factories: [Arc<dyn StorageFactory>; 1] = [Arc::new(Counting::default())];
        let registry = StorageRegistry::new(factories, settings);
        assert_eq!(registry.unread_settings().collect::<Vec<_>>(), ["x.endpont"]);
    }
}
