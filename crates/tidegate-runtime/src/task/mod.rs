//! Tasks: the threads of a job. Each is a source or an input gate with the chain behind it.

mod gate;
mod source;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, Sender};
use tidegate_align::AlignmentMode;
use tidegate_coordinator::{CheckpointPaths, FileResolver, IN_FLIGHT, RestorePlan};
use tidegate_state::{
    KeyedContext, RestoredFile, RestoredKeyedState, StateBackend, StateError, StateSource,
};
use tidegate_store::CheckpointStorage;
use tidegate_types::{
    AttemptId, Barrier, CheckpointId, JobId, KeyGroupRange, MaxParallelism, OperatorUid,
    Parallelism, SharedFile, StateHandle, Subtask, TaskId,
};

use crate::cancel::Cancel;
use crate::error::TaskError;
use crate::exchange::OutputRoom;
use crate::lists::restored_items;
use crate::report::{Command, Report};
use crate::savepoints::SavepointPlaces;
use crate::snapshot::SnapshotQueue;

pub(crate) use gate::GateTask;
pub(crate) use source::{SourceInput, SourceTask};

/// What all tasks of one attempt share.
pub(crate) struct AttemptContext {
    pub(crate) job: JobId,
    pub(crate) attempt: AttemptId,
    pub(crate) max_parallelism: MaxParallelism,
    /// The parallelism of each task, by its position.
    pub(crate) parallelism: Vec<Parallelism>,
    /// The channels of each edge, by its position: `EdgeChannels<T>` of that edge's type.
    pub(crate) edges: Vec<Arc<dyn Any + Send + Sync>>,
    pub(crate) backend: Arc<dyn StateBackend>,
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) paths: CheckpointPaths,
    pub(crate) savepoints: Arc<SavepointPlaces>,
    pub(crate) restore: Option<Restore>,
    /// How barriers and data relate.
    pub(crate) alignment: AlignmentMode,
}

/// What an attempt starts from.
pub(crate) struct Restore {
    pub(crate) plan: RestorePlan,
    pub(crate) resolver: FileResolver,
    pub(crate) checkpoint: CheckpointId,
    /// Whether new checkpoints may refer to its files.
    pub(crate) may_be_shared: bool,
}

impl Restore {
    /// The items of an operator's list, of all of its subtasks.
    pub(crate) fn all_items(
        &self,
        uid: &OperatorUid,
        list: &str,
    ) -> Result<Vec<Vec<u8>>, TaskError> {
        let all = Subtask::all(Parallelism::ONE).map(|only| self.plan.for_subtask(uid, only));
        let items = all.map(|state| restored_items(&state, &self.resolver, list));
        Ok(items.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().flatten().collect())
    }
}

/// What one subtask of a task knows of the world.
pub(crate) struct TaskContext {
    pub(crate) shared: Arc<AttemptContext>,
    pub(crate) task: TaskId,
    pub(crate) subtask: Subtask,
    /// The operators of the task, the first one first.
    pub(crate) operators: Vec<OperatorUid>,
    /// Whether there is room for what the task sends.
    pub(crate) room: OutputRoom,
    pub(crate) commands: Receiver<Command>,
    pub(crate) reports: Sender<Report>,
    pub(crate) cancel: Cancel,
    pub(crate) snapshots: SnapshotQueue,
}

impl TaskContext {
    /// What the keyed state of an operator of this subtask is opened with.
    pub(crate) fn keyed(
        &self,
        uid: &OperatorUid,
    ) -> Result<(KeyedContext, Vec<RestoredKeyedState>), TaskError> {
        let context = KeyedContext {
            operator: uid.clone(),
            subtask: self.subtask,
            max_parallelism: self.shared.max_parallelism,
            key_groups: KeyGroupRange::of_subtask(self.shared.max_parallelism, self.subtask),
            attempt: self.shared.attempt,
        };
        let Some(Restore { plan, resolver, may_be_shared, .. }) = &self.shared.restore else {
            return Ok((context, Vec::new()));
        };
        let restored = plan.for_subtask(uid, self.subtask).keyed.into_iter();
        let restored = restored.map(|(handle, registered)| {
            let found = |shared: &SharedFile| {
                let (storage, path) = resolver.resolve(&shared.file.reference)?;
                Ok(RestoredFile { storage, path })
            };
            let shared = handle.shared.iter().map(found).collect::<Result<_, StateError>>()?;
            let manifest = match &handle.manifest {
                StateHandle::Inline(bytes) => StateSource::from(Arc::clone(bytes)),
                other => {
                    let file = other.file().expect("inline or a file");
                    let fault =
                        |fault| TaskError::RestoredFile { state: uid.as_str().into(), fault };
                    StateSource::from_reader(resolver.open_checked(file).map_err(fault)?)
                }
            };
            let may_be_shared = *may_be_shared;
            // Records in flight are registered beside the state, and are none.
            let registered = registered.into_iter().filter(|state| &*state.name != IN_FLIGHT);
            let registered = registered.collect();
            Ok(RestoredKeyedState { handle, manifest, registered, shared, may_be_shared })
        });
        Ok((context, restored.collect::<Result<_, TaskError>>()?))
    }
}

/// A task that is ready to run on its thread.
pub(crate) trait TaskBody {
    /// Runs until the job is finished, cancelled or has failed.
    fn run(self: Box<Self>, context: &TaskContext) -> Result<(), TaskError>;
}

/// Builds a task on its own thread, since what it builds need not be `Send`.
pub(crate) type TaskFactory =
    Arc<dyn Fn(&TaskContext) -> Result<Box<dyn TaskBody>, TaskError> + Send + Sync>;

/// Milliseconds since the Unix epoch.
pub(crate) fn wall_clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long ago a checkpoint was triggered. All tasks run on the clock that triggered it.
pub(crate) fn age(barrier: &Barrier) -> Duration {
    let now_ms = wall_clock_ms().unsigned_abs();
    Duration::from_millis(now_ms.saturating_sub(barrier.triggered_at_ms))
}
