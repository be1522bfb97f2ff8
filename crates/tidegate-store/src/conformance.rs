//! The tests that every [`CheckpointStorage`] must pass.

use std::io::Write;
use std::sync::{Arc, Barrier};
use std::thread;

use tidegate_types::Digest;

use crate::{
    CheckpointStorage, DeleteOutcome, Determinacy, EntryKind, LinkOutcome, OwnerInfo,
    PublishOutcome, StorageError, StoragePath,
};

type Storage = Arc<dyn CheckpointStorage>;

/// Runs the whole suite. Each call of `factory` gives a new, empty storage.
///
/// # Panics
///
/// When the storage breaks its contract; the message says how.
pub fn run(factory: &dyn Fn() -> Storage) {
    let tests: [fn(&Storage); 14] = [
        a_file_is_visible_once_finished,
        a_dropped_writer_leaves_nothing,
        no_file_is_overwritten,
        publish_never_overwrites,
        of_concurrent_publishes_one_wins,
        of_concurrent_writers_one_wins,
        a_linked_file_has_two_names,
        reads_stay_within_the_file,
        what_is_absent_is_named_so,
        children_are_listed_by_name,
        deletion_is_idempotent_and_complete,
        a_directory_has_one_owner,
        a_superseded_owner_publishes_nothing,
        nothing_appears_once_the_directory_is_taken_over,
    ];
    for test in tests {
        test(&factory());
    }
}

fn path(text: &str) -> StoragePath {
    StoragePath::new(text).expect("the suite's paths are valid")
}

fn names(storage: &Storage, directory: &StoragePath) -> Vec<String> {
    let entries = storage.list(directory).expect("a directory can be listed");
    entries.into_iter().map(|entry| entry.name).collect()
}

fn put(storage: &Storage, at: &str, bytes: &[u8]) {
    let mut writer = storage.create(&path(at)).expect("a new file can be created");
    writer.write_all(bytes).expect("a new file can be written");
    writer.finish().expect("a new file can be finished");
}

fn get(storage: &Storage, at: &str) -> Vec<u8> {
    let reader = storage.open(&path(at)).expect("a finished file can be opened");
    reader.read_all(u64::MAX).expect("a finished file can be read")
}

fn a_file_is_visible_once_finished(storage: &Storage) {
    // Larger than any buffer, and of a length that divides none.
    let bytes: Vec<u8> = (0..=255).cycle().take(1_000_003).collect();
    let at = path("job/chk-1/state");
    let mut writer = storage.create(&at).expect("a new file can be created");
    for piece in bytes.chunks(77_777) {
        writer.write_all(piece).expect("a new file can be written");
        assert!(storage.open(&at).is_err(), "an unfinished file was opened");
    }
    writer.flush().expect("a new file can be flushed");
    let listed = names(storage, &path("job/chk-1"));
    assert!(listed.is_empty(), "an unfinished file was listed: {listed:?}");

    let finished = writer.finish().expect("a new file can be finished");
    assert_eq!(finished.length, bytes.len() as u64, "length of the finished file");
    assert_eq!(finished.digest, Digest::of(&bytes), "digest of the finished file");
    assert_eq!(get(storage, at.as_str()), bytes, "content of the finished file");
    put(storage, "job/empty", b"");
    assert_eq!(get(storage, "job/empty"), b"", "content of an empty file");
    if let Some(local) = storage.local_path(&at) {
        assert_eq!(std::fs::read(local).expect("a local path can be read"), bytes);
    }
}

fn a_dropped_writer_leaves_nothing(storage: &Storage) {
    let at = path("chk-1/state");
    let mut writer = storage.create(&at).expect("a new file can be created");
    writer.write_all(&vec![1; 600_000]).expect("a new file can be written");
    drop(writer);
    assert!(storage.open(&at).is_err(), "an abandoned file was opened");
    assert!(names(storage, &path("chk-1")).is_empty(), "an abandoned file was listed");
    if let Some(local) = storage.local_path(&path("chk-1")) {
        let left = std::fs::read_dir(local).expect("the directory exists").count();
        assert_eq!(left, 0, "an abandoned file left something on disk");
    }
    put(storage, at.as_str(), b"second try");
    assert_eq!(get(storage, at.as_str()), b"second try");
}

