//! Every step that changes the disk fails in turn: what is left, and what the error says of it.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::disk::{Disk, Step};
use super::*;

/// A storage whose step number `fails_at` (from 0) gives an error, and the steps it took.
struct Trial {
    storage: FsStorage,
    steps: Arc<Mutex<Vec<Step>>>,
}

fn trial(root: &Path, fails_at: usize, kind: ErrorKind) -> Trial {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let (taken, count) = (Arc::clone(&steps), AtomicUsize::new(0));
    let hook = move |step, _: &Path| {
        taken.lock().push(step);
        if count.fetch_add(1, Ordering::Relaxed) == fails_at {
            return Err(io::Error::from(kind));
        }
        Ok(())
    };
    let disk = |root| Arc::new(Disk::with_hook(root, Box::new(hook)));
    Trial { storage: FsStorage::on(root, disk).unwrap(), steps }
}

fn visible_files(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).map_or_else(
        |_| Vec::new(),
        |all| all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect(),
    )
}

type Make = fn(&FsStorage, &StoragePath) -> Result<(), StorageError>;

fn publish(storage: &FsStorage, path: &StoragePath) -> Result<(), StorageError> {
    storage.publish(path, b"content").map(|outcome| assert_eq!(outcome, PublishOutcome::Published))
}

fn write(storage: &FsStorage, path: &StoragePath) -> Result<(), StorageError> {
    let mut writer = storage.create(path)?;
    for _ in 0..3 {
        // Beyond the buffer, so that writes fail in the middle and not just at the end.
        writer.write_all(&vec![7; 200_000]).map_err(|e| StorageError::from_write("unnamed", e))?;
    }
    writer.finish().map(drop)
}

#[test]
fn a_failure_at_any_step_leaves_the_whole_file_or_nothing_and_says_which() {
    let path = StoragePath::new("job/chk-1/file").unwrap();
    for make in [publish as Make, write] {
        for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied, ErrorKind::TimedOut] {
            for fails_at in 0.. {
                let directory = tempfile::tempdir().unwrap();
                let root = directory.path().join("root");
                let trial = trial(&root, fails_at, kind);
                let made = make(&trial.storage, &path);
                let failed = trial.steps.lock().get(fails_at).copied();
                let Some(step) = failed else {
                    assert!(made.is_ok(), "nothing failed, and still: {made:?}");
                    break;
                };
                let error = made.expect_err("a failed step was not told");
                let left = visible_files(&root.join("job/chk-1"));
                let is_there = left == ["file"];
                assert!(is_there || left.is_empty(), "{step:?} left {left:?}");
                if is_there || matches!(step, Step::Rename) && kind == ErrorKind::TimedOut {
                    assert_eq!(error.determinacy(), Determinacy::Indeterminate, "{step:?}");
                } else {
                    assert_eq!(error.determinacy(), Determinacy::Determinate, "{step:?}");
                }
                match kind {
                    ErrorKind::StorageFull => {
                        assert!(matches!(error, StorageError::Full { .. }), "{step:?}: {error:?}");
                    }
                    ErrorKind::PermissionDenied => {
                        assert!(matches!(error, StorageError::Permission { .. }), "{step:?}");
                    }
                    _ => assert!(matches!(error, StorageError::Io { .. }), "{step:?}: {error:?}"),
                }
                let place = directory.path().to_str().unwrap();
                assert!(error.to_string().contains(place), "{error} names no place");
                // The disk works again: a file that was not made is made now, by the same storage.
                if !is_there {
                    make(&trial.storage, &path).unwrap();
                }
            }
        }
    }
}

#[test]
fn content_is_durable_before_it_is_visible_and_names_are_durable_after() {
    use Step::{CreateTemporary, MakeDirectory, Rename, SyncDirectory, SyncFile, Write};
    let directory = tempfile::tempdir().unwrap();
    let trial = trial(&directory.path().join("root"), usize::MAX, ErrorKind::Other);
    publish(&trial.storage, &StoragePath::new("job/file").unwrap()).unwrap();
    let made_root_and_job = [MakeDirectory, SyncDirectory, MakeDirectory, SyncDirectory];
    let made_file = [CreateTemporary, Write, SyncFile, Rename, SyncDirectory];
    assert_eq!(*trial.steps.lock(), [&made_root_and_job[..], &made_file].concat());
    // Directories are synced into their parents once, not with every file.
    trial.steps.lock().clear();
    publish(&trial.storage, &StoragePath::new("job/other").unwrap()).unwrap();
    assert_eq!(*trial.steps.lock(), made_file);
    // One that somebody else made is synced too: he may not have come to it.
    trial.steps.lock().clear();
    fs::create_dir(directory.path().join("root/theirs")).unwrap();
    publish(&trial.storage, &StoragePath::new("theirs/file").unwrap()).unwrap();
    assert_eq!(*trial.steps.lock(), [&[SyncDirectory][..], &made_file].concat());
}

#[test]
fn an_existing_file_is_made_durable_before_it_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), b"first").unwrap();
    let trial = trial(directory.path(), usize::MAX, ErrorKind::Other);
    let path = StoragePath::new("file").unwrap();
    assert_eq!(trial.storage.publish(&path, b"x").unwrap(), PublishOutcome::AlreadyExists);
    assert!(trial.steps.lock().ends_with(&[Step::Rename, Step::SyncDirectory]));
}

