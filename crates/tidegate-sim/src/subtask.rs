//! A subtask whose state can be checked: the numbers of all records so far, in shared files that hold
//! a range each, and the position in a file of the checkpoint's own.

use std::io::Write;

use tidegate_coordinator::{Acknowledgement, CheckpointPaths, FileResolver, SubtaskStats};
use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, StorageError, StoragePath};
use tidegate_types::{
    AttemptId, BackendKind, Barrier, CheckpointId, FileHandle, FileReference, KeyGroupRange,
    KeyedStateHandle, MaxParallelism, OperatorUid, Parallelism, SharedFile, StateHandle, Subtask,
    SubtaskState, TaskId,
};

/// Every so many checkpoints, all is written anew and the old files are of no use any more.
const COMPACTION: u64 = 3;
/// Far above what a simulated file has.
const LONGEST: u64 = 1 << 20;

/// A file with the records from one up to another, the latter not among them.
#[derive(Clone, Debug)]
struct Segment {
    from: u64,
    to: u64,
    file: FileHandle,
}

/// What a subtask of a task with one subtask knows.
pub(crate) struct SimSubtask {
    task: TaskId,
    operator: OperatorUid,
    confirmed: Vec<Segment>,
    tentative: Vec<(CheckpointId, Vec<Segment>)>,
}

impl SimSubtask {
    pub(crate) fn new(task: TaskId, operator: OperatorUid) -> Self {
        Self { task, operator, confirmed: Vec::new(), tentative: Vec::new() }
    }

    /// Takes up its state; gives the position.
    ///
    /// # Panics
    ///
    /// When the state is not that of the position.
    pub(crate) fn restore(
        &mut self,
        metadata: &CheckpointMetadata,
        resolver: &FileResolver,
    ) -> Result<u64, StorageError> {
        let operator = metadata.operators.iter().find(|operator| operator.uid == self.operator);
        let operator = operator.expect("every checkpoint has the state of both operators");
        let keyed = &operator.subtasks[0].1.keyed[0];
        let read = |file: &FileHandle| -> Result<Vec<u64>, StorageError> {
            let text = resolver.open(&file.reference)?.read_all(LONGEST)?;
            let text = String::from_utf8(text).expect("what was written is text");
            Ok(text.split(' ').map(|number| number.parse().expect("a number")).collect())
        };
        let position = read(keyed.manifest.file().expect("it is a file"))?[0];
        self.confirmed.clear();
        self.tentative.clear();
        for SharedFile { file, .. } in &keyed.shared {
            let range = read(file)?;
            self.confirmed.push(Segment { from: range[0], to: range[1], file: file.clone() });
        }
        self.confirmed.sort_by_key(|segment| segment.from);
        let reached = self.confirmed.iter().fold(0, |reached, segment| {
            assert_eq!(segment.from, reached, "checkpoint {} has a gap", metadata.checkpoint);
            segment.to
        });
        assert_eq!(reached, position, "checkpoint {} lacks records", metadata.checkpoint);
        Ok(position)
    }

    /// Starts from nothing.
    pub(crate) fn clear(&mut self) {
        self.confirmed.clear();
        self.tentative.clear();
    }

    pub(crate) fn completed(&mut self, checkpoint: CheckpointId) {
        let known = self.tentative.iter().position(|(id, _)| *id == checkpoint);
        if let Some(known) = known {
            self.confirmed = self.tentative.swap_remove(known).1;
        }
        self.tentative.retain(|(id, _)| *id > checkpoint);
    }

    /// Writes its state; if that fails, takes back what it has written of it.
    pub(crate) fn snapshot(
        &mut self,
        storage: &dyn CheckpointStorage,
        paths: &CheckpointPaths,
        barrier: Barrier,
        attempt: AttemptId,
        position: u64,
    ) -> Result<Acknowledgement, StorageError> {
        let mut written = Vec::new();
        let state = self.write(storage, paths, barrier, attempt, position, &mut written);
        let state = state.inspect_err(|_| {
            for path in &written {
                // Nobody else will, before the next start.
                let _ = storage.delete(path);
            }
        })?;
        Ok(Acknowledgement {
            checkpoint: barrier.checkpoint,
            task: self.task,
            subtask: Subtask::new(0, Parallelism::ONE),
            operators: vec![(self.operator.clone(), Vec::new(), state)],
            stats: SubtaskStats::default(),
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the private half of `snapshot`")]
    fn write(
        &mut self,
        storage: &dyn CheckpointStorage,
        paths: &CheckpointPaths,
        barrier: Barrier,
        attempt: AttemptId,
        position: u64,
        written: &mut Vec<StoragePath>,
    ) -> Result<SubtaskState, StorageError> {
        let checkpoint = barrier.checkpoint;
        let name = format!("{}-{attempt}-{checkpoint}", self.task.get());
        let mut segments = self.confirmed.clone();
        if checkpoint.get().is_multiple_of(COMPACTION) {
            segments.clear();
        }
        let from = segments.last().map_or(0, |segment| segment.to);
        let path = paths.shared().join(&name)?;
        let text = format!("{from} {position}");
        let reference = FileReference::in_job(&format!("shared/{name}")).expect("a plain name");
        let file = write_file(storage, &path, reference, &text, written)?;
        segments.push(Segment { from, to: position, file });

        let path = paths.checkpoint(checkpoint).join(&name)?;
        let reference = FileReference::in_checkpoint(&name).expect("a plain name");
        let manifest = write_file(storage, &path, reference, &position.to_string(), written)?;
        let shared = segments.iter().map(|segment| SharedFile {
            name: segment.file.reference.as_str().into(),
            file: segment.file.clone(),
        });
        let keyed = KeyedStateHandle {
            backend: BackendKind::Fs,
            key_groups: KeyGroupRange::of_subtask(
                MaxParallelism::DEFAULT,
                Subtask::new(0, Parallelism::ONE),
            ),
            manifest: StateHandle::File(manifest),
            shared: shared.collect(),
        };
        self.tentative.push((checkpoint, segments));
        Ok(SubtaskState { keyed: vec![keyed], ..SubtaskState::default() })
    }
}

fn write_file(
    storage: &dyn CheckpointStorage,
    path: &StoragePath,
    reference: FileReference,
    text: &str,
    written: &mut Vec<StoragePath>,
) -> Result<FileHandle, StorageError> {
    let mut writer = storage.create(path)?;
    let write = writer.write_all(text.as_bytes());
    write.map_err(|error| StorageError::from_write(path.as_str(), error))?;
    // It may be there even if this fails.
    written.push(path.clone());
    let finished = writer.finish()?;
    Ok(FileHandle { reference, length: finished.length, digest: finished.digest })
}
