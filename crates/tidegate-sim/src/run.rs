//! A job on a simulated storage, driven by the real coordinator: started, crashed, started again.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidegate_coordinator::{
    Action, CheckpointPaths, CompletedCheckpoint, Coordinator, CoordinatorConfig, Discarded, Event,
    ExternalizedCheckpointCleanup, FailureReason, Fate, FileResolver, JobInfo, JobStatus,
    RestoreError, TaskTopology, Topology, discard, fate, next_checkpoint_id, publish_owned,
    remove_abandoned, survey,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, OwnerInfo, Ownership, StorageError, StorageRegistry};
use tidegate_types::{
    AttemptId, Barrier, CheckpointId, JobId, MaxParallelism, OperatorUid, Parallelism, Subtask,
    TaskId,
};

use crate::subtask::SimSubtask;
use crate::{Random, SimStorage};

/// Records between two barriers.
const STRIDE: u64 = 10;
/// More events without a complete checkpoint than any fault explains.
const PATIENCE: u32 = 500;
const JOB: JobId = JobId::from_bytes([0x51; 16]);

/// The settings of a [`SimRun`].
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// How many complete checkpoints are kept.
    pub retained: NonZeroU32,
    /// How many may be under way at a time.
    pub max_concurrent: NonZeroU32,
    /// How many may fail in a row before the tasks are restarted.
    pub tolerable_failures: u32,
    /// What becomes of them when the job ends.
    pub cleanup: ExternalizedCheckpointCleanup,
}

/// How one process of the run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It did all that it was to do.
    Over,
    /// The power failed.
    Crashed,
    /// It could not start: the storage failed.
    Refused,
}

/// A run of a job, over as many processes as it takes.
pub struct SimRun {
    config: RunConfig,
    paths: CheckpointPaths,
    /// The newest checkpoint that anybody was told to be complete.
    told: Option<CheckpointId>,
    /// The positions of all barriers.
    positions: BTreeMap<CheckpointId, u64>,
    completed: u64,
    random: Random,
}

impl SimRun {
    /// A run that has not started. The seed decides the order of what happens at the same time.
    #[must_use]
    pub fn new(config: RunConfig, seed: u64) -> Self {
        Self {
            config,
            paths: CheckpointPaths::of_job(JOB),
            told: None,
            positions: BTreeMap::new(),
            completed: 0,
            random: Random::new(seed),
        }
    }

    /// The directory of its checkpoints.
    #[must_use]
    pub fn paths(&self) -> &CheckpointPaths {
        &self.paths
    }

    /// The newest checkpoint that tasks were told to be complete.
    #[must_use]
    pub fn told(&self) -> Option<CheckpointId> {
        self.told
    }

    /// How many checkpoints have completed, over all processes.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// The position at which a checkpoint was taken.
    #[must_use]
    pub fn position_of(&self, checkpoint: CheckpointId) -> Option<u64> {
        self.positions.get(&checkpoint).copied()
    }

    /// One process: takes the directory, goes on from the newest checkpoint that is whole, takes so
    /// many more and ends as told; with `None` it is killed between two operations.
    ///
    /// # Panics
    ///
    /// When a promise of the coordinator does not hold.
    pub fn live(&mut self, storage: &SimStorage, checkpoints: u32, end: Option<JobStatus>) -> Life {
        let mut process = match Process::start(self, storage) {
            Ok(process) => process,
            Err(_) if storage.has_crashed() => return Life::Crashed,
            Err(_) => return Life::Refused,
        };
        let mut idle = 0;
        let goal = process.run.completed + u64::from(checkpoints);
        while process.run.completed < goal {
            let before = process.run.completed;
            process.step();
            if storage.has_crashed() {
                return Life::Crashed;
            }
            idle = if process.run.completed > before { 0 } else { idle + 1 };
            assert!(idle < PATIENCE, "no checkpoint completes any more");
        }
        if let Some(status) = end {
            // What is under way comes to its end, above all a publication.
            while let Some(event) = process.events.pop_front() {
                process.handle(event);
            }
            if fate(process.run.config.cleanup, status) == Fate::Delete {
                // From here on they are deleted on purpose.
                process.run.told = None;
            }
            process.handle(Event::JobEnded(status));
        }
        if storage.has_crashed() { Life::Crashed } else { Life::Over }
    }
}