// Crashes between the steps of a deletion: a checkpoint with metadata has all its files.
#[test]
fn a_deletion_that_stops_anywhere_leaves_no_metadata_without_its_files() {
    let files = ["chk-1/_metadata", "chk-1/a", "chk-2/_metadata", "chk-2/b", "shared/c"];
    for fails_at in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let plain = FsStorage::open(directory.path()).unwrap();
        for file in files {
            let path = StoragePath::new("job").unwrap().join(file).unwrap();
            let _ = plain.publish(&path, b"x").unwrap();
        }
        let trial = trial(directory.path(), fails_at, ErrorKind::TimedOut);
        let job = StoragePath::new("job").unwrap();
        let deleted = trial.storage.delete_directory(&job);
        if trial.steps.lock().len() <= fails_at {
            assert_eq!(deleted.unwrap(), DeleteOutcome::Deleted);
            assert!(fails_at >= 5, "two metadata files with their syncs, then the rest");
            break;
        }
        deleted.expect_err("a failed step was not told");
        let there = |file: &str| directory.path().join("job").join(file).exists();
        for (metadata, data) in [("chk-1/_metadata", "chk-1/a"), ("chk-2/_metadata", "chk-2/b")] {
            assert!(!there(metadata) || there(data) && there("shared/c"), "at step {fails_at}");
        }
    }
}

#[test]
fn a_failed_write_is_never_finished() {
    let directory = tempfile::tempdir().unwrap();
    let trial = trial(directory.path(), 2, ErrorKind::StorageFull);
    let path = StoragePath::new("file").unwrap();
    let mut writer = trial.storage.create(&path).unwrap();
    assert_eq!(trial.steps.lock().last(), Some(&Step::CreateTemporary));
    writer.write_all(b"lost").unwrap();
    assert_eq!(writer.flush().unwrap_err().kind(), ErrorKind::StorageFull);
    let _ = writer.write_all(b"kept");
    writer.finish().expect_err("a file with a hole was finished");
    assert!(visible_files(directory.path()).is_empty());
}

#[test]
fn a_large_file_which_threads_write_and_sync_is_whole_or_not_at_all() {
    // Past the length at which the disk is set to work ahead.
    let content: Vec<u8> = (0..35_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let fails = [
        None,
        Some((Step::Write, 0)),
        Some((Step::Write, 17)),
        Some((Step::Write, 30)),
        // Ahead, and at the end.
        Some((Step::SyncFile, 0)),
        Some((Step::SyncFile, 1)),
    ];
    for fails in fails {
        let directory = tempfile::tempdir().unwrap();
        let count = AtomicUsize::new(0);
        let hook = move |step, _: &Path| match fails {
            Some((other, at)) if step == other && count.fetch_add(1, Ordering::Relaxed) == at => {
                Err(io::Error::from(ErrorKind::StorageFull))
            }
            _ => Ok(()),
        };
        let disk = |root| Arc::new(Disk::with_hook(root, Box::new(hook)));
        let storage = FsStorage::on(directory.path(), disk).unwrap();
        let path = StoragePath::new("file").unwrap();
        let mut writer = storage.create(&path).unwrap();
        let written = content.chunks(700_001).try_for_each(|piece| writer.write_all(piece));
        let finished = match written {
            Ok(()) => writer.finish(),
            Err(error) => {
                let _ = writer.finish().expect_err("a file with a hole was finished");
                Err(StorageError::from_write("unnamed", error))
            }
        };
        let Some(_) = fails else {
            let finished = finished.unwrap();
            assert!(fs::read(directory.path().join("file")).unwrap() == content);
            assert_eq!(finished.length, content.len() as u64);
            assert_eq!(finished.digest, tidegate_types::Digest::of(&content));
            continue;
        };
        let error = finished.expect_err("a failure was not told");
        assert!(matches!(error, StorageError::Full { .. }), "{fails:?}: {error:?}");
        assert_eq!(error.determinacy(), Determinacy::Determinate, "{fails:?}");
        assert!(visible_files(directory.path()).is_empty(), "{fails:?}");
    }
}

// The owner is stopped before each of his steps, and somebody else takes the directory over.
#[test]
fn an_owner_superseded_between_any_two_steps_publishes_nothing_more() {
    let job = StoragePath::new("job").unwrap();
    let metadata = job.join("chk-1/_metadata").unwrap();
    for stops_at in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let other = FsStorage::open(directory.path()).unwrap();
        let (directory_of_job, at) = (job.clone(), metadata.clone());
        let taken = Arc::new(Mutex::new(None));
        let (hold, count) = (Arc::clone(&taken), AtomicUsize::new(0));
        let begun = Arc::new(AtomicBool::new(false));
        let publishing = Arc::clone(&begun);
        let hook = move |step, _: &Path| {
            if !publishing.load(Ordering::Relaxed) {
                return Ok(());
            }
            if count.fetch_add(1, Ordering::Relaxed) == stops_at {
                let second =
                    other.take_over(&directory_of_job, &OwnerInfo::current("second", 2)).unwrap();
                *hold.lock() = Some((step, other.open(&at).is_ok(), second));
            }
            Ok(())
        };
        let storage =
            FsStorage::on(directory.path(), |root| Arc::new(Disk::with_hook(root, Box::new(hook))));
        let storage = storage.unwrap();
        fs::create_dir_all(directory.path().join("job/chk-1")).unwrap();
        let first = storage.own(&job, &OwnerInfo::current("first", 1)).unwrap();
        begun.store(true, Ordering::Relaxed);
        let published = first.publish(&metadata, b"stale");
        let Some((step, was_there, _second)) = taken.lock().take() else {
            assert!(stops_at > 4 && published.is_ok(), "{stops_at}: {published:?}");
            break;
        };
        let is_there = storage.open(&metadata).is_ok();
        assert_eq!(is_there, was_there, "it appeared after the take-over before {step:?}");
        if !is_there {
            assert!(matches!(published, Err(StorageError::OwnershipLost { .. })), "{published:?}");
        }
        assert!(visible_files(&directory.path().join("job/chk-1")).len() <= 1, "before {step:?}");
    }
}