fn no_file_is_overwritten(storage: &Storage) {
    let mut early = storage.create(&path("a")).expect("a new file can be created");
    early.write_all(b"early").expect("a new file can be written");
    put(storage, "a", b"first");
    assert!(
        matches!(storage.create(&path("a")), Err(StorageError::AlreadyExists { .. })),
        "an existing file was created anew"
    );
    let error = early.finish().expect_err("a writer finished over an existing file");
    assert!(matches!(error, StorageError::AlreadyExists { .. }), "{error}");
    assert_eq!(error.determinacy(), Determinacy::Determinate, "{error}");
    assert_eq!(get(storage, "a"), b"first");
    assert!(storage.create(&path("a/b")).is_err() || storage.open(&path("a/b")).is_err());
}

fn publish_never_overwrites(storage: &Storage) {
    let at = path("job/chk-1/_metadata");
    let publish = |bytes: &[u8]| storage.publish(&at, bytes).expect("a small file is published");
    assert_eq!(publish(b"one"), PublishOutcome::Published);
    assert_eq!(publish(b"two"), PublishOutcome::AlreadyExists);
    assert_eq!(publish(b"one"), PublishOutcome::AlreadyExists);
    assert_eq!(get(storage, at.as_str()), b"one");
    put(storage, "other", b"written");
    let over = storage.publish(&path("other"), b"x").expect("a refusal is an outcome");
    assert_eq!(over, PublishOutcome::AlreadyExists, "over a file that was written");
    assert_eq!(names(storage, &path("job/chk-1")), ["_metadata"], "publishing left something");
}

fn of_concurrent_publishes_one_wins(storage: &Storage) {
    const THREADS: u8 = 4;
    for round in 0..25 {
        let at = path(&format!("job/chk-{round}/_metadata"));
        let start = Barrier::new(usize::from(THREADS));
        let winners: Vec<u8> = thread::scope(|scope| {
            let publish = |thread| {
                let (at, start) = (&at, &start);
                scope.spawn(move || {
                    start.wait();
                    storage.publish(at, &[thread; 100]).expect("publishing is not an error")
                })
            };
            let all: Vec<_> = (0..THREADS).map(|thread| (thread, publish(thread))).collect();
            let outcomes = all.into_iter().map(|(n, t)| (n, t.join().expect("no panic")));
            outcomes.filter(|(_, o)| *o == PublishOutcome::Published).map(|(n, _)| n).collect()
        });
        assert_eq!(winners.len(), 1, "threads {winners:?} all published {at}");
        assert_eq!(get(storage, at.as_str()), [winners[0]; 100], "content of another thread");
    }
}

fn of_concurrent_writers_one_wins(storage: &Storage) {
    let at = path("shared/x");
    let mut writers: Vec<_> = (0..4_u8)
        .map(|n| {
            let mut writer = storage.create(&at).expect("no file is there yet");
            writer.write_all(&[n; 1000]).expect("a new file can be written");
            (n, writer)
        })
        .collect();
    let (first, writer) = writers.remove(2);
    writer.finish().expect("the first to finish wins");
    for (n, writer) in writers {
        assert!(writer.finish().is_err(), "writer {n} finished over another's file");
    }
    assert_eq!(get(storage, at.as_str()), [first; 1000]);
    assert_eq!(names(storage, &path("shared")), ["x"]);
}

fn a_linked_file_has_two_names(storage: &Storage) {
    put(storage, "task/a", b"state");
    put(storage, "shared/taken", b"other");
    let (old, new) = (path("task/a"), path("shared/new/b"));
    match storage.link(&old, &new).expect("a file can be linked, or links are not supported") {
        LinkOutcome::NotSupported => return,
        LinkOutcome::Linked => {}
    }
    let refused = storage.link(&old, &path("shared/taken"));
    assert!(matches!(refused, Err(StorageError::AlreadyExists { .. })), "{refused:?}");
    let missing = storage.link(&path("task/none"), &path("shared/c"));
    assert!(matches!(missing, Err(StorageError::Missing { .. })), "{missing:?}");
    storage.delete(&old).expect("one of the names can be deleted");
    assert_eq!(get(storage, new.as_str()), b"state");
    assert_eq!(get(storage, "shared/taken"), b"other");
}

