//! Opens the stores of the schemes of object stores.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use tidegate_store::{CheckpointStorage, StorageError, StorageFactory, StorageSettings};

use crate::ObjectStorage;
use crate::bucket::Bucket;
use crate::connect::{AZURE, AZURE_ACCOUNT_KEY, GCS, S3, S3_PATH_STYLE};
use crate::location::{Kind, Location};
use crate::options::COMMON;

const SCHEMES: &[&str] = &[
    #[cfg(feature = "s3")]
    "s3",
    #[cfg(feature = "s3")]
    "s3a",
    #[cfg(feature = "gcs")]
    "gs",
    #[cfg(feature = "azure")]
    "az",
    #[cfg(feature = "azure")]
    "azure",
    #[cfg(feature = "azure")]
    "abfs",
    #[cfg(feature = "azure")]
    "abfss",
];

static SETTINGS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let kinds = [Kind::S3, Kind::Gcs, Kind::Azure];
    // Made once, and few.
    let common = kinds.iter().flat_map(|kind| {
        COMMON.map(|name| &*Box::leak(format!("{}{name}", kind.prefix()).into_boxed_str()))
    });
    let named = S3.iter().chain(&GCS).chain(&AZURE).flat_map(|(_, keys)| keys.iter().copied());
    let further = S3_PATH_STYLE.iter().copied();
    common.chain(named).chain(further).chain([AZURE_ACCOUNT_KEY]).collect()
});

/// Opens the stores of `s3:`, `s3a:`, `gs:`, `az:`, `azure:`, `abfs:` and `abfss:` URIs, as far as
/// their features are on. Storages of one bucket share its connections.
#[derive(Default)]
pub struct ObjectFactory {
    /// Buckets in use, by scheme and authority.
    buckets: Mutex<HashMap<String, Weak<Bucket>>>,
}

impl StorageFactory for ObjectFactory {
    fn schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    fn settings(&self) -> &'static [&'static str] {
        &SETTINGS
    }

    fn open(
        &self,
        uri: &str,
        settings: &StorageSettings,
    ) -> Result<Arc<dyn CheckpointStorage>, StorageError> {
        let location = Location::parse(uri)?;
        let mut buckets = self.buckets.lock();
        let bucket = match buckets.get(&location.bucket).and_then(Weak::upgrade) {
            Some(bucket) => bucket,
            None => {
                let bucket = Arc::new(ObjectStorage::bucket(&location, settings)?);
                buckets.retain(|_, bucket| bucket.strong_count() > 0);
                buckets.insert(location.bucket.clone(), Arc::downgrade(&bucket));
                bucket
            }
        };
        Ok(Arc::new(ObjectStorage::on(location, bucket)))
    }
}

impl fmt::Debug for ObjectFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectFactory")
    }
}
