//! One run of a job in this process: prepared once, then attempt after attempt until it ends.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel::Receiver;
use tidegate_connect::SinkOwnership;
use tidegate_coordinator::{
    CheckpointPaths, Coordinator, Event, FileResolver, JobInfo, JobStatus, LocatedCheckpoint,
    RestorePlan, RestoredCheckpoint, TaskTopology, Topology, locate, next_checkpoint_id,
    remove_incomplete, verify,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_state::{MemoryStateBackend, StateBackend};
use tidegate_store::{CheckpointStorage, MemoryStorage, OwnerInfo, storage_for_uri};
use tidegate_types::{AttemptId, JobId, MaxParallelism, OperatorUid, Parallelism, Subtask, TaskId};

use crate::attempt::Attempt;
use crate::config::{Backend, JobConfig, RestartStrategy};
use crate::control::JobState;
use crate::driver::{AttemptEnd, Driver, Stop};
use crate::error::{JobError, TaskError};
use crate::graph::{Graph, Job};
use crate::lists::all_items;
use crate::place::CheckpointPlace;
use crate::run_options::RunOptions;
use crate::sink::COMMITTABLES;
use crate::status::StatusBoard;
use crate::task::{AttemptContext, Restore};

/// A job that is ready to run, or runs.
pub(crate) struct JobRun {
    name: String,
    job: JobId,
    attempt: AttemptId,
    graph: Graph,
    topology: Topology,
    config: JobConfig,
    backend: Arc<dyn StateBackend>,
    restored: Option<LocatedCheckpoint>,
    allow_non_restored: bool,
    driver: Driver,
    restarts: u32,
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
        let restored = options.restore_path.as_deref().map(locate).transpose()?;
        if let Some(located) = &restored {
            for skipped in &located.skipped {
                let reason = crate::launch::chain(&skipped.error);
                tracing::warn!("passed over {}: {reason}", skipped.path);
            }
            verify(located)?;
            // Made here only to be refused before anything is touched.
            RestorePlan::new(&located.metadata, &topology, options.allow_non_restored)?;
        }
        let job = restored.as_ref().map_or_else(new_job_id, |located| located.metadata.job_id);
        let earlier = restored.as_ref().map_or(0, |located| located.metadata.attempt.get());
        let attempt = AttemptId::new(earlier + 1);
        let place = place(name, job, attempt, config)?;
        remove_incomplete(&*place.storage, &place.paths)?;
        let next = next_checkpoint_id(&*place.storage, &place.paths)?;
        let next =
            restored.as_ref().map_or(next, |located| next.max(located.metadata.checkpoint.next()));
        let sinks = graph.sinks.iter().map(|sink| (sink.own)(job, restored.is_some()));
        let sinks = sinks.collect::<Result<_, _>>()?;
        let info = JobInfo { job_id: job, job_name: name.to_owned(), attempt };
        let taken_up = restored
            .as_ref()
            .map(|located| RestoredCheckpoint::not_claimed(Arc::clone(&located.metadata)));
        let config_of_checkpoints = config.coordinator();
        let coordinator =
            Coordinator::new(config_of_checkpoints, topology.clone(), info, next, taken_up);
        let started = Instant::now();
        let driver = Driver { coordinator, place, started, stops, status };
        Ok(Self {
            name: name.to_owned(),
            job,
            attempt,
            graph,
            topology,
            config: config.clone(),
            backend,
            restored,
            allow_non_restored: options.allow_non_restored,
            driver,
            restarts: 0,
            _sinks: sinks,
        })
    }

    pub(crate) fn job_id(&self) -> JobId {
        self.job
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
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
            let end = self.run_attempt()?;
            let (task, subtask, error) = match end {
                AttemptEnd::Finished => return Ok(JobStatus::Finished),
                AttemptEnd::Stopped(stop) => return Ok(status_of(stop)),
                AttemptEnd::CheckpointsFailed(error) => return Err(error),
                AttemptEnd::TaskFailed { task, subtask, error } => (task, subtask, error),
            };
            let operators = self.operators_of(task);
            let RestartStrategy::FixedDelay { attempts, delay } = self.config.restart_strategy
            else {
                return Err(self.failed(operators, subtask, error));
            };
            if self.restarts >= attempts {
                return Err(self.failed(operators, subtask, error));
            }
            self.restarts += 1;
            tracing::warn!(
                "subtask {subtask} of {operators} failed: {}; restart {} of {attempts} in {delay:?}",
                crate::launch::chain(&*error),
                self.restarts
            );
            self.driver.status.state(JobState::Restarting);
            self.driver.status.restarted(self.restarts);
            if let Some(stop) = self.driver.pause(delay) {
                return Ok(status_of(stop));
            }
            self.attempt = self.attempt.next();
            self.driver.tell(Event::TasksRestarted { attempt: self.attempt });
        }
    }

    fn run_attempt(&mut self) -> Result<AttemptEnd, JobError> {
        let newest = self.newest_state();
        let restore = newest.as_ref().map(|(metadata, resolver)| {
            let plan = RestorePlan::new(metadata, &self.topology, self.allow_non_restored)?;
            Ok::<_, JobError>(Restore { plan, resolver: resolver.clone() })
        });
        let restore = restore.transpose()?;
        if let Some((metadata, _)) = &newest {
            tracing::info!("{}: resumes from checkpoint {}", self.name, metadata.checkpoint);
        }
        self.recover_sinks(newest.as_ref().map(|(metadata, _)| &**metadata))?;
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
            alignment: self.config.alignment(),
        });
        let attempt = Attempt::start(&self.graph, &shared);
        self.driver.status.state(JobState::Running);
        Ok(self.driver.run(&attempt))
    }

    /// The newest completed checkpoint of this run, or what the run itself began with.
    fn newest_state(&self) -> Option<(Arc<CheckpointMetadata>, FileResolver)> {
        let own = self.driver.coordinator.latest_completed().map(|completed| {
            let CheckpointPlace { storage, paths, .. } = &self.driver.place;
            let directory = paths.checkpoint(completed.metadata().checkpoint);
            let resolver = FileResolver::new(Arc::clone(storage), directory);
            (Arc::clone(completed.metadata()), resolver)
        });
        let restored = self.restored.as_ref();
        own.or_else(|| restored.map(|located| (Arc::clone(&located.metadata), located.resolver())))
    }

    fn recover_sinks(&self, metadata: Option<&CheckpointMetadata>) -> Result<(), JobError> {
        for sink in &self.graph.sinks {
            let items = metadata.map_or_else(Vec::new, |m| all_items(m, &sink.uid, COMMITTABLES));
            let recovery = (sink.recover)(self.job, metadata.map(|m| m.checkpoint), &items)?;
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

    fn failed(&self, operators: Box<str>, subtask: Subtask, source: Box<TaskError>) -> JobError {
        JobError::Failed { restarts: self.restarts, operators, subtask, source }
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

fn place(
    name: &str,
    job: JobId,
    attempt: AttemptId,
    config: &JobConfig,
) -> Result<CheckpointPlace, JobError> {
    let storage: Arc<dyn CheckpointStorage> = match &config.checkpoints_dir {
        Some(uri) => storage_for_uri(uri)?,
        None if config.retention.is_externalized() => return Err(JobError::NoCheckpointDirectory),
        None => {
            if config.interval.is_some() {
                tracing::warn!(
                    "state.checkpoints.dir is not set: checkpoints live in this process's memory \
                     and end with it"
                );
            }
            Arc::new(MemoryStorage::new())
        }
    };
    let paths = CheckpointPaths::of_job(job);
    let owner = OwnerInfo::current(name, attempt.get());
    let ownership = storage.own(&paths.job_directory(), &owner)?;
    Ok(CheckpointPlace { storage, paths, ownership })
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

/// A random id. The standard library seeds its hashers from the system's random numbers.
fn new_job_id() -> JobId {
    let random = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random());
    bytes[8..].copy_from_slice(&random());
    JobId::from_bytes(bytes)
}

#[cfg(test)]
mod tests;
