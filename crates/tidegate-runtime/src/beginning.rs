//! What a run begins with: its job id, its directory, and the checkpoint that it goes on from.
//!
//! Everything that can refuse the run is looked at before anything is touched; only what was left by
//! crashed attempts in the job's own directory is removed.

use std::sync::Arc;

use tidegate_coordinator::{
    CheckpointPaths, Coordinator, JobInfo, LocatedCheckpoint, RestorePlan, Survey, Topology,
    next_checkpoint_id, remove_abandoned, survey,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, MemoryStorage, OwnerInfo, StorageRegistry};
use tidegate_types::{AttemptId, CheckpointId, JobId};

use crate::claimed::RestoredFrom;
use crate::config::JobConfig;
use crate::error::JobError;
use crate::launch::chain;
use crate::place::CheckpointPlace;
use crate::random::random;
use crate::restore_progress;
use crate::run_options::{RunOptions, RunRecovery};

/// How far above all known numbers a run counts on that has taken its directory over from an owner
/// who may live. Whatever that one still does, if he was stopped in the middle of something, he does
/// to checkpoints whose numbers he gave himself.
const NUMBERS_LEFT_TO_A_SUPERSEDED_OWNER: u64 = 1 << 20;

/// A run that may start.
pub(crate) struct Beginning {
    pub(crate) info: JobInfo,
    pub(crate) place: Arc<CheckpointPlace>,
    /// What the tasks go on from.
    pub(crate) restored: Option<RestoredFrom>,
    /// Whether the job has run before, under this id.
    pub(crate) goes_on: bool,
    /// The first number that is given to a checkpoint.
    pub(crate) next: CheckpointId,
    own: Vec<Arc<CheckpointMetadata>>,
    foreign: Vec<Arc<CheckpointMetadata>>,
}

/// Whether the inputs are there of those sources that do not go on from a checkpoint.
type CheckInputs<'a> = &'a dyn Fn(Option<&CheckpointMetadata>) -> Result<(), JobError>;

impl Beginning {
    /// Finds the checkpoint, checks it with all of its files, and takes the job's directory.
    pub(crate) fn prepare(
        name: &str,
        config: &JobConfig,
        registry: &StorageRegistry,
        options: &RunOptions,
        topology: &Topology,
        check_inputs: CheckInputs<'_>,
    ) -> Result<Self, JobError> {
        let check = |located: &LocatedCheckpoint| -> Result<(), JobError> {
            // Made here only to be refused before anything is touched.
            RestorePlan::new(&located.metadata, topology, options.allow_non_restored)?;
            Ok(())
        };
        let recovery = options.recovery.as_ref();
        // After a crash what was asked for at first counts only if the run took no checkpoint since,
        // and that shows in the directory.
        let asked = options.restore_path.as_deref().filter(|_| recovery.is_none());
        let asked = asked.map(|path| find(registry, path, &check)).transpose()?;
        if recovery.is_none() {
            check_inputs(asked.as_ref().map(|located| &*located.metadata))?;
        }
        let job = match (recovery, &asked) {
            (Some(recovery), _) => recovery.job_id()?,
            (None, Some(located)) => located.metadata.job_id,
            (None, None) => new_job_id(),
        };
        let before = earlier_attempt(recovery, asked.as_ref());
        let place = take_place(name, job, before, config, registry, options)?;
        let CheckpointPlace { storage, paths, .. } = &place;
        let mut survey = survey(registry, storage, paths, recovery.map(RunRecovery::since))?;
        // Before anything is removed, so that no number is given twice.
        let next = next_checkpoint_id(&**storage, paths)?;
        let restored = match recovery {
            None => asked,
            Some(_) => {
                let newest = survey.newest_own()?;
                for skipped in &newest.skipped {
                    tracing::warn!("passed over {}: {}", skipped.path, chain(&skipped.error));
                }
                match newest.checkpoint {
                    Some(own) => Some(own),
                    None => {
                        let asked = options.restore_path.as_deref();
                        asked.map(|path| find(registry, path, &check)).transpose()?
                    }
                }
            }
        };
        if recovery.is_some() {
            check_inputs(restored.as_ref().map(|located| &*located.metadata))?;
        }
        let is_own = |located: &LocatedCheckpoint| {
            survey.own.iter().any(|own| own.metadata.checkpoint == located.metadata.checkpoint)
        };
        let owner = OwnerInfo::current(name, before.next().get());
        let begun = restored.as_ref().map(|located| match is_own(located) {
            true => Ok(RestoredFrom::own(located)),
            false => RestoredFrom::new(located, options.claim_mode, &place, &owner),
        });
        let begun = begun.transpose()?;
        tidy(&place, &survey)?;
        let attempt = earlier_attempt(recovery, restored.as_ref()).next();
        let newest = restored.as_ref().map(|located| located.metadata.checkpoint.next());
        let next = newest.map_or(next, |newest| next.max(newest));
        let next = if place.ownership.superseded().is_some() {
            CheckpointId::new(next.get().saturating_add(NUMBERS_LEFT_TO_A_SUPERSEDED_OWNER))
                .unwrap_or(next)
        } else {
            next
        };
        let own: Vec<_> = survey.own.iter().map(|own| Arc::clone(&own.metadata)).collect();
        Ok(Self {
            info: JobInfo { job_id: job, job_name: name.to_owned(), attempt },
            goes_on: restored.is_some() || recovery.is_some(),
            place: Arc::new(place),
            restored: begun,
            next,
            own,
            foreign: survey.others,
        })
    }

