//! One run of a job in this process: prepared once, then attempt after attempt until it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use tidegate_align::AlignmentMode;
use tidegate_connect::SinkOwnership;
use tidegate_coordinator::{Event, FileResolver, JobStatus, RestorePlan, TaskTopology, Topology};
use tidegate_meta::CheckpointMetadata;
use tidegate_state::{MemoryStateBackend, StateBackend};
use tidegate_state_fs::FsStateBackend;
#[cfg(feature = "rocksdb")]
use tidegate_state_rocksdb::RocksDbStateBackend;
use tidegate_store::StorageRegistry;
use tidegate_types::{
    AttemptId, CheckpointId, JobId, MaxParallelism, OperatorUid, Parallelism, SnapshotKind, TaskId,
};

use crate::attempt::Attempt;
use crate::beginning::Beginning;
use crate::config::{Backend, JobConfig};
use crate::control::JobState;
use crate::driver::{AttemptEnd, Driver, PATIENCE, Stop};
use crate::error::JobError;
use crate::graph::{Graph, Job};
use crate::place::CheckpointPlace;
use crate::random::random;
use crate::restart::{RestartBackoff, RestartDecision};
use crate::run_options::RunOptions;
use crate::savepoints::{SavepointDesk, Savepoints};
use crate::sink::COMMITTABLES;
use crate::status::StatusBoard;
use crate::storage_thread::StorageThread;
use crate::task::{AttemptContext, Restore};

/// What a run is told.
pub(crate) struct RunSettings<'a> {
    pub(crate) config: &'a JobConfig,
    /// The stores that it may use.
    pub(crate) registry: &'a StorageRegistry,
    pub(crate) options: &'a RunOptions,
}

