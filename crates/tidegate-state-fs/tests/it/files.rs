//! What is written, when, and what becomes of it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_state::{
    CancelToken, KeyedState, RestoredFile, RestoredKeyedState, SnapshotResult, SnapshotTarget,
    StateError, StateSource, ValueState, ValueStateDescriptor,
};
use tidegate_state_fs::{CompactionConfig, FsStateBackend, FsStateConfig};
use tidegate_store::{CheckpointStorage, FsStorage};
use tidegate_types::*;

use crate::disk::{Disk, path, shared_names};
use crate::world::context;

/// One subtask that counts what it writes.
struct Job {
    directory: tempfile::TempDir,
    disk: Arc<Disk>,
    backend: FsStateBackend,
    state: KeyedState<u64>,
    value: ValueState<[u8; 64]>,
    next: CheckpointId,
}

impl Job {
    fn new(config: FsStateConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let storage: Arc<dyn CheckpointStorage> = disk.clone();
        let backend = FsStateBackend::in_checkpoint_directory()
            .with_config(config)
            .with_working_directory(storage, path("job/taskowned"));
        let (state, value) = open(&backend, Vec::new()).unwrap();
        Self { directory, disk, backend, state, value, next: CheckpointId::FIRST }
    }

    fn put(&self, keys: impl Iterator<Item = u64>, round: u8) {
        for key in keys {
            self.state.set_current_key(key, key.key_hash());
            self.value.put([round; 64]).unwrap();
        }
    }

    fn get(&self, key: u64) -> Option<u8> {
        self.state.set_current_key(key, key.key_hash());
        self.value.get().unwrap().map(|value| value[63])
    }

    /// Writes a checkpoint; the bytes that this wrote.
    fn checkpoint(&mut self, complete: bool) -> Result<(SnapshotResult, u64), StateError> {
        let id = self.next;
        self.next = id.next();
        let before = self.disk.written.load(std::sync::atomic::Ordering::SeqCst);
        let job = self.state.snapshot(id, SnapshotKind::Checkpoint).unwrap();
        let target = SnapshotTarget {
            checkpoint: id,
            attempt: AttemptId::new(1),
            storage: &*self.disk,
            exclusive: &path(&format!("job/chk-{id}")),
            shared: &path("job/shared"),
        };
        let result = job.run(&target, &CancelToken::new())?;
        if complete {
            self.state.notify_complete(id);
        }
        let written = self.disk.written.load(std::sync::atomic::Ordering::SeqCst) - before;
        self.state.maintain().unwrap();
        Ok((result, written))
    }

    fn files(&self, directory: &str) -> Vec<PathBuf> {
        let directory = self.directory.path().join("job").join(directory);
        // Hidden ones too: what is not finished is debris just as well.
        let entries = fs::read_dir(directory).map(|entries| entries.map(|e| e.unwrap().path()));
        entries.map_or_else(|_| Vec::new(), Iterator::collect)
    }

    fn restored(&self, result: &SnapshotResult) -> Vec<RestoredKeyedState> {
        let storage: Arc<dyn CheckpointStorage> = self.disk.clone();
        restored(result, &storage, "job")
    }
}

fn restored(
    result: &SnapshotResult,
    storage: &Arc<dyn CheckpointStorage>,
    job: &str,
) -> Vec<RestoredKeyedState> {
    let handle = result.keyed[0].clone();
    let StateHandle::Inline(manifest) = &handle.manifest else { panic!("not inline") };
    let manifest = StateSource::from(Arc::clone(manifest));
    let found = |shared: &SharedFile| RestoredFile {
        storage: Arc::clone(storage),
        path: path(job).join(shared.file.reference.as_str()).unwrap(),
    };
    let shared = handle.shared.iter().map(found).collect();
    let registered = result.registered.clone();
    vec![RestoredKeyedState { handle, manifest, registered, shared, may_be_shared: false }]
}

fn open(
    backend: &FsStateBackend,
    restored: Vec<RestoredKeyedState>,
) -> Result<(KeyedState<u64>, ValueState<[u8; 64]>), StateError> {
    let context = context(Subtask::new(0, Parallelism::ONE), 1);
    let mut state = KeyedState::open(backend, &context, restored)?;
    let value = state.value(ValueStateDescriptor::new("value"))?;
    Ok((state, value))
}