    /// The coordinator of the run.
    pub(crate) fn coordinator(&self, config: &JobConfig, topology: &Topology) -> Coordinator {
        let Self { info, next, restored, own, .. } = self;
        let restored = restored.as_ref();
        let is = |one: &CheckpointMetadata, restored: &RestoredFrom| {
            one.checkpoint == restored.metadata.checkpoint
        };
        let taken_up = restored.filter(|restored| !own.iter().any(|own| is(own, restored)));
        let taken_up = taken_up.map(RestoredFrom::for_coordinator);
        let (topology, info) = (topology.clone(), info.clone());
        let coordinator = Coordinator::new(config.coordinator(), topology, info, *next, taken_up);
        // What was claimed is the run's own, and so are its files.
        let claimed = restored.filter(|restored| restored.may_be_shared());
        let foreign = self.foreign.iter();
        let foreign = foreign.filter(|other| !claimed.is_some_and(|claimed| is(other, claimed)));
        let coordinator = foreign.fold(coordinator, |c, metadata| c.with_foreign(metadata));
        coordinator.with_recovered(own.iter().cloned())
    }
}

fn find(
    registry: &StorageRegistry,
    path: &str,
    check: &dyn Fn(&LocatedCheckpoint) -> Result<(), JobError>,
) -> Result<LocatedCheckpoint, JobError> {
    let located = restore_progress::locate_and_verify(registry, path)?;
    check(&located)?;
    Ok(located)
}

fn tidy(place: &CheckpointPlace, survey: &Survey) -> Result<(), JobError> {
    for unreadable in &survey.unreadable {
        tracing::warn!("cannot be read: {}: {}", unreadable.path, chain(&unreadable.error));
    }
    // What the tasks of an earlier process kept for themselves: of no use to anybody.
    place.storage.delete_directory(&place.paths.task_owned())?;
    let abandoned = remove_abandoned(&*place.storage, &place.paths, survey)?;
    if !abandoned.checkpoints.is_empty() || !abandoned.shared.is_empty() {
        tracing::info!(
            "removed what crashed attempts left: {} incomplete checkpoints, {} shared files",
            abandoned.checkpoints.len(),
            abandoned.shared.len()
        );
    }
    Ok(())
}

fn earlier_attempt(
    recovery: Option<&RunRecovery>,
    restored: Option<&LocatedCheckpoint>,
) -> AttemptId {
    let restored = restored.map(|located| located.metadata.attempt);
    restored.max(recovery.map(RunRecovery::latest_attempt)).unwrap_or(AttemptId::new(0))
}

fn take_place(
    name: &str,
    job: JobId,
    before: AttemptId,
    config: &JobConfig,
    registry: &StorageRegistry,
    options: &RunOptions,
) -> Result<CheckpointPlace, JobError> {
    let storage: Arc<dyn CheckpointStorage> = match config.metadata_dir() {
        Some(uri) => registry.open(&uri)?,
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
    let owner = OwnerInfo::current(name, before.next().get());
    let directory = paths.job_directory();
    let ownership = if options.take_over {
        storage.take_over(&directory, &owner)?
    } else {
        storage.own(&directory, &owner)?
    };
    if let Some(former) = ownership.superseded() {
        tracing::warn!("{}/{directory} is taken over from {former}", storage.uri());
    }
    Ok(CheckpointPlace { registry: registry.clone(), storage, paths, ownership })
}

fn new_job_id() -> JobId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random().to_le_bytes());
    bytes[8..].copy_from_slice(&random().to_le_bytes());
    JobId::from_bytes(bytes)
}
