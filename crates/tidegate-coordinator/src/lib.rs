//! The checkpoint coordinator: trigger, acknowledge, complete, subsume, retain, restore.
//!
//! [`Coordinator`] is a state machine: events and the time go in, actions come out. It has no
//! thread, clock, channel or storage; whoever drives it carries the actions out, with the functions
//! of this crate that take a [`CheckpointStorage`](tidegate_store::CheckpointStorage). The way back
//! is [`locate`], [`verify`] and [`RestorePlan`], which deals a checkpoint out to any parallelism.
//!
//! **It is not** a scheduler of tasks, and it knows no backend's form of state.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_coordinator::{
//!     Acknowledgement, Action, Coordinator, CoordinatorConfig, Event, JobInfo, SubtaskStats,
//!     TaskTopology, Topology,
//! };
//! use tidegate_types::{
//!     AttemptId, CheckpointId, JobId, MaxParallelism, OperatorUid, Parallelism, Subtask, TaskId,
//! };
//!
//! // One source task with one subtask, and a checkpoint every second.
//! let task = TaskId::new(0);
//! let source = TaskTopology {
//!     task,
//!     parallelism: Parallelism::ONE,
//!     operators: vec![OperatorUid::new("lines")?],
//!     is_source: true,
//! };
//! let topology = Topology { tasks: vec![source], max_parallelism: MaxParallelism::DEFAULT };
//! let interval = Some(Duration::from_secs(1));
//! let config = CoordinatorConfig { interval, ..CoordinatorConfig::default() };
//! let job = JobInfo {
//!     job_id: JobId::from_bytes([7; 16]),
//!     job_name: "example".to_owned(),
//!     attempt: AttemptId::new(1),
//! };
//! let mut coordinator = Coordinator::new(config, topology, job, CheckpointId::FIRST, None);
//!
//! // After a second a barrier is due.
//! let now = coordinator.next_wakeup().unwrap();
//! let actions = coordinator.handle(Event::Tick, now, 0);
//! let [Action::InjectBarrier(barrier)] = &actions[..] else { panic!("{actions:?}") };
//!
//! // When every subtask has acknowledged, the metadata is to be published …
//! let acknowledgement = Acknowledgement {
//!     checkpoint: barrier.checkpoint,
//!     task,
//!     subtask: Subtask::new(0, Parallelism::ONE),
//!     operators: Vec::new(),
//!     stats: SubtaskStats::default(),
//! };
//! let actions = coordinator.handle(Event::Acknowledged(acknowledgement), now, 0);
//! assert!(matches!(&actions[..], [Action::Publish(_)]));
//!
//! // … and only then is the checkpoint complete.
//! let actions = coordinator.handle(Event::Published(barrier.checkpoint), now, 0);
//! assert!(matches!(&actions[..], [Action::NotifyComplete(_)]));
//! # Ok::<(), tidegate_types::InvalidId>(())
//! ```
#![forbid(unsafe_code)]

mod aborted;
mod acknowledgement;
mod completed;
mod config;
mod coordinator;
mod discard;
mod dispose;
mod error;
mod event;
mod in_flight;
mod locate;
mod maintain;
mod paths;
mod pending;
mod plan;
mod publish;
mod reason;
mod rebase;
mod redistribute;
mod registry;
mod resolve;
mod retention;
mod schedule;
mod statistics;
mod survey;
mod topology;
mod verify;

pub use acknowledgement::{AcknowledgeOutcome, Acknowledgement, SubtaskStats};
pub use completed::{CompletedCheckpoint, RestoredCheckpoint};
pub use config::{CoordinatorConfig, ExternalizedCheckpointCleanup};
pub use coordinator::Coordinator;
pub use discard::{discard, discard_at};
pub use dispose::{DisposeError, Disposed, dispose_savepoint};
pub use error::{FileFault, FileProblem, PublishError, RestoreError, SkippedCheckpoint};
pub use event::{Action, Discarded, Event, PendingPublication};
pub use in_flight::{IN_FLIGHT, InFlightHead, InFlightSelection, registered_in_flight};
pub use locate::{LocatedCheckpoint, locate, locate_in};
pub use maintain::{
    Abandoned, next_checkpoint_id, remove_abandoned, remove_abandoned_data, remove_incomplete,
};
pub use paths::{CheckpointPaths, savepoint_name};
pub use plan::{RestorePlan, SubtaskRestore};
pub use publish::{publish_metadata, publish_metadata_at, publish_owned};
pub use reason::{AbortReason, DeclineReason, FailureReason};
pub use rebase::rebased;
pub use redistribute::{RestoredItem, RestoredList};
pub use registry::SharedStateRegistry;
pub use resolve::FileResolver;
pub use retention::{Fate, JobStatus, fate};
pub use statistics::{
    CheckpointStatistics, CheckpointStatus, Counts, Statistics, SubtaskStatistics,
};
pub use survey::{NewestOwn, Survey, survey};
pub use topology::{JobInfo, TaskTopology, Topology};
pub use verify::{VerifyProgress, verify, verify_with};
