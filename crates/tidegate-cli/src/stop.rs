//! `tidegate stop`: takes a savepoint of a running job and ends the job with it.

use tidegate_runtime::control::{ControlRequest, wait_until_ended};

use crate::arguments::StopArguments;
use crate::failure::Failure;
use crate::run::absolute_if_local;
use crate::{jobs, savepoint};

pub(crate) fn stop(arguments: &StopArguments) -> Result<u8, Failure> {
    let job = jobs::find(&arguments.job, jobs::running()?)?;
    let directory = arguments.savepoint_path.as_deref().map(absolute_if_local);
    let wanted = ControlRequest::Stop { directory: directory.transpose()?, drain: arguments.drain };
    let path = savepoint::take(&job, &wanted, &arguments.stores)?;
    wait_until_ended(&job, None);
    savepoint::report(&job, path, arguments.json)
}
