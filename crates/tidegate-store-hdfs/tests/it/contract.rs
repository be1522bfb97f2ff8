//! The contract of every store, and what this one adds to it.

use std::io::Write as _;
use std::sync::Arc;

use tidegate_store::{
    CheckpointStorage, DeleteOutcome, PublishOutcome, StorageError, StorageFactory, StoragePath,
    StorageRegistry, StorageSettings, conformance,
};
use tidegate_store_hdfs::{HdfsFactory, HdfsOptions, HdfsStorage};

use crate::cluster::{Plain, bytes, get, path, root, server, storage, unique};

#[test]
fn hdfs_storage_conforms() {
    if root("conformance").is_none() {
        return;
    }
    conformance::run(&|| storage(&root("conformance").expect("there was one")));
}

#[test]
fn a_file_of_many_blocks_is_whole_and_read_from_anywhere() {
    let Some(root) = root("blocks") else { return };
    let storage = storage(&root);
    // Blocks have 1 MiB here: 19 of them and a bit, and not in step with any buffer.
    let content = bytes((19 << 20) + 12_345);
    let mut writer = storage.create(&path("job/state")).unwrap();
    for part in content.chunks(700_001) {
        writer.write_all(part).unwrap();
    }
    assert_eq!(writer.finish().unwrap().length, content.len() as u64);
    assert_eq!(get(&storage, "job/state"), content);
    let reader = storage.open(&path("job/state")).unwrap();
    for (offset, length) in [(0, 1), (1 << 20, 1), ((1 << 20) - 1, 2), (3_333_333, 9_999_999)] {
        let mut part = vec![0; length];
        reader.read_at(offset as u64, &mut part).unwrap();
        assert_eq!(part, content[offset..offset + length], "{length} bytes from {offset} on");
    }
}

#[test]
fn a_dropped_stream_leaves_no_file_behind() {
    let Some(root) = root("dropped") else { return };
    let storage = storage(&root);
    let mut writer = storage.create(&path("chk-1/state")).unwrap();
    writer.write_all(&bytes(3 << 20)).unwrap();
    drop(writer);
    // Removed behind our back; the next owner would do it otherwise.
    let plain = Plain::at(&root);
    while !plain.modification_times("chk-1").is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn the_default_file_system_is_that_of_the_site_files() {
    let Some(conf_dir) = server("HADOOP_CONF_DIR", "the_default_file_system") else { return };
    let settings = StorageSettings::new([("hdfs.conf-dir", conf_dir)]);
    let factory: Arc<dyn StorageFactory> = Arc::new(HdfsFactory::default());
    let registry = StorageRegistry::new([factory], settings);
    let root = format!("hdfs:///{}", unique("default"));
    let storage = registry.open(&root).unwrap();
    assert_eq!(storage.uri(), root);
    let at = path("chk-1/_metadata");
    assert_eq!(storage.publish(&at, b"x").unwrap(), PublishOutcome::Published);
    let (found, name) = registry.locate(&format!("{root}/chk-1/_metadata")).unwrap();
    assert_eq!(found.open(&name).unwrap().read_all(1).unwrap(), b"x");
    let root_directory = registry.open("hdfs:///").unwrap();
    assert_eq!(root_directory.uri(), "hdfs://");
    let names: Vec<_> = root_directory.list(&StoragePath::root()).unwrap();
    assert!(names.iter().any(|entry| root.ends_with(&entry.name)), "{names:?}");
    assert_eq!(storage.delete_directory(&path("chk-1")).unwrap(), DeleteOutcome::Deleted);
}

#[test]
fn a_name_service_is_resolved_by_the_site_files() {
    let Some(uri) = server("TIDEGATE_TEST_HDFS_URI", "a_name_service") else { return };
    let address = uri.strip_prefix("hdfs://").unwrap();
    // The first of the two is nobody's port: the client must come to the second.
    let options = HdfsOptions {
        properties: [
            ("dfs.nameservices", "prod"),
            ("dfs.ha.namenodes.prod", "a,b"),
            ("dfs.namenode.rpc-address.prod.a", "127.0.0.1:1"),
            ("dfs.namenode.rpc-address.prod.b", address),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..HdfsOptions::default()
    };
    let root = format!("hdfs://prod/{}", unique("service"));
    let storage = HdfsStorage::open(&root, &options).unwrap();
    let published = storage.publish(&path("chk-1/_metadata"), b"x").unwrap();
    assert_eq!(published, PublishOutcome::Published);
}

#[test]
fn a_cluster_that_nobody_knows_is_refused_before_anything_is_tried() {
    let directory = tempfile::tempdir().unwrap();
    let options = HdfsOptions { conf_dir: Some(directory.path().into()), ..HdfsOptions::default() };
    for uri in ["hdfs:///x", "hdfs://no-such-service/x", "s3://x/y"] {
        let error = HdfsStorage::open(uri, &options).unwrap_err();
        assert!(matches!(error, StorageError::InvalidUri { .. }), "{uri}: {error}");
    }
}
