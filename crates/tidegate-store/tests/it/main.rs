//! Both stores against the contract.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tidegate_store::{
    CheckpointStorage, FsStorage, MemoryStorage, OwnerInfo, PublishOutcome, StorageError,
    StoragePath, conformance,
};

#[test]
fn memory_storage_conforms() {
    conformance::run(&|| Arc::new(MemoryStorage::new()));
}

#[test]
fn fs_storage_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    conformance::run(&|| {
        next.set(next.get() + 1);
        // Neither the root nor what is above it exists.
        let root = directory.path().join(format!("{}/made/later", next.get()));
        Arc::new(FsStorage::open(&root).unwrap())
    });
}

#[test]
fn nothing_is_made_before_the_first_write() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let storage = FsStorage::open(&root).unwrap();
    assert!(storage.list(&StoragePath::root()).unwrap().is_empty());
    assert!(!root.exists());
}

#[test]
fn what_a_crash_leaves_is_invisible_and_goes_with_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let storage = FsStorage::open(directory.path()).unwrap();
    let chk = StoragePath::new("chk-1").unwrap();
    fs::create_dir(directory.path().join("chk-1")).unwrap();
    fs::write(directory.path().join("chk-1/.tmp-AbCdEf"), b"half").unwrap();
    fs::write(directory.path().join("chk-1/.owner"), b"host: dead").unwrap();
    assert!(storage.list(&chk).unwrap().is_empty());
    let hold = storage.own(&chk, &OwnerInfo::current("job", 1)).unwrap();
    let metadata = chk.join("_metadata").unwrap();
    assert_eq!(storage.publish(&metadata, b"x").unwrap(), PublishOutcome::Published);
    drop(hold);
    let _ = storage.delete_directory(&chk).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_deleted_by_another_process_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (FsStorage::open(directory.path()), FsStorage::open(directory.path()));
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    let file = |n: u32| StoragePath::new(&format!("job/chk-1/{n}")).unwrap();
    let _ = ours.publish(&file(1), b"1").unwrap();
    let _ = theirs.delete_directory(&StoragePath::new("job").unwrap()).unwrap();
    assert_eq!(ours.publish(&file(2), b"2").unwrap(), PublishOutcome::Published);
}

#[test]
fn files_are_as_readable_as_the_umask_says() {
    let directory = tempfile::tempdir().unwrap();
    let storage = FsStorage::open(directory.path()).unwrap();
    let path = StoragePath::new("a").unwrap();
    let _ = storage.publish(&path, b"1").unwrap();
    fs::write(directory.path().join("plain"), b"1").unwrap();
    let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("a"), mode("plain"));
}

#[test]
fn a_file_where_a_directory_should_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("root"), b"").unwrap();
    let storage = FsStorage::open(&directory.path().join("root")).unwrap();
    let error = storage.publish(&StoragePath::new("a").unwrap(), b"1").unwrap_err();
    assert!(matches!(error, StorageError::AlreadyExists { .. } | StorageError::Io { .. }));
    assert!(error.to_string().contains("/root"), "{error}");
    assert!(storage.list(&StoragePath::root()).is_err());
}
