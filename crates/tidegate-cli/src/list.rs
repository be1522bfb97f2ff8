//! `tidegate list`: the running jobs.

use std::time::Duration;

use serde::Serialize;
use tidegate_runtime::control::{
    ControlRequest, ControlResponse, JobEntry, JobStatusReport, request, runtime_directory,
};

use crate::arguments::ListArguments;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::{jobs, output::duration};

/// A running job, as `--json` shows it.
#[derive(Serialize)]
struct RunningJob {
    #[serde(flatten)]
    entry: JobEntry,
    /// Absent when the job does not answer.
    status: Option<JobStatusReport>,
}

pub(crate) fn list(arguments: &ListArguments) -> Result<u8, Failure> {
    let running: Vec<RunningJob> = jobs::running()?.into_iter().map(ask).collect();
    if arguments.json {
        output::print_json(&running)?;
    } else if running.is_empty() {
        output::print(&format!("no running jobs in {}\n", runtime_directory().display()))?;
    } else {
        output::print(&table(&running))?;
    }
    Ok(0)
}

fn ask(entry: JobEntry) -> RunningJob {
    let status = match request(&entry, &ControlRequest::Status) {
        Ok(ControlResponse::Status(status)) => Some(status),
        _ => None,
    };
    RunningJob { entry, status }
}

fn table(running: &[RunningJob]) -> String {
    let mut table = Table::new([
        "JOB ID",
        "NAME",
        "STATE",
        "UPTIME",
        "RESTARTS",
        "CHECKPOINTS",
        "LATEST",
        "PROCESS",
    ]);
    for RunningJob { entry, status } in running {
        let shown = |of: &dyn Fn(&JobStatusReport) -> String| {
            status.as_ref().map_or_else(|| "-".to_owned(), of)
        };
        table.row([
            entry.job_id.clone(),
            entry.job_name.clone(),
            status.as_ref().map_or_else(|| "no answer".to_owned(), |s| s.state.to_string()),
            shown(&|s| duration(Duration::from_millis(s.uptime_ms))),
            shown(&|s| s.restarts.to_string()),
            shown(&|s| match s.failed_checkpoints {
                0 => s.completed_checkpoints.to_string(),
                failed => format!("{} ({failed} failed)", s.completed_checkpoints),
            }),
            shown(&|s| s.latest_checkpoint_path.clone().unwrap_or_else(|| "none".to_owned())),
            entry.process_id.to_string(),
        ]);
    }
    table.render("")
}