struct Process<'a> {
    run: &'a mut SimRun,
    storage: Arc<dyn CheckpointStorage>,
    power: SimStorage,
    hold: Box<dyn Ownership>,
    coordinator: Coordinator,
    begun_with: Option<Arc<CheckpointMetadata>>,
    subtasks: [SimSubtask; 2],
    attempt: AttemptId,
    position: u64,
    now: Duration,
    events: VecDeque<Event>,
    barriers: VecDeque<Barrier>,
    undeleted: Vec<Discarded>,
}

impl<'a> Process<'a> {
    fn start(run: &'a mut SimRun, power: &SimStorage) -> Result<Self, RestoreError> {
        let storage: Arc<dyn CheckpointStorage> = Arc::new(power.clone());
        let paths = run.paths.clone();
        let failed = |source| RestoreError::Storage { path: "sim:".into(), source };
        let owner = OwnerInfo::current("simulated", 1);
        let hold = storage.own(&paths.job_directory(), &owner).map_err(failed)?;
        let mut survey =
            survey(&StorageRegistry::local(), &storage, &paths, Some(CheckpointId::FIRST))?;
        let next = next_checkpoint_id(&*storage, &paths).map_err(failed)?;
        survey.newest_own()?;
        remove_abandoned(&*storage, &paths, &survey).map_err(failed)?;
        let own: Vec<_> = survey.own.iter().map(|own| Arc::clone(&own.metadata)).collect();
        let begun_with = own.last().cloned();
        let attempt = begun_with.as_ref().map_or(AttemptId::new(1), |m| m.attempt.next());
        let coordinator =
            Coordinator::new(config(&run.config), topology(), info(attempt), next, None);
        let foreign = survey.others.iter();
        let coordinator = foreign.fold(coordinator, |c, metadata| c.with_foreign(metadata));
        let mut process = Self {
            run,
            storage,
            power: power.clone(),
            hold,
            coordinator: coordinator.with_recovered(own),
            begun_with,
            subtasks: [0, 1].map(|task| SimSubtask::new(TaskId::new(task), operator(task))),
            attempt,
            position: 0,
            now: Duration::ZERO,
            events: VecDeque::new(),
            barriers: VecDeque::new(),
            undeleted: Vec::new(),
        };
        process.restore().map_err(failed)?;
        Ok(process)
    }

    /// The tasks go on from the newest complete checkpoint.
    fn restore(&mut self) -> Result<(), StorageError> {
        let newest = self.coordinator.latest_completed().map(CompletedCheckpoint::metadata);
        let newest = newest.cloned().or_else(|| self.begun_with.clone());
        self.barriers.clear();
        let Some(metadata) = newest else {
            self.position = 0;
            self.subtasks.iter_mut().for_each(SimSubtask::clear);
            return Ok(());
        };
        let directory = self.run.paths.checkpoint(metadata.checkpoint);
        let resolver =
            FileResolver::new(StorageRegistry::local(), Arc::clone(&self.storage), directory);
        for subtask in &mut self.subtasks {
            self.position = subtask.restore(&metadata, &resolver)?;
            assert_eq!(self.run.position_of(metadata.checkpoint), Some(self.position));
        }
        Ok(())
    }

    /// One of the things that can happen now happens.
    fn step(&mut self) {
        let waits = |prefers: bool, is_empty: bool| prefers && !is_empty;
        let (first, second) = (self.run.random.coin(), self.run.random.coin());
        if waits(first, self.events.is_empty()) {
            let event = self.events.pop_front().expect("it is not empty");
            self.handle(event);
        } else if waits(second, self.barriers.is_empty()) {
            let barrier = self.barriers.pop_front().expect("it is not empty");
            self.snapshot(barrier);
        } else {
            // With as many under way as may be, there is nothing to wait for but them.
            if let Some(wakeup) = self.coordinator.next_wakeup() {
                let due = self.now + Duration::from_secs(1);
                self.now = self.now.max(wakeup.min(due));
            }
            self.handle(Event::Tick);
        }
    }