#[test]
fn a_checkpoint_writes_what_has_changed() {
    let mut job = Job::new(FsStateConfig::default());
    job.put(0..20_000, 0);
    let (_, all) = job.checkpoint(true).unwrap();
    assert!(all < 20_000 * 72 * 13 / 10, "{all} bytes for 20,000 entries of 72");
    job.put((0..20_000).step_by(100), 1);
    let (result, some) = job.checkpoint(true).unwrap();
    assert!(some < 200 * 72 * 13 / 10 + 8_192, "{some} bytes for 200 entries of 72");
    assert_eq!(result.keyed[0].shared.len(), 2, "the older file is referred to");
    let (_, none) = job.checkpoint(true).unwrap();
    assert_eq!(none, 0, "nothing has changed");
}

#[test]
fn what_an_aborted_checkpoint_has_written_is_not_written_again() {
    let mut job = Job::new(FsStateConfig::default());
    job.put(0..20_000, 0);
    let (aborted, _) = job.checkpoint(false).unwrap();
    let names = shared_names(&aborted.keyed);
    for name in &names {
        job.disk.delete(&path(&format!("job/shared/{name}"))).unwrap();
    }
    let (result, written) = job.checkpoint(true).unwrap();
    assert_eq!(written, 0, "a link is enough");
    assert!(names.is_disjoint(&shared_names(&result.keyed)), "no name is used again");
    let (_, value) = open(&job.backend, job.restored(&result)).unwrap();
    drop(value);
    // Where nothing can be linked, the mapped bytes are copied.
    job.disk.set_links(false);
    job.put(0..1, 1);
    let (_, twice) = job.checkpoint(false).unwrap();
    let (_, again) = job.checkpoint(true).unwrap();
    assert_eq!(twice, 2 * again, "once for the task and once for the checkpoint");
}

#[test]
fn no_name_is_used_that_may_be_deleted_meanwhile() {
    let mut job = Job::new(FsStateConfig::default());
    job.put(0..100, 0);
    let (first, _) = job.checkpoint(false).unwrap();
    // The task is asked for the second before it hears that the first is complete.
    let (second, _) = job.checkpoint(false).unwrap();
    let (first_names, second_names) = (shared_names(&first.keyed), shared_names(&second.keyed));
    assert!(first_names.is_disjoint(&second_names));
    job.state.notify_complete(CheckpointId::FIRST);
    // Now the second is complete, and what only the first had is deleted.
    for name in &first_names {
        job.disk.delete(&path(&format!("job/shared/{name}"))).unwrap();
    }
    let (third, _) = job.checkpoint(false).unwrap();
    assert!(first_names.is_disjoint(&shared_names(&third.keyed)), "it refers to what is gone");
    open(&job.backend, job.restored(&third)).unwrap();
    job.state.notify_complete(CheckpointId::FIRST.next());
    job.state.notify_complete(CheckpointId::FIRST.next().next());
    let (fourth, _) = job.checkpoint(true).unwrap();
    assert_eq!(shared_names(&fourth.keyed), shared_names(&third.keyed));
}

#[test]
fn a_full_disk_fails_the_checkpoint_and_nothing_else() {
    let mut job = Job::new(FsStateConfig::default());
    job.put(0..1_000, 0);
    job.checkpoint(true).unwrap();
    let before = (job.files("shared"), job.files("taskowned"));
    for round in 1..4 {
        job.put((0..1_000).step_by(usize::from(round) + 1), round);
        job.disk.set_full(true);
        let error = job.checkpoint(true).unwrap_err();
        assert!(error.to_string().contains("no space is left"), "{error}");
        assert_eq!((job.files("shared"), job.files("taskowned")), before, "debris");
        job.disk.set_full(false);
    }
    let expected = |key: u64| match key {
        key if key % 4 == 0 => 3,
        key if key % 3 == 0 => 2,
        key if key % 2 == 0 => 1,
        _ => 0,
    };
    (0..1_000).for_each(|key| assert_eq!(job.get(key), Some(expected(key)), "key {key}"));
    let (result, _) = job.checkpoint(true).unwrap();
    let (state, value) = open(&job.backend, job.restored(&result)).unwrap();
    for key in 0..1_000_u64 {
        state.set_current_key(key, key.key_hash());
        let found = value.get().unwrap().map(|value| value[63]);
        assert_eq!(found, Some(expected(key)), "restored key {key}");
    }
}

