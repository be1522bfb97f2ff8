//! One run of a job in this process: prepared once, then attempt after attempt until it ends.

use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel::Receiver;
use tidegate_connect::SinkOwnership;
use tidegate_coordinator::{
    Event, FileResolver, JobStatus, LocatedCheckpoint, RestorePlan, TaskTopology, Topology,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_state::{MemoryStateBackend, StateBackend};
use tidegate_types::{
    AttemptId, CheckpointId, JobId, MaxParallelism, OperatorUid, Parallelism, TaskId,
};

use crate::attempt::Attempt;
use crate::beginning::{Beginning, random};
use crate::config::{Backend, JobConfig};
use crate::control::JobState;
use crate::driver::{AttemptEnd, Driver, PATIENCE, Stop};
use crate::error::JobError;
use crate::graph::{Graph, Job};
use crate::place::CheckpointPlace;
use crate::restart::{RestartBackoff, RestartDecision};
use crate::run_options::RunOptions;
use crate::sink::COMMITTABLES;
use crate::status::StatusBoard;
use crate::storage_thread::StorageThread;
use crate::task::{AttemptContext, Restore};

/// A job that is ready to run, or runs.
pub(crate) struct JobRun {
    name: String,
    job: JobId,
    attempt: AttemptId,
    first_checkpoint: CheckpointId,
    graph: Graph,
    topology: Topology,
    backend: Arc<dyn StateBackend>,
    restored: Option<LocatedCheckpoint>,
    allow_non_restored: bool,
    driver: Driver,
    backoff: RestartBackoff,
    // Of the program, by its supervisor.
    earlier_restarts: u32,
    _sinks: Vec<SinkOwnership>,
}

impl JobRun {
    /// Checks everything that can be checked before the first record is read: the graph, the
    /// checkpoint to start from and all of its files, the directories to write to.
    pub(crate) fn prepare(
        name: &str,
        job: Job,
        config: &JobConfig,
        options: &RunOptions,
        stops: Receiver<Stop>,
        status: Arc<StatusBoard>,
    ) -> Result<Self, JobError> {
        let mut graph = job.into_graph();
        let backend = state_backend(config)?;
        let topology = topology(&mut graph, config, options)?;
        let check_inputs = |restored: Option<&CheckpointMetadata>| {
            let begins_anew = |uid: &str| {
                let operators = restored.map_or(&[][..], |metadata| &metadata.operators);
                operators.iter().all(|operator| operator.uid.as_str() != uid)
            };
            let mut anew = graph.inputs.iter().filter(|input| begins_anew(&input.uid));
            Ok(anew.try_for_each(|input| (input.check)())?)
        };
        let beginning = Beginning::prepare(name, config, options, &topology, &check_inputs)?;
        let job = beginning.info.job_id;
        let sinks = graph.sinks.iter().map(|sink| (sink.own)(job, beginning.goes_on));
        let sinks = sinks.collect::<Result<_, _>>()?;
        let coordinator = beginning.coordinator(config, &topology);
        let Beginning { info, place, restored, next, .. } = beginning;
        let storage = StorageThread::start();
        let started = Instant::now();
        let patience = PATIENCE;
        let driver = Driver { coordinator, place, storage, started, stops, status, patience };
        Ok(Self {
            name: name.to_owned(),
            job,
            attempt: info.attempt,
            first_checkpoint: next,
            graph,
            topology,
            backend,
            restored,
            allow_non_restored: options.allow_non_restored,
            driver,
            backoff: RestartBackoff::new(config.restart_strategy, random()),
            earlier_restarts: options.recovery.as_ref().map_or(0, |recovery| recovery.restarts),
            _sinks: sinks,
        })
    }

    pub(crate) fn job_id(&self) -> JobId {
        self.job
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The first number that it gives to a checkpoint.
    pub(crate) fn first_checkpoint(&self) -> CheckpointId {
        self.first_checkpoint
    }

    pub(crate) fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The directory of the job's checkpoints.
    pub(crate) fn checkpoint_uri(&self) -> String {
        format!("{}/{}", self.driver.place.storage.uri(), self.driver.place.paths.job_directory())
    }

    /// Runs attempts until the job ends, and applies the retention rules.
    pub(crate) fn execute(&mut self) -> Result<JobStatus, JobError> {
        let result = self.attempts();
        let status = result.as_ref().map_or(JobStatus::Failed, |status| *status);
        self.driver.job_ended(status);
        result
    }

    fn attempts(&mut self) -> Result<JobStatus, JobError> {
        loop {
            let error = match self.run_attempt()? {
                AttemptEnd::Finished => return Ok(JobStatus::Finished),
                AttemptEnd::Stopped(stop) => return Ok(status_of(stop)),
                AttemptEnd::TaskFailed { task, subtask, error } => {
                    let operators = self.operators_of(task);
                    let restarts = self.backoff.restarts();
                    JobError::Failed { restarts, operators, subtask, source: error }
                }
                AttemptEnd::CheckpointsFailed(error) => error,
            };
            // Another process has the directory: whatever we did would be in vain.
            if matches!(error, JobError::Superseded { .. }) {
                return Err(error);
            }
            let RestartDecision::Restart { after } = self.backoff.failed(self.driver.now()) else {
                return Err(error);
            };
            let restarts = self.backoff.restarts();
            let reason = crate::launch::chain(&error);
            tracing::warn!("{}: {reason}; restart {restarts} in {after:.1?}", self.name);
            self.driver.status.state(JobState::Restarting);
            match self.driver.pause(after) {
                None => {}
                Some(AttemptEnd::Stopped(stop)) => return Ok(status_of(stop)),
                Some(AttemptEnd::CheckpointsFailed(error)) => return Err(error),
                Some(AttemptEnd::Finished | AttemptEnd::TaskFailed { .. }) => {
                    unreachable!("no task runs in a pause")
                }
            }
            self.attempt = self.attempt.next();
            self.driver.tell(Event::TasksRestarted { attempt: self.attempt });
        }
    }

    fn run_attempt(&mut self) -> Result<AttemptEnd, JobError> {
        let newest = self.newest_state();
        let restore = newest.map(|(metadata, resolver)| {
            tracing::info!("{}: resumes from checkpoint {}", self.name, metadata.checkpoint);
            let plan = RestorePlan::new(&metadata, &self.topology, self.allow_non_restored)?;
            Ok::<_, JobError>(Restore { plan, resolver, checkpoint: metadata.checkpoint })
        });
        let restore = restore.transpose()?;
        self.recover_sinks(restore.as_ref())?;
        let parallelism: Vec<_> = self.topology.tasks.iter().map(|t| t.parallelism).collect();
        let width = |task: TaskId| parallelism[task.get() as usize];
        let edges = self.graph.edges.iter();
        let edges = edges.map(|edge| (edge.connect)(width(edge.from), width(edge.to))).collect();
        let shared = Arc::new(AttemptContext {
            job: self.job,
            attempt: self.attempt,
            max_parallelism: self.topology.max_parallelism,
            parallelism,
            edges,
            backend: Arc::clone(&self.backend),
            storage: Arc::clone(&self.driver.place.storage),
            paths: self.driver.place.paths.clone(),
            restore,
        });
        let attempt = Attempt::start(&self.graph, &shared);
        self.driver.status.restarted(self.earlier_restarts.saturating_add(self.backoff.restarts()));
        self.driver.status.state(JobState::Running);
        Ok(self.driver.run(&attempt))
    }

    /// The newest completed checkpoint of this run, or what the run itself began with.
    fn newest_state(&self) -> Option<(Arc<CheckpointMetadata>, FileResolver)> {
        let own = self.driver.coordinator.latest_completed().map(|completed| {
            let CheckpointPlace { storage, paths, .. } = &*self.driver.place;
            let directory = paths.checkpoint(completed.metadata().checkpoint);
            let resolver = FileResolver::new(Arc::clone(storage), directory);
            (Arc::clone(completed.metadata()), resolver)
        });
        let restored = self.restored.as_ref();
        own.or_else(|| restored.map(|located| (Arc::clone(&located.metadata), located.resolver())))
    }

    fn recover_sinks(&self, restore: Option<&Restore>) -> Result<(), JobError> {
        for sink in &self.graph.sinks {
            let items = restore.map(|restore| restore.all_items(&sink.uid, COMMITTABLES));
            let items = items.transpose().map_err(|source| {
                let (operator, source) = (sink.uid.clone(), Box::new(source));
                JobError::Committables { operator, source }
            })?;
            let checkpoint = restore.map(|restore| restore.checkpoint);
            let recovery = (sink.recover)(self.job, checkpoint, &items.unwrap_or_default())?;
            if !recovery.taken_back.is_empty() {
                tracing::warn!(
                    "sink {}: took back the output of later checkpoints, which will come again: {}",
                    sink.uid,
                    recovery.taken_back.join(", ")
                );
            }
        }
        Ok(())
    }

    fn operators_of(&self, task: TaskId) -> Box<str> {
        let uids = &self.graph.vertices[task.get() as usize].operators;
        uids.iter().map(OperatorUid::as_str).collect::<Vec<_>>().join(" -> ").into()
    }
}

fn status_of(stop: Stop) -> JobStatus {
    match stop {
        Stop::Cancel => JobStatus::Canceled,
        Stop::Suspend => JobStatus::Suspended,
    }
}

fn topology(
    graph: &mut Graph,
    config: &JobConfig,
    options: &RunOptions,
) -> Result<Topology, JobError> {
    if let Some(problem) = graph.problem.take() {
        return Err(problem);
    }
    if !graph.vertices.iter().any(|vertex| vertex.is_source) {
        return Err(JobError::Empty);
    }
    let max: MaxParallelism = config.max_parallelism;
    let wanted = options.parallelism.and_then(Parallelism::new).unwrap_or(config.parallelism);
    let mut tasks = Vec::with_capacity(graph.vertices.len());
    for (position, vertex) in graph.vertices.iter().enumerate() {
        let parallelism = vertex.parallelism.unwrap_or(wanted);
        if parallelism.get() > max.get() {
            let (parallelism, max) = (parallelism.get(), max.get());
            return Err(JobError::Parallelism { parallelism, max });
        }
        tasks.push(TaskTopology {
            task: TaskId::new(u32::try_from(position).expect("few tasks")),
            parallelism,
            operators: vertex.operators.clone(),
            is_source: vertex.is_source,
        });
    }
    Ok(Topology { tasks, max_parallelism: max })
}

fn state_backend(config: &JobConfig) -> Result<Arc<dyn StateBackend>, JobError> {
    match config.backend {
        Backend::Memory => {
            Ok(Arc::new(MemoryStateBackend::with_max_state_size(config.memory_max_state_size)))
        }
        Backend::Fs => Err(JobError::Backend { name: "fs" }),
        Backend::RocksDb => Err(JobError::Backend { name: "rocksdb" }),
    }
}