/// A job that is ready to run, or runs.
pub(crate) struct JobRun {
    name: String,
    job: JobId,
    attempt: AttemptId,
    first_checkpoint: CheckpointId,
    graph: Graph,
    topology: Topology,
    backend: Arc<dyn StateBackend>,
    alignment: AlignmentMode,
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
        settings: &RunSettings<'_>,
        stops: Receiver<Stop>,
        status: Arc<StatusBoard>,
    ) -> Result<Self, JobError> {
        let RunSettings { config, registry, options } = *settings;
        let mut graph = job.into_graph();
        let topology = topology(&mut graph, config, options)?;
        let check_inputs = |restored: Option<&CheckpointMetadata>| {
            let begins_anew = |uid: &str| {
                let operators = restored.map_or(&[][..], |metadata| &metadata.operators);
                operators.iter().all(|operator| operator.uid.as_str() != uid)
            };
            let mut anew = graph.inputs.iter().filter(|input| begins_anew(&input.uid));
            Ok(anew.try_for_each(|input| (input.check)())?)
        };
        let beginning =
            Beginning::prepare(name, config, registry, options, &topology, &check_inputs)?;
        let job = beginning.info.job_id;
        let sinks = graph.sinks.iter().map(|sink| (sink.own)(job, beginning.goes_on));
        let sinks = sinks.collect::<Result<_, _>>()?;
        let coordinator = beginning.coordinator(config, &topology);
        let Beginning { info, place, restored, next, .. } = beginning;
        let backend = state_backend(config, &place)?;
        let storage = StorageThread::start();
        let started = Instant::now();
        let patience = PATIENCE;
        let savepoints = Savepoints::new(job, registry.clone(), config.savepoints_dir.clone());
        let driver = Driver {
            coordinator,
            place,
            storage,
            started,
            stops,
            status,
            patience,
            savepoints,
            restored,
            late: Vec::new(),
        };
        Ok(Self {
            name: name.to_owned(),
            job,
            attempt: info.attempt,
            first_checkpoint: next,
            graph,
            topology,
            backend,
            alignment: config.alignment(),
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

    /// Where savepoints are asked for.
    pub(crate) fn savepoints(&self) -> Arc<SavepointDesk> {
        self.driver.savepoints.desk()
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
                // The job itself is sound: it goes on at once, from before the drain.
                AttemptEnd::DrainedInVain => {
                    if let Some(end) = self.pause(Duration::ZERO) {
                        return end;
                    }
                    self.next_attempt();
                    continue;
                }
                AttemptEnd::TaskFailed { task, subtask, error } => {
                    let operators = self.operators_of(task);
                    if error.refuses_restore() {
                        return Err(JobError::RestoredState { operators, source: error });
                    }
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
            if let Some(end) = self.pause(after) {
                return end;
            }
            self.next_attempt();
        }
    }

    /// Waits before a restart; `Some` when the job ends instead.
    fn pause(&mut self, delay: Duration) -> Option<Result<JobStatus, JobError>> {
        match self.driver.pause(delay)? {
            AttemptEnd::Stopped(stop) => Some(Ok(status_of(stop))),
            AttemptEnd::CheckpointsFailed(error) => Some(Err(error)),
            AttemptEnd::Finished | AttemptEnd::TaskFailed { .. } | AttemptEnd::DrainedInVain => {
                unreachable!("no task runs in a pause")
            }
        }
    }

    fn next_attempt(&mut self) {
        self.attempt = self.attempt.next();
        self.driver.tell(Event::TasksRestarted { attempt: self.attempt });
        self.driver.tell_late();
    }

    fn run_attempt(&mut self) -> Result<AttemptEnd, JobError> {
        let newest = self.newest_state();
        let restore = newest.map(|(metadata, resolver, may_be_shared)| {
            tracing::info!("{}: resumes from checkpoint {}", self.name, metadata.checkpoint);
            let plan = RestorePlan::new(&metadata, &self.topology, self.allow_non_restored)?;
            let checkpoint = metadata.checkpoint;
            Ok::<_, JobError>(Restore { plan, resolver, checkpoint, may_be_shared })
        });
        let restore = restore.transpose()?;
        self.recover_sinks(restore.as_ref())?;
        let begins_with = restore.as_ref().map(|restore| restore.checkpoint);
        if begins_with.is_some_and(|it| self.driver.savepoints.last(it).is_some()) {
            // The job has stopped with this savepoint; a task failed before it heard of that. What
            // was left for it to do, the sinks have just done.
            return Ok(AttemptEnd::Finished);
        }
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
            savepoints: self.driver.savepoints.places(),
            restore,
            alignment: self.alignment,
        });
        let attempt = Attempt::start(&self.graph, &shared);
        self.driver.status.restarted(self.earlier_restarts.saturating_add(self.backoff.restarts()));
        self.driver.status.state(JobState::Running);
        let end = self.driver.run(&attempt);
        self.driver.late = attempt.end();
        Ok(end)
    }

    /// The newest completed checkpoint of this run, or what the run itself began with; and whether
    /// new checkpoints may refer to its files.
    fn newest_state(&self) -> Option<(Arc<CheckpointMetadata>, FileResolver, bool)> {
        let Driver { coordinator, place, savepoints, restored, .. } = &self.driver;
        let begun_with = restored.as_ref().map(|restored| {
            let (metadata, resolver) = (Arc::clone(&restored.metadata), restored.resolver.clone());
            (metadata, resolver, restored.may_be_shared())
        });
        for completed in coordinator.completed().rev() {
            let metadata = Arc::clone(completed.metadata());
            let checkpoint = metadata.checkpoint;
            if begun_with.as_ref().is_some_and(|(begun, ..)| begun.checkpoint == checkpoint) {
                break;
            }
            if let Some(last) = savepoints.last(checkpoint) {
                return Some((metadata, last.resolver(), false));
            }
            // Any other savepoint is its owner's, who may have deleted it already.
            if completed.kind() != SnapshotKind::Savepoint {
                let directory = place.paths.checkpoint(checkpoint);
                let (registry, storage) = (place.registry.clone(), Arc::clone(&place.storage));
                let resolver = FileResolver::new(registry, storage, directory);
                return Some((metadata, resolver, true));
            }
        }
        begun_with
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

fn state_backend(
    config: &JobConfig,
    place: &CheckpointPlace,
) -> Result<Arc<dyn StateBackend>, JobError> {
    let CheckpointPlace { registry, storage, data, paths, .. } = place;
    match config.backend {
        Backend::Memory => {
            Ok(Arc::new(MemoryStateBackend::with_max_state_size(config.memory_max_state_size)))
        }
        Backend::Fs => {
            let mut working = paths.task_owned();
            let backend = match data {
                Some(data) => {
                    working = data.fixed_place(&working)?;
                    if data.storage().local_path(&working).is_some() {
                        data.storage().delete_directory(&working)?;
                    }
                    FsStateBackend::in_data_directory(data.clone())
                }
                None => FsStateBackend::in_checkpoint_directory(),
            };
            let backend = backend.with_config(config.fs());
            let backend = match registry.cache() {
                Some(cache) => backend.with_cache(Arc::clone(cache)),
                None => backend,
            };
            Ok(Arc::new(backend.with_working_directory(Arc::clone(storage), working)))
        }
        #[cfg(not(feature = "rocksdb"))]
        Backend::RocksDb => Err(JobError::Backend { name: "rocksdb" }),
        #[cfg(feature = "rocksdb")]
        Backend::RocksDb => {
            let backend = match &config.rocksdb.checkpoint_dir {
                Some(uri) => {
                    let data = registry.open(uri)?;
                    data.delete_directory(&paths.task_owned())?;
                    RocksDbStateBackend::in_storage(data)
                }
                None => RocksDbStateBackend::in_checkpoint_directory(),
            };
            let backend = backend.with_config(config.rocksdb());
            Ok(Arc::new(backend.with_working_directory(Arc::clone(storage), paths.task_owned())))
        }
    }
}

#[cfg(test)]
mod tests;
