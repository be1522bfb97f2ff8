//! From `main` to the job's end: configuration, restore, ownership, attempts, exit status.

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel::{Sender, unbounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use tidegate_coordinator::JobStatus;
use tidegate_store::StorageFactory;

use crate::config::{ConfigSources, Configuration};
use crate::control::{ControlRequest, ControlResponse, ControlServer, JobRegistration, JobState};
use crate::driver::Stop;
use crate::error::{JobError, UserError};
use crate::exit_status::ExitStatus;
use crate::graph::Job;
use crate::job_run::{JobRun, RunSettings};
use crate::run_options::{RunOptions, die_with_supervisor};
use crate::savepoints::Afterwards;
use crate::status::StatusBoard;

/// Runs a job from the `main` function of its program and gives the exit status to return.
///
/// `build` makes the job's graph. Configuration comes from `tidegate.yaml`, and from
/// `tidegate run` if it started the program; alone, the program behaves the same. SIGINT cancels
/// the job, SIGTERM suspends it (its checkpoints are kept). Failures are told on standard error.
///
/// Checkpoints go to the local file system; [`run_with_stores`] knows more stores.
pub fn run(name: &str, build: impl FnOnce(&Job) -> Result<(), UserError>) -> ExitCode {
    run_with_stores(name, [], build)
}

/// Like [`run`], with the stores of these factories.
pub fn run_with_stores(
    name: &str,
    stores: impl IntoIterator<Item = Arc<dyn StorageFactory>>,
    build: impl FnOnce(&Job) -> Result<(), UserError>,
) -> ExitCode {
    start_log();
    match try_run(name, stores, build) {
        Ok(status) => ExitStatus::from(status).into(),
        Err(error) => {
            // Standard error is where a command tells why it failed; the log may be filtered.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("{name}: {}\n", chain(&error)).as_bytes(),
            );
            ExitStatus::of_error(&error).into()
        }
    }
}

/// An error with everything that caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn try_run(
    name: &str,
    stores: impl IntoIterator<Item = Arc<dyn StorageFactory>>,
    build: impl FnOnce(&Job) -> Result<(), UserError>,
) -> Result<JobStatus, JobError> {
    let options = RunOptions::from_env()?;
    if let Some(supervisor) = options.supervisor_process_id {
        die_with_supervisor(supervisor);
    }
    let configuration = Configuration::load(&ConfigSources::of_run(&options))?;
    for warning in configuration.warnings() {
        tracing::warn!("{warning}");
    }
    let config = configuration.job_config()?;
    let registry = config.registry(stores);
    for warning in configuration.unread_by(&registry) {
        tracing::warn!("{warning}");
    }
    let job = Job::new();
    build(&job).map_err(|source| JobError::Setup { source })?;

    let (stop, stops) = unbounded();
    watch_signals(stop.clone());
    let started = Instant::now();
    let status = Arc::new(StatusBoard::new(started));
    let board = Arc::clone(&status);
    let settings = RunSettings { config: &config, registry: &registry, options: &options };
    let mut run = JobRun::prepare(name, job, &settings, stops, board)?;
    let _control =
        serve_control(&run, options.supervisor_process_id, stop.clone(), Arc::clone(&status))?;
    tracing::info!(job = %run.job_id(), checkpoints = %run.checkpoint_uri(), "{name} starts");
    let result = run.execute();
    // Held until here, so that the driver's receiver never finds all senders gone.
    drop(stop);
    if let Ok(ended) = result {
        tracing::info!("{name}: {ended:?}");
    }
    result
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // Refused when the program has set up a log of its own, which then takes our lines too.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

/// SIGINT cancels, SIGTERM suspends; a second SIGINT ends the process at once.
fn watch_signals(stop: Sender<Stop>) {
    let mut signals = match signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!("signals end the job without ceremony: {error}");
            return;
        }
    };
    let watch = move || {
        let mut interrupted = false;
        for signal in signals.forever() {
            let wanted = match signal {
                SIGINT if interrupted => std::process::exit(128 + SIGINT),
                SIGINT => Stop::Cancel,
                _ => Stop::Suspend,
            };
            interrupted |= signal == SIGINT;
            // Nobody listens when the job is about to end anyway.
            let _ = stop.send(wanted);
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(watch);
    thread.expect("the system has a thread for signals");
}

fn serve_control(
    run: &JobRun,
    supervisor: Option<u32>,
    stop: Sender<Stop>,
    status: Arc<StatusBoard>,
) -> Result<ControlServer, JobError> {
    let registration = JobRegistration {
        first_checkpoint: run.first_checkpoint(),
        supervisor_process_id: supervisor,
        ..JobRegistration::current(run.job_id(), run.name(), run.checkpoint_uri(), run.attempt())
    };
    let savepoints = run.savepoints();
    let handler = move |request: ControlRequest| match request {
        ControlRequest::Savepoint { directory } => savepoints.request(directory, Afterwards::GoOn),
        ControlRequest::Stop { directory, drain } => {
            savepoints.request(directory, Afterwards::Stop { drain })
        }
        ControlRequest::SavepointStatus { id } => savepoints.report(id),
        ControlRequest::Status => ControlResponse::Status(status.read()),
        ControlRequest::Cancel => {
            status.state(JobState::Cancelling);
            match stop.send(Stop::Cancel) {
                Ok(()) => ControlResponse::Accepted,
                Err(_) => ControlResponse::Refused { reason: "the job has ended".to_owned() },
            }
        }
    };
    let directory = crate::control::runtime_directory();
    Ok(ControlServer::start(&directory, registration, Arc::new(handler))?)
}