    fn snapshot(&mut self, barrier: Barrier) {
        let position = self.run.positions[&barrier.checkpoint];
        for index in 0..self.subtasks.len() {
            let subtask = &mut self.subtasks[index];
            let (paths, attempt) = (&self.run.paths, self.attempt);
            let taken = subtask.snapshot(&*self.storage, paths, barrier, attempt, position);
            self.events.push_back(match taken {
                Ok(acknowledgement) => Event::Acknowledged(acknowledgement),
                Err(error) => Event::Declined {
                    checkpoint: barrier.checkpoint,
                    task: TaskId::new(u32::from(index == 1)),
                    subtask: Subtask::new(0, Parallelism::ONE),
                    reason: error.to_string().into(),
                },
            });
        }
    }

    fn handle(&mut self, event: Event) {
        for action in self.coordinator.handle(event, self.now, 0) {
            // A dead process does nothing any more.
            if self.power.has_crashed() {
                return;
            }
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::InjectBarrier(barrier) => {
                self.position += STRIDE;
                // A number that left no trace when its process died may come again.
                assert!(self.run.told < Some(barrier.checkpoint), "a complete one is taken twice");
                self.run.positions.insert(barrier.checkpoint, self.position);
                self.barriers.push_back(barrier);
            }
            Action::Publish(publication) => {
                let (storage, paths) = (&*self.storage, &self.run.paths);
                let metadata = publication.metadata();
                let outcome = publish_owned(storage, &*self.hold, paths, metadata);
                let event = Event::of_publication(publication.checkpoint(), &outcome);
                self.events.push_back(event);
            }
            Action::NotifyComplete(checkpoint) => {
                assert!(self.run.told < Some(checkpoint), "{checkpoint} completes out of order");
                self.run.told = Some(checkpoint);
                self.run.completed += 1;
                self.subtasks.iter_mut().for_each(|subtask| subtask.completed(checkpoint));
            }
            Action::NotifyAborted(..) => {}
            Action::Discard(discarded) => self.discard(discarded),
            Action::FinishJob => unreachable!("the input has no end"),
            Action::FailJob(FailureReason::Superseded { checkpoint }) => {
                panic!("superseded by nobody: checkpoint {checkpoint}")
            }
            Action::FailJob(_) => {
                self.attempt = self.attempt.next();
                let restarted = Event::TasksRestarted { attempt: self.attempt };
                self.events.clear();
                self.handle(restarted);
                // One fault at a time: the second try succeeds.
                if self.restore().is_err() && !self.power.has_crashed() {
                    self.restore().expect("one fault at a time");
                }
            }
        }
    }

    fn discard(&mut self, discarded: Discarded) {
        let again = std::mem::take(&mut self.undeleted);
        for discarded in again.into_iter().chain([discarded]) {
            let deleted =
                discard(&StorageRegistry::local(), &*self.storage, &self.run.paths, &discarded);
            if deleted.is_err() {
                self.undeleted.push(discarded);
            }
        }
    }
}

fn config(run: &RunConfig) -> CoordinatorConfig {
    CoordinatorConfig {
        interval: Some(Duration::from_secs(1)),
        max_concurrent: run.max_concurrent,
        tolerable_failures: run.tolerable_failures,
        retained: run.retained,
        cleanup: run.cleanup,
        ..CoordinatorConfig::default()
    }
}

fn topology() -> Topology {
    let task = |number: u32| TaskTopology {
        task: TaskId::new(number),
        parallelism: Parallelism::ONE,
        operators: vec![operator(number)],
        is_source: number == 0,
    };
    Topology { tasks: vec![task(0), task(1)], max_parallelism: MaxParallelism::DEFAULT }
}

fn operator(task: u32) -> OperatorUid {
    OperatorUid::new(if task == 0 { "source" } else { "sink" }).expect("a plain word")
}

fn info(attempt: AttemptId) -> JobInfo {
    JobInfo { job_id: JOB, job_name: "simulated".to_owned(), attempt }
}
