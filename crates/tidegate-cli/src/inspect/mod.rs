//! `tidegate inspect`: what a checkpoint holds, and whether all of it is there.

mod report;
mod text;

use tidegate_coordinator::{RestoreError, locate, verify};
use tidegate_runtime::ExitStatus;

use crate::arguments::InspectArguments;
use crate::failure::Failure;
use crate::{output, stores};
use report::CheckpointReport;

pub(crate) fn inspect(arguments: &InspectArguments) -> Result<u8, Failure> {
    let refused = |error| Failure::new(ExitStatus::RestoreRefused, error);
    let registry = stores::configured(&arguments.stores)?;
    let located = locate(&registry, &arguments.path).map_err(refused)?;
    let problems = match verify(&located) {
        Ok(()) => Vec::new(),
        Err(RestoreError::Files { problems, .. }) => problems,
        Err(error) => return Err(refused(error)),
    };
    let report = CheckpointReport::new(&located, &problems);
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&text::render(&report))?;
    }
    let status = if report.usable { ExitStatus::Finished } else { ExitStatus::RestoreRefused };
    Ok(status.code())
}
