//! Supervision: a job program that crashes is started again from its newest checkpoint.
//!
//! A job ends in order by taking its entry in the run-time directory back. A program that is gone
//! while the entry is still there has crashed, whatever its exit status says. What never had an entry
//! is no job that we could bring back, and we end as it does.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus as ProcessStatus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use tidegate_coordinator::JobStatus;
use tidegate_runtime::ExitStatus;
use tidegate_runtime::config::{ConfigSources, Configuration, JobConfig};
use tidegate_runtime::control::{
    ControlHandler, ControlRequest, ControlResponse, ControlServer, JobEntry, JobRegistration,
    JobState, JobStatusReport, runtime_directory, take_abandoned,
};
use tidegate_runtime::restart::{RestartBackoff, RestartDecision};
use tidegate_runtime::run_options::{RunOptions, RunRecovery};
use tidegate_types::{AttemptId, CheckpointId};

use crate::failure::Failure;
use crate::output::{note, printable};
use crate::run::JobProgram;
use crate::settle::settle;
use crate::signals::{SignalForwarder, Wish};
use crate::stores;

/// Runs the job to its end and gives the exit code.
pub(crate) fn supervise(program: &JobProgram, mut options: RunOptions) -> Result<u8, Failure> {
    let signals = SignalForwarder::new().context("cannot receive signals")?;
    let started = Instant::now();
    let mut crashed: Option<CrashedJob> = None;
    loop {
        let status = program.run(&options, &signals)?;
        // Where no directory can be used, no job has registered.
        let abandoned = take_abandoned(&runtime_directory()).unwrap_or(None);
        let is_crash = abandoned.is_some() || crashed.is_some() && !is_orderly(status);
        if !is_crash || signals.is_stopping() {
            if status.signal().is_some() {
                note(&format!("{} {}", program.shown(), ending(status)));
            }
            return Ok(exit_code(status));
        }
        let job = match (&mut crashed, abandoned) {
            (Some(job), None) => job,
            (Some(job), Some(entry)) => {
                job.entry = entry;
                job
            }
            (None, Some(entry)) => crashed.insert(CrashedJob::new(entry, &options)?),
            (None, None) => unreachable!("it would be no crash"),
        };
        let what = format!("{} {}", program.shown(), ending(status));
        let after = match job.decide(started.elapsed()) {
            Ok(after) => after,
            Err(reason) => return Ok(job.fail(&what, &reason)),
        };
        let restarts = job.backoff.restarts();
        note(&format!("{job}: {what}; restart {restarts} in {after:.1?}"));
        if let Some(code) = job.pause(&signals, after)? {
            return Ok(code);
        }
        options.recovery = Some(job.recovery());
        // What was taken over is ours since; whoever has it now is another one.
        options.take_over = false;
    }
}

struct CrashedJob {
    entry: JobEntry,
    /// The first checkpoint and the first attempt of the run.
    since: (CheckpointId, AttemptId),
    config: JobConfig,
    backoff: RestartBackoff,
}

