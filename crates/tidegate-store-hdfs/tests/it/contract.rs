//! The contract of every store, and what this one adds to it.

use std::io::Write as _;

use tidegate_store::{StorageError, StoragePath, conformance};
use tidegate_store_hdfs::{HdfsOptions, HdfsStorage};

use crate::cluster::{root, storage};

#[test]
fn hdfs_storage_conforms() {
    if root("conformance").is_none() {
        return;
    }
    conformance::run(&|| storage(&root("conformance").expect("there was one")));
}
