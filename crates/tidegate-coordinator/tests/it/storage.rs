//! Publishing, discarding, finding and verifying checkpoints in real directories.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_coordinator::{
    CheckpointPaths, Discarded, FileFault, LocatedCheckpoint, PublishError, RestoreError, discard,
    locate, locate_in, next_checkpoint_id, publish_metadata, remove_incomplete, verify,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, FsStorage, MemoryStorage, StoragePath, StorageRegistry};
use tidegate_types::{
    AttemptId, BackendKind, FileHandle, FileReference, JobId, KeyGroup, KeyGroupRange,
    KeyedStateHandle, MaxParallelism, OperatorState, Parallelism, SharedFile, SnapshotKind,
    StateHandle, SubtaskState,
};

use crate::common::{id, uid};

const JOB: JobId = JobId::from_bytes([0xab; 16]);

/// A directory of checkpoints, and what made them.
struct Directory {
    temporary: tempfile::TempDir,
    storage: Arc<dyn CheckpointStorage>,
    paths: CheckpointPaths,
}

impl Directory {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let storage = Arc::new(FsStorage::open(&temporary.path().join("checkpoints")).unwrap());
        Self { temporary, storage, paths: CheckpointPaths::of_job(JOB) }
    }

    fn job(&self) -> PathBuf {
        self.temporary.path().join("checkpoints").join(JOB.to_string())
    }

    fn checkpoint(&self, number: u64) -> PathBuf {
        self.job().join(format!("chk-{number}"))
    }

    fn write(&self, path: &StoragePath, reference: FileReference, content: &[u8]) -> FileHandle {
        let mut writer = self.storage.create(path).unwrap();
        writer.write_all(content).unwrap();
        let finished = writer.finish().unwrap();
        FileHandle { reference, length: finished.length, digest: finished.digest }
    }

    /// A checkpoint with an exclusive, a shared and an absolute file.
    fn publish(&self, number: u64) -> CheckpointMetadata {
        let metadata = self.metadata(number);
        publish_metadata(&*self.storage, &self.paths, &metadata).unwrap();
        metadata
    }

    fn metadata(&self, number: u64) -> CheckpointMetadata {
        let checkpoint = id(number);
        let exclusive = self.write(
            &self.paths.checkpoint(checkpoint).join("manifest").unwrap(),
            FileReference::in_checkpoint("manifest").unwrap(),
            &number.to_le_bytes(),
        );
        let name = format!("segment-{number}");
        let shared = self.write(
            &self.paths.shared().join(&name).unwrap(),
            FileReference::in_job(&format!("shared/{name}")).unwrap(),
            &vec![7; 3_000_000],
        );
        let elsewhere = format!("data/{number}");
        let absolute = format!("{}/{elsewhere}", self.storage.uri());
        let absolute = self.write(
            &StoragePath::new(&elsewhere).unwrap(),
            FileReference::absolute(&absolute).unwrap(),
            b"data",
        );
        let shared_file = |name: &str, file| SharedFile { name: name.into(), file };
        let keyed = KeyedStateHandle {
            backend: BackendKind::Fs,
            key_groups: KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(127)).unwrap(),
            manifest: StateHandle::File(exclusive),
            shared: vec![shared_file("s", shared), shared_file("d", absolute)],
        };
        let state = SubtaskState { keyed: vec![keyed], ..SubtaskState::default() };
        CheckpointMetadata {
            job_id: JOB,
            job_name: "test".to_owned(),
            checkpoint,
            attempt: AttemptId::new(1),
            kind: SnapshotKind::Checkpoint,
            created_at_ms: 1000,
            operators: vec![OperatorState {
                uid: uid("count"),
                parallelism: Parallelism::ONE,
                max_parallelism: MaxParallelism::DEFAULT,
                registered: Vec::new(),
                subtasks: vec![(0, state)],
            }],
        }
    }
}

fn find(path: &Path) -> Result<LocatedCheckpoint, RestoreError> {
    locate(&StorageRegistry::local(), path.to_str().unwrap())
}

fn skipped(located: &LocatedCheckpoint) -> Vec<String> {
    located.skipped.iter().map(ToString::to_string).collect()
}