impl CrashedJob {
    fn new(entry: JobEntry, options: &RunOptions) -> Result<Self, Failure> {
        let configuration = Configuration::load(&ConfigSources::of_run(options));
        let config = configuration.and_then(|c| c.job_config()).with_context(|| {
            format!("job {} crashed and cannot be restarted: its configuration", entry.job_id)
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let backoff = RestartBackoff::new(config.restart_strategy, u64::from(now.subsec_nanos()));
        let first = CheckpointId::new(entry.first_checkpoint).with_context(|| {
            format!("job {} does not say which checkpoints it took", entry.job_id)
        })?;
        Ok(Self { since: (first, AttemptId::new(entry.attempt)), entry, config, backoff })
    }

    /// How long to wait before the next start; or why there is none.
    fn decide(&mut self, now: Duration) -> Result<Duration, String> {
        if self.entry.checkpoint_directory.starts_with("memory:") {
            let advice = "set state.checkpoints.dir to have it restarted";
            return Err(format!("its checkpoints were in its memory and ended with it; {advice}"));
        }
        match self.backoff.failed(now) {
            RestartDecision::Restart { after } => Ok(after),
            RestartDecision::GiveUp => {
                let restarts = self.backoff.restarts();
                Err(format!("not restarted after {restarts} restarts, as restart-strategy.* says"))
            }
        }
    }

    fn recovery(&self) -> RunRecovery {
        RunRecovery {
            job_id: self.entry.job_id.clone(),
            since_checkpoint: self.since.0.get(),
            since_attempt: self.since.1.get(),
            restarts: self.backoff.restarts(),
        }
    }

    fn fail(&self, what: &str, reason: &str) -> u8 {
        note(&format!("{self} FAILED: {what}; {reason}"));
        self.end(JobStatus::Failed)
    }

    /// Does with the checkpoints what the program would have done; gives the exit code.
    fn end(&self, status: JobStatus) -> u8 {
        let registry = self.config.registry(stores::all());
        match settle(&registry, &self.entry, self.since.0, &self.config, status) {
            Ok(Some(newest)) => {
                note(&format!("{self}: to go on from its newest checkpoint: -s {newest}"));
            }
            Ok(None) => {}
            Err(error) => note(&format!("{self}: its checkpoints are left as they are: {error:#}")),
        }
        ExitStatus::from(status).code()
    }

    /// Waits; `Some` exit code when the job is to end instead of being restarted.
    fn pause(&self, signals: &SignalForwarder, at_most: Duration) -> Result<Option<u8>, Failure> {
        // The job can be seen and cancelled in the meantime.
        let _control = self.serve(signals)?;
        let Some(wish) = signals.pause(at_most) else { return Ok(None) };
        Ok(Some(match wish {
            Wish::Cancel | Wish::Signal(SIGINT) => self.end(JobStatus::Canceled),
            Wish::Signal(SIGTERM) => self.end(JobStatus::Suspended),
            Wish::Signal(signal) => 128 + u8::try_from(signal).unwrap_or(0),
        }))
    }

    fn serve(&self, signals: &SignalForwarder) -> Result<ControlServer, Failure> {
        let wish = signals.wish();
        let report = JobStatusReport {
            state: JobState::Restarting,
            restarts: self.backoff.restarts(),
            ..JobStatusReport::default()
        };
        let handler: ControlHandler = Arc::new(move |request| match request {
            ControlRequest::Status => ControlResponse::Status(report.clone()),
            ControlRequest::Cancel => match wish.send(Wish::Cancel) {
                Ok(()) => ControlResponse::Accepted,
                Err(_) => ControlResponse::Refused { reason: "the job has ended".to_owned() },
            },
            _ => {
                let reason = "the job's program has crashed and is about to be restarted";
                ControlResponse::Refused { reason: reason.to_owned() }
            }
        });
        let registration = JobRegistration {
            job_id: self.entry.job_id.parse().context("the id of the job")?,
            job_name: self.entry.job_name.clone(),
            checkpoint_directory: self.entry.checkpoint_directory.clone(),
            attempt: AttemptId::new(self.entry.attempt),
            first_checkpoint: self.since.0,
            started_at_ms: self.entry.started_at_ms,
            supervisor_process_id: None,
        };
        Ok(ControlServer::start(&runtime_directory(), registration, handler)?)
    }
}

impl std::fmt::Display for CrashedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "job {} ({})", self.entry.job_id, printable(&self.entry.job_name))
    }
}

/// Whether a program that has no entry has said why it ends, in one of the ways that jobs have.
fn is_orderly(status: ProcessStatus) -> bool {
    status.code().is_some_and(|code| (0..=6).contains(&code))
}

fn ending(status: ProcessStatus) -> String {
    match status.signal() {
        Some(signal) => format!("was ended by signal {signal}"),
        None => format!("ended with status {}", exit_code(status)),
    }
}

fn exit_code(status: ProcessStatus) -> u8 {
    if let Some(signal) = status.signal() {
        return u8::try_from(128 + signal).expect("signals have numbers up to 64");
    }
    let code = status.code().expect("a process exits or is ended by a signal");
    u8::try_from(code & 0xff).expect("eight bits")
}