fn reads_stay_within_the_file(storage: &Storage) {
    put(storage, "a", b"0123456789");
    let reader = storage.open(&path("a")).expect("a finished file can be opened");
    assert_eq!(reader.length(), 10);
    for (offset, length) in (0..=11_u64).flat_map(|o| (0..=11_usize).map(move |l| (o, l))) {
        let mut buffer = vec![0; length];
        let read = reader.read_at(offset, &mut buffer);
        let bytes =
            usize::try_from(offset).ok().and_then(|start| b"0123456789".get(start..start + length));
        match bytes {
            Some(bytes) => assert_eq!((read.is_ok(), &*buffer), (true, bytes), "at {offset}"),
            None => assert!(
                matches!(read, Err(StorageError::OutOfBounds { .. })),
                "{length} bytes at {offset}: {read:?}"
            ),
        }
    }
    assert!(reader.read_at(u64::MAX, &mut [0]).is_err(), "an offset that overflows");
    assert!(matches!(reader.read_all(9), Err(StorageError::TooLong { limit: 9, .. })));
    assert_eq!(reader.read_all(10).expect("as long as the limit"), b"0123456789");
}

fn what_is_absent_is_named_so(storage: &Storage) {
    let absent = path("no/such");
    assert!(matches!(storage.open(&absent), Err(StorageError::Missing { .. })));
    assert_eq!(storage.list(&absent).expect("an absent directory is empty"), []);
    assert_eq!(storage.list(&StoragePath::root()).expect("an absent root is empty"), []);
    for outcome in [storage.delete(&absent), storage.delete_directory(&absent)] {
        assert_eq!(outcome.expect("deleting what is absent"), DeleteOutcome::Absent);
    }
    assert!(storage.uri().contains(':') && !storage.uri().ends_with('/'), "{}", storage.uri());
}

fn children_are_listed_by_name(storage: &Storage) {
    for file in ["b", "c/x", "a", "c/d/e", "chk-1/_metadata", "chk-10/_metadata"] {
        put(storage, file, file.as_bytes());
    }
    assert_eq!(names(storage, &StoragePath::root()), ["a", "b", "c", "chk-1", "chk-10"]);
    let children = storage.list(&path("c")).expect("a directory can be listed");
    let kinds: Vec<_> = children.iter().map(|child| (child.name.as_str(), child.kind)).collect();
    assert_eq!(kinds, [("d", EntryKind::Directory), ("x", EntryKind::File { length: 3 })]);
    assert!(storage.list(&path("a")).is_err(), "a file was listed as a directory");
}

fn deletion_is_idempotent_and_complete(storage: &Storage) {
    for file in ["chk-1/_metadata", "chk-1/deep/er/file", "chk-10/_metadata", "x"] {
        put(storage, file, b"0");
    }
    let directory = path("chk-1");
    assert!(storage.delete(&directory).is_err(), "a directory was deleted as a file");
    assert!(storage.delete_directory(&path("x")).is_err(), "a file was deleted as a directory");
    let outcomes = [storage.delete(&path("x")), storage.delete(&path("x"))];
    let outcomes = outcomes.map(|outcome| outcome.expect("a file can be deleted"));
    assert_eq!(outcomes, [DeleteOutcome::Deleted, DeleteOutcome::Absent]);
    let outcomes = [storage.delete_directory(&directory), storage.delete_directory(&directory)];
    let outcomes = outcomes.map(|outcome| outcome.expect("a directory can be deleted"));
    assert_eq!(outcomes, [DeleteOutcome::Deleted, DeleteOutcome::Absent]);
    assert_eq!(names(storage, &StoragePath::root()), ["chk-10"], "left after the deletion");
    put(storage, "chk-1/_metadata", b"again");
    assert_eq!(get(storage, "chk-1/_metadata"), b"again", "a deleted path can be used again");
}

