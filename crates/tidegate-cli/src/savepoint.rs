//! `tidegate savepoint`: takes a savepoint of a running job, or deletes one.

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use tidegate_coordinator::{DisposeError, Disposed, dispose_savepoint, locate};
use tidegate_runtime::ExitStatus;
use tidegate_runtime::control::{
    ControlRequest, ControlResponse, JobEntry, SavepointReport, SavepointState, is_running, request,
};

use tidegate_store::StorageRegistry;

use crate::arguments::{SavepointArguments, StoreArguments};
use crate::failure::Failure;
use crate::progress::SavepointProgress;
use crate::run::absolute_if_local;
use crate::{jobs, output, stores};

/// How often the job is asked how its savepoint is.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A savepoint that was taken, as `--json` shows it.
#[derive(Serialize)]
pub(crate) struct Taken {
    job_id: String,
    job_name: String,
    path: String,
}

/// A savepoint that was deleted, as `--json` shows it.
#[derive(Serialize)]
struct DisposedReport {
    path: String,
    files: usize,
    left: Vec<String>,
}

pub(crate) fn savepoint(arguments: &SavepointArguments) -> Result<u8, Failure> {
    if let Some(path) = &arguments.dispose {
        let registry = stores::configured(&arguments.stores)?;
        return dispose(&registry, path, arguments.json);
    }
    let wanted = arguments.job.as_deref().expect("clap asks for JOB or --dispose");
    let job = jobs::find(wanted, jobs::running()?)?;
    let directory = arguments.directory.as_deref().map(absolute_if_local).transpose()?;
    let path = take(&job, &ControlRequest::Savepoint { directory }, &arguments.stores)?;
    report(&job, path, arguments.json)
}

/// Asks for the savepoint and waits until it is complete; gives its path.
pub(crate) fn take(
    job: &JobEntry,
    wanted: &ControlRequest,
    settings: &StoreArguments,
) -> Result<String, Failure> {
    let (id, path) = match request(job, wanted)? {
        ControlResponse::SavepointStarted { id, path } => (id, path),
        ControlResponse::Refused { reason } => {
            let name = output::printable(&job.job_name);
            return Err(anyhow!("no savepoint of job {} ({name}): {reason}", job.job_id).into());
        }
        answer => return Err(anyhow!("job {} answers {answer:?}", job.job_id).into()),
    };
    let progress = SavepointProgress::start();
    loop {
        let report = match request(job, &ControlRequest::SavepointStatus { id }) {
            Ok(ControlResponse::Savepoint(report)) => report,
            Ok(answer) => return Err(anyhow!("job {} answers {answer:?}", job.job_id).into()),
            Err(error) if job.path.exists() && is_running(job) => return Err(error.into()),
            // It has ended since: what is there tells whether with this savepoint.
            Err(_) => return ended(&stores::configured(settings)?, &path),
        };
        let SavepointReport { state, failure, .. } = &report;
        match state {
            SavepointState::Completed => return Ok(path),
            SavepointState::Failed => {
                let reason = failure.as_deref().unwrap_or("it does not say why");
                return Err(anyhow!("the savepoint failed: {}", output::printable(reason)).into());
            }
            _ => progress.show(&report),
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn ended(registry: &StorageRegistry, path: &str) -> Result<String, Failure> {
    match locate(registry, path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(anyhow!(error).context("the job has ended without the savepoint").into()),
    }
}

/// Prints where it is.
pub(crate) fn report(job: &JobEntry, path: String, json: bool) -> Result<u8, Failure> {
    if json {
        let (job_id, job_name) = (job.job_id.clone(), job.job_name.clone());
        output::print_json(&Taken { job_id, job_name, path })?;
    } else {
        output::print(&format!("{}\n", output::printable(&path)))?;
    }
    Ok(0)
}

fn dispose(registry: &StorageRegistry, path: &str, json: bool) -> Result<u8, Failure> {
    let disposed = dispose_savepoint(registry, path).map_err(|error| {
        let status = match &error {
            DisposeError::Locate(_) => ExitStatus::RestoreRefused,
            _ => ExitStatus::Failed,
        };
        Failure::new(status, error)
    })?;
    let Disposed { path, files, left } = disposed;
    if json {
        output::print_json(&DisposedReport { path: path.into(), files, left })?;
        return Ok(0);
    }
    let path = output::printable(&path);
    output::print(&format!("deleted {path}: {files} files\n"))?;
    if !left.is_empty() {
        let left = output::printable(&left.join(", "));
        output::note(&format!("left in {path}, being no part of the savepoint: {left}"));
    }
    Ok(0)
}
