//! Opens the stores of `hdfs:` URIs.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tidegate_store::{CheckpointStorage, StorageError, StorageFactory, StorageSettings};

use crate::cluster::Cluster;
use crate::path::Root;
use crate::{HdfsOptions, HdfsStorage, runtime};

/// Opens the stores of `hdfs:` URIs. Those of one cluster share its connections.
#[derive(Default)]
pub struct HdfsFactory {
    /// Clusters in use, by address.
    clusters: Mutex<HashMap<String, Weak<Cluster>>>,
}

impl StorageFactory for HdfsFactory {
    fn schemes(&self) -> &'static [&'static str] {
        &["hdfs"]
    }

    fn settings(&self) -> &'static [&'static str] {
        HdfsOptions::KEYS
    }

    fn open(
        &self,
        uri: &str,
        settings: &StorageSettings,
    ) -> Result<Arc<dyn CheckpointStorage>, StorageError> {
        let root = Root::parse(uri)?;
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = match clusters.get(&root.address).and_then(Weak::upgrade) {
            Some(cluster) => cluster,
            None => {
                let options = HdfsOptions::from_settings(settings)?;
                let cluster = Arc::new(Cluster::new(&root.address, &options, runtime::handle()?)?);
                clusters.retain(|_, cluster| cluster.strong_count() > 0);
                clusters.insert(root.address.clone(), Arc::downgrade(&cluster));
                cluster
            }
        };
        Ok(Arc::new(HdfsStorage::on(root, cluster)))
    }
}

impl fmt::Debug for HdfsFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HdfsFactory")
    }
}
