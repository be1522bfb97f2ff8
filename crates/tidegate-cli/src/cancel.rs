//! `tidegate cancel`: asks a running job to end and waits until it has.

use anyhow::anyhow;
use serde::Serialize;
use tidegate_runtime::control::{
    ControlRequest, ControlResponse, is_running, request, wait_until_ended,
};

use crate::arguments::CancelArguments;
use crate::failure::Failure;
use crate::{jobs, output};

/// A cancelled job, as `--json` shows it.
#[derive(Serialize)]
struct Cancelled {
    job_id: String,
    job_name: String,
    process_id: u32,
}

pub(crate) fn cancel(arguments: &CancelArguments) -> Result<u8, Failure> {
    let job = jobs::find(&arguments.job, jobs::running()?)?;
    match request(&job, &ControlRequest::Cancel) {
        Ok(ControlResponse::Accepted) => {}
        Ok(ControlResponse::Refused { reason }) => {
            return Err(anyhow!("job {} cannot be cancelled: {reason}", job.job_id).into());
        }
        Ok(answer) => return Err(anyhow!("job {} answers {answer:?}", job.job_id).into()),
        // It has ended while we asked: what was wanted.
        Err(_) if !(job.path.exists() && is_running(&job)) => {}
        Err(error) => return Err(error.into()),
    }
    wait_until_ended(&job, None);
    if arguments.json {
        output::print_json(&Cancelled {
            job_id: job.job_id,
            job_name: job.job_name,
            process_id: job.process_id,
        })?;
    } else {
        let name = output::printable(&job.job_name);
        output::print(&format!("job {} ({name}) has ended\n", job.job_id))?;
    }
    Ok(0)
}