#[test]
fn state_larger_than_the_overlay_is_spilled_and_merged() {
    let mut job = Job::new(FsStateConfig {
        overlay_max_bytes: 200_000,
        compaction: CompactionConfig {
            max_segments: NonZeroUsize::new(4).unwrap(),
            ..CompactionConfig::default()
        },
        ..FsStateConfig::default()
    });
    for (round, keys) in [(0, 0..30_000_u64), (1, 10_000..20_000)] {
        for start in keys.step_by(100) {
            job.put(start..start + 100, round);
            job.state.maintain().unwrap();
        }
    }
    // The merges that are due are done at leisure.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while job.files("taskowned").len() > 5 {
        assert!(std::time::Instant::now() < deadline, "{} files", job.files("taskowned").len());
        std::thread::sleep(std::time::Duration::from_millis(5));
        job.state.maintain().unwrap();
    }
    let size = |file: &PathBuf| fs::metadata(file).map_or(0, |metadata| metadata.len());
    let total: u64 = job.files("taskowned").iter().map(size).sum();
    assert!(total > 30_000 * 64 / 2, "{total} bytes are spilled: the state is not in memory");
    for key in (0..30_000).step_by(7) {
        assert_eq!(job.get(key), Some(u8::from((10_000..20_000).contains(&key))), "key {key}");
    }
    drop(job.state);
    drop(job.value);
    let left = fs::read_dir(job.directory.path().join("job/taskowned")).unwrap().count();
    assert_eq!(left, 0, "working files go with the task");
}

fn damaged(damage: impl Fn(&Path)) -> StateError {
    let mut job = Job::new(FsStateConfig::default());
    job.put(0..5_000, 7);
    let (result, _) = job.checkpoint(true).unwrap();
    damage(&job.files("shared")[0]);
    let (state, value) = match open(&job.backend, job.restored(&result)) {
        Ok(opened) => opened,
        Err(error) => return error,
    };
    for key in 0..5_000_u64 {
        state.set_current_key(key, key.key_hash());
        match value.get() {
            Ok(value) => assert_eq!(value, Some([7; 64]), "damage went unnoticed"),
            Err(error) => return error,
        }
    }
    panic!("damage went unnoticed");
}

#[test]
fn a_damaged_segment_is_named_with_the_place_and_what_it_held() {
    // Written anew rather than in place: the task's own name is a link to the same file.
    let change = |file: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(file).unwrap();
        change(&mut bytes);
        fs::remove_file(file).unwrap();
        fs::write(file, bytes).unwrap();
    };
    let error = damaged(|file| change(file, &|bytes| bytes[100_000] ^= 1)).to_string();
    for expected in ["-chk1-", ".segment", "offset", "key group", "\"value\""] {
        assert!(error.contains(expected), "{expected:?} is missing: {error}");
    }
    let error = damaged(|file| change(file, &|bytes| bytes.truncate(100_000))).to_string();
    assert!(error.contains("-chk1-") && error.contains(".segment"), "{error}");
    let error = damaged(|file| fs::remove_file(file).unwrap()).to_string();
    assert!(error.contains("-chk1-") && error.contains("No such file"), "{error}");
}

#[test]
fn files_go_where_the_backend_was_told() {
    let (data, meta) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage: Arc<dyn CheckpointStorage> = Arc::new(FsStorage::open(meta.path()).unwrap());
    let uri = format!("file://{}", data.path().display());
    let backend = FsStateBackend::new(&uri)
        .unwrap()
        .with_working_directory(Arc::clone(&storage), path("job/taskowned"));
    let (mut state, value) = open(&backend, Vec::new()).unwrap();
    state.set_current_key(1, 1_u64.key_hash());
    value.put([5; 64]).unwrap();
    let job = state.snapshot(CheckpointId::FIRST, SnapshotKind::Checkpoint).unwrap();
    let target = SnapshotTarget {
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(1),
        storage: &*storage,
        exclusive: &path("job/chk-1"),
        shared: &path("job/shared"),
    };
    let result = job.run(&target, &CancelToken::new()).unwrap();
    let file = &result.keyed[0].shared[0].file;
    let FileReference::Absolute(absolute) = &file.reference else { panic!("{file:?}") };
    let local = absolute.strip_prefix("file://").unwrap();
    assert_eq!(fs::metadata(local).unwrap().len(), file.length);
    assert!(Path::new(local).starts_with(data.path()));
    assert_eq!(fs::read_dir(meta.path()).unwrap().count(), 0, "nothing is beside the metadata");
}