#[test]
fn every_way_to_name_a_checkpoint_finds_it() {
    let directory = Directory::new();
    directory.publish(9);
    let written = directory.publish(10);
    let uri = format!("{}/{}", directory.storage.uri(), directory.paths.checkpoint(id(10)));
    let ways = [
        directory.checkpoint(10).join("_metadata"),
        directory.checkpoint(10),
        directory.job(),
        directory.temporary.path().join("checkpoints"),
        PathBuf::from(format!("{}/", directory.checkpoint(10).display())),
        PathBuf::from(&uri),
    ];
    for way in ways {
        let located = find(&way).unwrap_or_else(|error| panic!("{}: {error}", way.display()));
        assert_eq!(*located.metadata, written, "{}", way.display());
        assert_eq!(located.uri(), uri, "{}", way.display());
        verify(&located).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_link_a_relative_path_and_a_moved_job_are_followed() {
    let directory = Directory::new();
    directory.publish(1);
    let link = directory.temporary.path().join("newest");
    std::os::unix::fs::symlink(directory.checkpoint(1), &link).unwrap();
    verify(&find(&link).unwrap()).unwrap();
    verify(&find(&link.join("_metadata")).unwrap()).unwrap();
    // A directory whose name no store would give.
    let moved = directory.temporary.path().join(".hidden:1");
    fs::rename(directory.job(), &moved).unwrap();
    verify(&find(&moved).unwrap()).unwrap();
    let odd = moved.join("it was chk-1: keep");
    fs::rename(moved.join("chk-1"), &odd).unwrap();
    let located = find(&odd).unwrap();
    let error = verify(&located).unwrap_err();
    assert!(error.to_string().contains("../shared/segment-1"), "{error}");

    let current = std::env::current_dir().unwrap();
    let up: PathBuf = current.components().skip(1).map(|_| "..").collect();
    let relative = up.join(odd.strip_prefix("/").unwrap());
    assert_eq!(find(&relative).unwrap().metadata, located.metadata);
}

#[test]
fn what_is_no_checkpoint_is_named() {
    let directory = Directory::new();
    let root = directory.temporary.path();
    let error = find(&root.join("nothing")).unwrap_err();
    assert!(matches!(error, RestoreError::NotFound { .. }), "{error}");
    let error = find(root).unwrap_err();
    assert!(matches!(error, RestoreError::NoCheckpoint { .. }), "{error}");
    fs::write(root.join("file"), b"x").unwrap();
    let error = find(&root.join("file")).unwrap_err();
    assert!(matches!(error, RestoreError::NoCheckpoint { .. }), "{error}");

    fs::create_dir_all(directory.checkpoint(3)).unwrap();
    let error = find(&directory.checkpoint(3)).unwrap_err();
    assert!(matches!(error, RestoreError::Incomplete { .. }), "{error}");
    let error = find(&directory.checkpoint(3).join("_metadata")).unwrap_err();
    assert!(!matches!(error, RestoreError::Storage { .. }), "{error}");
    let error = find(&directory.job()).unwrap_err();
    assert!(matches!(&error, RestoreError::NoneUsable { skipped, .. } if skipped.len() == 1));
    assert!(error.to_string().contains("chk-3"), "{error}");

    let other = root.join("checkpoints").join("cd".repeat(16)).join("chk-1");
    fs::create_dir_all(other).unwrap();
    let error = find(&root.join("checkpoints")).unwrap_err();
    let RestoreError::SeveralJobs { jobs, .. } = &error else { panic!("{error}") };
    assert_eq!(jobs.len(), 2);
}

#[test]
fn a_job_falls_back_over_every_kind_of_damage_and_says_so() {
    let directory = Directory::new();
    for number in 1..=5 {
        directory.publish(number);
    }
    fs::create_dir_all(directory.checkpoint(6)).unwrap();
    let metadata = |number| directory.checkpoint(number).join("_metadata");
    let mut bytes = fs::read(metadata(5)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    replace(&metadata(5), &bytes);
    let whole = fs::read(metadata(4)).unwrap();
    replace(&metadata(4), &whole[..whole.len() - 1]);
    replace(&metadata(3), b"");
    fs::remove_file(directory.job().join("shared/segment-2")).unwrap();

    let located = find(&directory.job()).unwrap();
    assert_eq!(located.metadata.checkpoint, id(1));
    let skipped = skipped(&located);
    let expected = ["chk-6", "chk-5", "chk-4", "chk-3", "segment-2"];
    assert_eq!(skipped.len(), expected.len(), "{skipped:#?}");
    for (told, name) in skipped.iter().zip(expected) {
        assert!(told.contains(name), "{told} does not name {name}");
    }
    // Named directly, none of them falls back.
    for number in [3, 4, 5] {
        let error = find(&directory.checkpoint(number)).unwrap_err();
        assert!(matches!(error, RestoreError::Metadata { .. }), "{error}");
    }
    assert!(matches!(
        verify(&find(&directory.checkpoint(2)).unwrap()),
        Err(RestoreError::Files { .. })
    ));
}

#[test]
fn all_problems_are_named_at_once() {
    let directory = Directory::new();
    directory.publish(1);
    fs::remove_file(directory.checkpoint(1).join("manifest")).unwrap();
    let segment = directory.job().join("shared/segment-1");
    let mut content = fs::read(&segment).unwrap();
    content[2_999_999] ^= 0x10;
    replace(&segment, &content);
    replace(&directory.temporary.path().join("checkpoints/data/1"), b"dat");

    let error = verify(&find(&directory.checkpoint(1)).unwrap()).unwrap_err();
    let text = error.to_string();
    let RestoreError::Files { problems, .. } = error else { panic!("{text}") };
    let faults: Vec<_> = problems.iter().map(|problem| &problem.fault).collect();
    assert!(
        matches!(
            &faults[..],
            [
                FileFault::Missing,
                FileFault::Digest { .. },
                FileFault::Length { expected: 4, found: 3 }
            ]
        ),
        "{faults:?}"
    );
    for told in ["manifest", "../shared/segment-1", "data/1", "operator count", "subtask 1"] {
        assert!(text.contains(told), "{text} does not name {told}");
    }
}

#[test]
fn publishing_again_is_recognised_and_another_content_refused() {
    let directory = Directory::new();
    let metadata = directory.publish(1);
    publish_metadata(&*directory.storage, &directory.paths, &metadata).unwrap();
    let other = CheckpointMetadata { attempt: AttemptId::new(2), ..metadata.clone() };
    let error = publish_metadata(&*directory.storage, &directory.paths, &other).unwrap_err();
    assert!(matches!(&error, PublishError::Superseded { path } if path.ends_with("_metadata")));
    assert_eq!(*find(&directory.checkpoint(1)).unwrap().metadata, metadata);
}

#[test]
fn what_is_discarded_is_gone_and_nothing_else() {
    let directory = Directory::new();
    let first = directory.publish(1);
    directory.publish(2);
    let files = first.operators[0].subtasks[0].1.keyed[0].shared.iter();
    let files: Vec<_> = files.map(|shared| shared.file.clone()).collect();
    let discarded = Discarded { checkpoint: Some(id(1)), files };
    for _ in 0..2 {
        discard(&StorageRegistry::local(), &*directory.storage, &directory.paths, &discarded)
            .unwrap();
    }
    assert!(!directory.checkpoint(1).exists());
    assert!(!directory.job().join("shared/segment-1").exists());
    assert!(!directory.temporary.path().join("checkpoints/data/1").exists());
    verify(&find(&directory.checkpoint(2)).unwrap()).unwrap();
}

#[test]
fn while_the_metadata_is_there_its_files_are() {
    let directory = Directory::new();
    let metadata = directory.publish(1);
    let files = metadata.operators[0].subtasks[0].1.files();
    let files = files.filter(|file| matches!(file.reference, FileReference::InJob(_)));
    let discarded = Discarded { checkpoint: Some(id(1)), files: files.cloned().collect() };
    // Something that cannot be deleted as a file is.
    fs::remove_file(directory.checkpoint(1).join("_metadata")).unwrap();
    fs::create_dir_all(directory.checkpoint(1).join("_metadata/x")).unwrap();
    discard(&StorageRegistry::local(), &*directory.storage, &directory.paths, &discarded)
        .unwrap_err();
    assert!(directory.job().join("shared/segment-1").exists());
    assert!(directory.checkpoint(1).join("manifest").exists());
}

#[test]
fn ids_go_on_above_all_that_was_ever_begun_and_incomplete_ones_go() {
    let directory = Directory::new();
    let next = || next_checkpoint_id(&*directory.storage, &directory.paths).unwrap();
    assert_eq!(next(), id(1));
    directory.publish(2);
    directory.metadata(11);
    assert_eq!(next(), id(12));
    let removed = remove_incomplete(&*directory.storage, &directory.paths).unwrap();
    assert_eq!(removed, [id(11)]);
    assert!(!directory.checkpoint(11).exists());
    verify(&find(&directory.checkpoint(2)).unwrap()).unwrap();
    assert_eq!(next(), id(3));
}

#[test]
fn a_storage_without_local_files_is_read() {
    let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
    let paths = CheckpointPaths::of_job(JOB);
    let metadata = CheckpointMetadata { operators: Vec::new(), ..Directory::new().metadata(4) };
    publish_metadata(&*storage, &paths, &metadata).unwrap();
    let located = locate_in(&StorageRegistry::local(), &storage, &paths.job_directory()).unwrap();
    assert_eq!((&*located.metadata, located.directory), (&metadata, paths.checkpoint(id(4))));
    let error = locate_in(&StorageRegistry::local(), &storage, &StoragePath::new("else").unwrap())
        .unwrap_err();
    assert!(matches!(error, RestoreError::NotFound { .. }), "{error}");
}

/// As damage does it: under the same name, whatever the file's permissions.
fn replace(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}
