//! Metadata of a checkpoint that refers to many files.

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{
    AttemptId, BackendKind, CheckpointId, Digest, FileHandle, FileReference, JobId, KeyGroupRange,
    KeyedStateHandle, MaxParallelism, OperatorState, OperatorUid, Parallelism, SharedFile,
    SnapshotKind, StateHandle, Subtask, SubtaskState,
};

/// Handles of each subtask: its manifest, and the files that it shares with other checkpoints.
const HANDLES_OF_SUBTASK: usize = 10;

/// A checkpoint of one operator with this many handles of files, ten for each subtask.
///
/// # Panics
///
/// When it is no multiple of ten, or more than there can be subtasks for.
#[must_use]
pub fn metadata(handles: usize) -> CheckpointMetadata {
    assert_eq!(handles % HANDLES_OF_SUBTASK, 0, "ten handles for each subtask");
    let subtasks = u16::try_from(handles / HANDLES_OF_SUBTASK).expect("few subtasks");
    let parallelism = Parallelism::new(subtasks).expect("one subtask or more");
    let max_parallelism = MaxParallelism::new(MaxParallelism::LIMIT).expect("the limit");
    let states = Subtask::all(parallelism).map(|subtask| {
        let range = KeyGroupRange::of_subtask(max_parallelism, subtask);
        (subtask.index(), subtask_state(range))
    });
    let operator = OperatorState {
        uid: OperatorUid::new("count words").expect("a valid uid"),
        parallelism,
        max_parallelism,
        registered: Vec::new(),
        subtasks: states.collect(),
    };
    CheckpointMetadata {
        job_id: JobId::from_bytes([7; 16]),
        job_name: "benchmark".to_owned(),
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(1),
        kind: SnapshotKind::Checkpoint,
        created_at_ms: 951_782_400_123,
        operators: vec![operator],
    }
}

fn subtask_state(key_groups: KeyGroupRange) -> SubtaskState {
    let first = key_groups.first();
    let manifest = file(FileReference::in_checkpoint(&format!("1-{first}.manifest")));
    let shared = (1..HANDLES_OF_SUBTASK).map(|number| {
        let name = format!("{number:08x}-{first}.segment");
        let file = file(FileReference::in_job(&format!("shared/{name}")));
        SharedFile { name: name.into(), file }
    });
    let keyed = KeyedStateHandle {
        backend: BackendKind::Fs,
        key_groups,
        manifest: StateHandle::File(manifest),
        shared: shared.collect(),
    };
    SubtaskState { keyed: vec![keyed], ..SubtaskState::default() }
}

fn file<E: std::fmt::Debug>(reference: Result<FileReference, E>) -> FileHandle {
    let reference = reference.expect("plain names");
    FileHandle { digest: Digest::of(reference.as_str().as_bytes()), reference, length: 1 << 20 }
}
