//! The end of a run that has no program any more: its checkpoints are kept or deleted as the
//! program would have done it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_coordinator::{
    Action, CheckpointPaths, CompletedCheckpoint, Coordinator, Event, JobInfo, JobStatus, Topology,
    discard, next_checkpoint_id, remove_abandoned, survey,
};
use tidegate_runtime::config::JobConfig;
use tidegate_runtime::control::JobEntry;
use tidegate_store::{OwnerInfo, StorageRegistry};
use tidegate_types::{AttemptId, CheckpointId, JobId};

/// Ends the run as `status`. Gives the URI of its newest checkpoint, if one is kept.
pub(crate) fn settle(
    registry: &StorageRegistry,
    entry: &JobEntry,
    since: CheckpointId,
    config: &JobConfig,
    status: JobStatus,
) -> Result<Option<String>> {
    let Some(directory) = config.metadata_dir() else { return Ok(None) };
    let job_id: JobId = entry.job_id.parse().context("the id of the job")?;
    let storage = registry.open(&directory)?;
    let paths = CheckpointPaths::of_job(job_id);
    let owner = OwnerInfo::current(&entry.job_name, entry.attempt);
    let _ownership = storage.own(&paths.job_directory(), &owner)?;
    let survey = survey(registry, &storage, &paths, Some(since))?;
    let next = next_checkpoint_id(&*storage, &paths)?;
    remove_abandoned(&*storage, &paths, &survey)?;

    let topology = Topology { tasks: Vec::new(), max_parallelism: config.max_parallelism };
    let info = JobInfo {
        job_id,
        job_name: entry.job_name.clone(),
        attempt: AttemptId::new(entry.attempt),
    };
    let coordinator = Coordinator::new(config.coordinator(), topology, info, next, None);
    let foreign = survey.others.iter();
    let coordinator = foreign.fold(coordinator, |c, metadata| c.with_foreign(metadata));
    let own = survey.own.iter().map(|located| Arc::clone(&located.metadata));
    let mut coordinator = coordinator.with_recovered(own);
    for action in coordinator.handle(Event::JobEnded(status), Duration::ZERO, 0) {
        if let Action::Discard(discarded) = action {
            discard(registry, &*storage, &paths, &discarded)?;
        }
    }
    let newest = coordinator.latest_completed().map(CompletedCheckpoint::checkpoint);
    Ok(newest.map(|newest| format!("{}/{}", storage.uri(), paths.checkpoint(newest))))
}