fn a_directory_has_one_owner(storage: &Storage) {
    let (job, owner) = (path("job"), OwnerInfo::current("first", 7));
    let hold = storage.own(&job, &owner).expect("nobody owns it yet");
    hold.check().expect("a new hold is good");
    match storage.own(&job, &OwnerInfo::current("second", 1)) {
        Err(StorageError::Owned { owner: found, .. }) => assert_eq!(*found, owner),
        other => panic!("a second owner got {other:?}"),
    }
    assert!(names(storage, &job).is_empty(), "the owner's mark was listed");
    let other = storage.own(&path("job-2"), &owner).expect("another directory is free");
    drop(hold);
    let again = storage.own(&job, &OwnerInfo::current("second", 1)).expect("it was given free");
    again.check().expect("the second hold is good");

    // Whoever finds the directory deleted must not go on as if it were still his.
    put(storage, "job/file", b"0");
    storage.delete_directory(&job).expect("a directory can be deleted");
    assert!(matches!(again.check(), Err(StorageError::OwnershipLost { .. })));
    let third = storage.own(&job, &owner).expect("the lost hold binds nobody");
    drop(again);
    third.check().expect("the end of a lost hold does not end its successor's");
    other.check().expect("another directory's hold is untouched");
}

fn a_superseded_owner_publishes_nothing(storage: &Storage) {
    let (job, former) = (path("job"), OwnerInfo::current("former", 1));
    let first = storage.own(&job, &former).expect("nobody owns it yet");
    assert_eq!(first.superseded(), None);
    let at = |n: u32| path(&format!("job/chk-{n}/_metadata"));
    let published = first.publish(&at(1), b"one").expect("the owner publishes");
    assert_eq!(published, PublishOutcome::Published);
    let again = first.publish(&at(1), b"two").expect("a refusal is an outcome");
    assert_eq!(again, PublishOutcome::AlreadyExists);

    let second = storage.take_over(&job, &OwnerInfo::current("second", 2)).expect("taken over");
    assert_eq!(second.superseded(), Some(&former));
    second.check().expect("a new hold is good");
    for lost in [first.check(), first.publish(&at(2), b"stale").map(drop)] {
        assert!(matches!(lost, Err(StorageError::OwnershipLost { .. })), "{lost:?}");
    }
    assert!(storage.open(&at(2)).is_err(), "a superseded owner published");
    match storage.own(&job, &former) {
        Err(StorageError::Owned { owner, .. }) => assert_eq!(owner.job_name, "second"),
        other => panic!("the former owner got {other:?}"),
    }
    let published = second.publish(&at(2), b"two").expect("the new owner publishes");
    assert_eq!(published, PublishOutcome::Published);
    assert_eq!(get(storage, at(2).as_str()), b"two");
    // The end of a lost hold does not end its successor's.
    drop(first);
    second.check().expect("the second hold is good");
    drop(second);
    let third = storage.take_over(&job, &former).expect("a free directory can be taken over too");
    assert_eq!(third.superseded(), None);
}

fn nothing_appears_once_the_directory_is_taken_over(storage: &Storage) {
    for round in 0..20 {
        let job = path(&format!("job-{round}"));
        let first = storage.own(&job, &OwnerInfo::current("first", 1)).expect("it is free");
        let start = Barrier::new(2);
        let (before, count) = thread::scope(|scope| {
            let former = scope.spawn(|| {
                start.wait();
                let at = |n| job.join(&format!("chk-{n}/_metadata")).expect("a valid name");
                (0..10_000).take_while(|n| first.publish(&at(*n), b"x").is_ok()).count()
            });
            start.wait();
            thread::sleep(std::time::Duration::from_micros(round * 97));
            let second = storage.take_over(&job, &OwnerInfo::current("second", 2));
            let second = second.expect("taken over from a living owner");
            let before = visible(storage, &job);
            let count = former.join().expect("no panic");
            drop(second);
            (before, count)
        });
        let after = visible(storage, &job);
        assert_eq!(after, before, "round {round}: a superseded owner published");
        assert!(count <= after, "round {round}: {count} published, {after} are there");
    }
}

fn visible(storage: &Storage, job: &StoragePath) -> usize {
    let checkpoints = names(storage, job).into_iter();
    let files = checkpoints.map(|name| names(storage, &job.join(&name).expect("was listed")).len());
    files.sum()
}
