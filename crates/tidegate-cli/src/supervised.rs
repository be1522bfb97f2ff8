//! What stands between `tidegate run` and the job: sets things up as only the process itself can,
//! and then becomes the job.
//!
//! The wish to die with the parent survives `exec`, so that every program has it, whether it knows
//! Tidegate or not.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use tidegate_runtime::run_options::die_with_supervisor;

use crate::arguments::SupervisedArguments;
use crate::failure::Failure;

/// Becomes the job's program; returns only if that is not possible.
pub(crate) fn become_job(arguments: &SupervisedArguments) -> Failure {
    die_with_supervisor(arguments.supervisor_process_id);
    let error = Command::new(&arguments.program).args(&arguments.arguments).exec();
    let shown = arguments.program.display();
    let error =
        Err::<(), _>(error).with_context(|| format!("the job program {shown} cannot be run"));
    Failure::usage(error.expect_err("exec returns errors only"))
}
