//! What all tests need to say briefly.

use std::time::Duration;

use tidegate_coordinator::{
    Acknowledgement, Action, Coordinator, CoordinatorConfig, JobInfo, SubtaskStats, TaskTopology,
    Topology,
};
use tidegate_types::{
    AttemptId, BackendKind, CheckpointId, Digest, FileHandle, FileReference, JobId, KeyGroup,
    KeyGroupRange, KeyedStateHandle, MaxParallelism, OperatorUid, Parallelism, SharedFile,
    StateHandle, Subtask, SubtaskState, TaskId,
};

pub(crate) fn id(number: u64) -> CheckpointId {
    CheckpointId::new(number).unwrap()
}

pub(crate) fn width(subtasks: u16) -> Parallelism {
    Parallelism::new(subtasks).unwrap()
}

pub(crate) fn uid(text: &str) -> OperatorUid {
    OperatorUid::new(text).unwrap()
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn job() -> JobInfo {
    JobInfo {
        job_id: JobId::from_bytes([0xab; 16]),
        job_name: "test".to_owned(),
        attempt: AttemptId::new(1),
    }
}

/// A source task and one behind it, each with one operator.
pub(crate) fn topology(source: u16, sink: u16) -> Topology {
    let task = |position: u16, subtasks, operator| TaskTopology {
        task: TaskId::new(u32::from(position)),
        parallelism: width(subtasks),
        operators: vec![uid(operator)],
        is_source: position == 0,
    };
    let tasks = vec![task(0, source, "source"), task(1, sink, "sink")];
    Topology { tasks, max_parallelism: MaxParallelism::DEFAULT }
}

pub(crate) fn coordinator(config: CoordinatorConfig) -> Coordinator {
    Coordinator::new(config, topology(1, 1), job(), CheckpointId::FIRST, None)
}

pub(crate) fn shared(name: &str) -> FileHandle {
    let reference = FileReference::in_job(&format!("shared/{name}")).unwrap();
    FileHandle { reference, length: 1, digest: Digest::of(name.as_bytes()) }
}

pub(crate) fn state_with(shared: &[FileHandle]) -> SubtaskState {
    let keyed = KeyedStateHandle {
        backend: BackendKind::Fs,
        key_groups: KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(127)).unwrap(),
        manifest: StateHandle::Inline([1, 2, 3].into()),
        shared: shared
            .iter()
            .map(|file| SharedFile { name: file.reference.as_str().into(), file: file.clone() })
            .collect(),
    };
    SubtaskState { keyed: vec![keyed], ..SubtaskState::default() }
}

/// The acknowledgement of one of the two subtasks of `coordinator`.
pub(crate) fn acknowledgement(
    checkpoint: CheckpointId,
    task: u32,
    shared: &[FileHandle],
) -> Acknowledgement {
    let operator = uid(if task == 0 { "source" } else { "sink" });
    let operators = vec![(operator, Vec::new(), state_with(shared))];
    let subtask = Subtask::new(0, Parallelism::ONE);
    let task = TaskId::new(task);
    Acknowledgement { checkpoint, task, subtask, operators, stats: SubtaskStats::default() }
}

/// The actions in a few words, to be compared at a glance.
pub(crate) fn brief(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .map(|action| match action {
            Action::InjectBarrier(barrier) => format!("{:?} {}", barrier.kind, barrier.checkpoint),
            Action::Publish(publication) => format!("publish {}", publication.checkpoint()),
            Action::NotifyComplete(id) => format!("complete {id}"),
            Action::NotifyAborted(id, _) => format!("aborted {id}"),
            Action::Discard(discarded) => {
                let files = discarded.files.iter().map(|file| file.reference.as_str());
                let files = files.map(|path| path.rsplit('/').next().unwrap_or(path));
                let id = discarded.checkpoint.map_or("-".to_owned(), |id| id.to_string());
                format!("discard {id} [{}]", files.collect::<Vec<_>>().join(" "))
            }
            Action::FinishJob => "finish".to_owned(),
            Action::FailJob(_) => "fail".to_owned(),
        })
        .collect()
}
