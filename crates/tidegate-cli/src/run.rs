//! `tidegate run`: what to run, and with which options.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::Context;
use rustix::process::Pid;
use tidegate_runtime::run_options::{RUN_OPTIONS_VARIABLE, RunOptions};
use tidegate_store::local_path_of;

use crate::arguments::RunArguments;
use crate::failure::Failure;
use crate::program;
use crate::signals::SignalForwarder;
use crate::supervise::supervise;

/// Runs the job's program to its end, over its crashes, and gives the exit code.
pub(crate) fn run(arguments: &RunArguments) -> Result<u8, Failure> {
    let (name, rest) = arguments.job.split_first().expect("clap asks for at least JOB");
    let search = std::env::var_os("PATH");
    let program = program::find(name, search.as_deref()).map_err(Failure::usage)?;
    let options = options(arguments)?;
    let job_program = JobProgram { program, arguments: job_arguments(rest).to_vec() };
    supervise(&job_program, options)
}

/// The job's program, to be started more than once.
pub(crate) struct JobProgram {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl JobProgram {
    /// For people.
    pub(crate) fn shown(&self) -> std::path::Display<'_> {
        self.program.display()
    }

    /// Runs it to its end. To be called from the main thread: the child dies with the *thread* that
    /// started it.
    pub(crate) fn run(
        &self,
        options: &RunOptions,
        signals: &SignalForwarder,
    ) -> Result<ExitStatus, Failure> {
        let options = options.to_json().map_err(Failure::usage)?;
        // Ourselves, even if our file was replaced by a newer one in the meantime.
        let mut child = Command::new("/proc/self/exe")
            .arg0("tidegate")
            .arg("supervised")
            .arg(std::process::id().to_string())
            .arg("--")
            .arg(&self.program)
            .args(&self.arguments)
            .env(RUN_OPTIONS_VARIABLE, options)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.shown()))?;
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("children have ids");
        signals.forward_until_end(id).context("cannot wait for the job")?;
        Ok(child.wait().context("cannot wait for the job")?)
    }
}

fn options(arguments: &RunArguments) -> Result<RunOptions, Failure> {
    let conf_dir = arguments.conf_dir.as_deref().map(absolute).transpose()?;
    let restore_path = arguments.from_savepoint.as_deref().map(absolute_if_local).transpose()?;
    Ok(RunOptions {
        restore_path,
        allow_non_restored: arguments.allow_non_restored_state,
        claim_mode: arguments.claim_mode,
        parallelism: arguments.parallelism,
        overrides: arguments.overrides.clone(),
        conf_dir,
        take_over: arguments.take_over,
        recovery: None,
        supervisor_process_id: Some(std::process::id()),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let error = || format!("{:?} is no path", path.display());
    std::path::absolute(path).with_context(error).map_err(Failure::usage)
}

/// The job has our working directory, but what it hands on may be read in another one.
pub(crate) fn absolute_if_local(path: &str) -> Result<String, Failure> {
    let Some(local) = local_path_of(path) else { return Ok(path.to_owned()) };
    let absolute = absolute(Path::new(local))?;
    Ok(absolute.into_os_string().into_string().expect("made of a text and the working directory"))
}

/// Without the `--` that may stand between the job and its arguments.
fn job_arguments(rest: &[OsString]) -> &[OsString] {
    match rest {
        [first, rest @ ..] if first == "--" => rest,
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_path_is_made_absolute_and_a_uri_is_not() {
        let here = std::env::current_dir().unwrap();
        let here = here.to_str().unwrap();
        for (path, expected) in [
            ("/x/chk-1", "/x/chk-1".to_owned()),
            ("x/chk-1/_metadata", format!("{here}/x/chk-1/_metadata")),
            ("file:///x", "/x".to_owned()),
            ("hdfs:/x", "hdfs:/x".to_owned()),
            ("hdfs://name/x", "hdfs://name/x".to_owned()),
        ] {
            assert_eq!(absolute_if_local(path).unwrap(), expected);
        }
        assert!(absolute_if_local("").is_err());
    }

    #[test]
    fn one_separator_is_ours() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(job_arguments(&words(&["--", "--", "x"])), words(&["--", "x"]));
        assert_eq!(job_arguments(&words(&["x", "--"])), words(&["x", "--"]));
        assert!(job_arguments(&[]).is_empty());
    }
}
