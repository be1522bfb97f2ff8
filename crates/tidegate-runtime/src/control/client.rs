//! The other side: finds running jobs and asks them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::control::connection::{Connection, LINE_LENGTH_MAX};
use crate::control::directory;
use crate::control::{ControlError, ControlRequest, ControlResponse, JobEntry, ProcessIdentity};

/// How long a job may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked whether a job has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long a process may take to end after its job has.
const PROCESS_END_TIMEOUT: Duration = Duration::from_secs(2);

/// The running jobs, oldest first. What jobs left behind that were killed is removed, unless a
/// supervisor lives that has yet to see it.
///
/// # Errors
///
/// When the directory is not this user's own or cannot be read. One that does not exist has no
/// jobs.
pub fn list_jobs(directory: &Path) -> Result<Vec<JobEntry>, ControlError> {
    let mut jobs = Vec::new();
    for entry in entries(directory)? {
        if is_running(&entry) || answers(&entry) {
            jobs.push(entry);
        } else if !entry.supervisor.is_some_and(|supervisor| supervisor.is_running()) {
            remove(&entry);
        }
    }
    jobs.sort_by(|a, b| (a.started_at_ms, &a.job_id).cmp(&(b.started_at_ms, &b.job_id)));
    Ok(jobs)
}

/// What a job left behind whose program was supervised by this process and has crashed: a job that
/// ends in order takes its entry back. The entry is removed.
///
/// # Errors
///
/// As those of [`list_jobs`].
pub fn take_abandoned(directory: &Path) -> Result<Option<JobEntry>, ControlError> {
    let own = ProcessIdentity::of(std::process::id());
    let is_ours = |entry: &JobEntry| entry.supervisor.is_some() && entry.supervisor == own;
    let mut abandoned = entries(directory)?;
    abandoned.retain(|entry| is_ours(entry) && !is_running(entry));
    abandoned.iter().for_each(remove);
    Ok(abandoned.pop())
}

fn entries(directory: &Path) -> Result<Vec<JobEntry>, ControlError> {
    if !directory::is_there(directory)? {
        return Ok(Vec::new());
    }
    let failed = |source| ControlError::Directory { path: directory.to_owned(), source };
    let mut entries = Vec::new();
    for file in fs::read_dir(directory).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            // What is not understood may be a newer program's: it is left alone.
            entries.extend(read(&path));
        }
    }
    Ok(entries)
}

// Somebody else may be as fast.
fn remove(entry: &JobEntry) {
    let _ = fs::remove_file(entry.socket());
    let _ = fs::remove_file(&entry.path);
}

/// Asks a job and waits for its answer.
pub fn request(
    entry: &JobEntry,
    request: &ControlRequest,
) -> Result<ControlResponse, ControlError> {
    let exchange = || -> io::Result<String> {
        let mut connection = Connection::new(UnixStream::connect(entry.socket())?, ANSWER_TIMEOUT);
        connection.write_line(serde_json::to_string(request)?)?;
        connection.read_line()
    };
    let answer = exchange().map_err(|source| ControlError::Unreachable {
        job: entry.job_id.clone(),
        process_id: entry.process_id,
        source,
    })?;
    serde_json::from_str(&answer).map_err(|_| ControlError::NotUnderstood {
        job: entry.job_id.clone(),
        answer: answer.chars().take(200).collect(),
    })
}

/// Whether the process of the job lives: the very one, not a later one with the same id.
pub fn is_running(entry: &JobEntry) -> bool {
    let JobEntry { process_id, process_start_time: start_time, .. } = *entry;
    ProcessIdentity { process_id, start_time }.is_running()
}

/// Waits until the job has ended, at most for this long; returns whether it has.
///
/// A job has ended when it has taken its entry back or its process is gone. A process that did
/// nothing else has a moment to end too.
pub fn wait_until_ended(entry: &JobEntry, at_most: Option<Duration>) -> bool {
    let deadline = at_most.map(|at_most| Instant::now() + at_most);
    while entry.path.exists() && is_running(entry) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    let deadline = Instant::now() + PROCESS_END_TIMEOUT;
    while is_running(entry) && Instant::now() < deadline {
        std::thread::sleep(POLL_INTERVAL);
    }
    true
}

fn read(path: &Path) -> Option<JobEntry> {
    let mut text = String::new();
    File::open(path).ok()?.take(LINE_LENGTH_MAX as u64).read_to_string(&mut text).ok()?;
    let entry: JobEntry = serde_json::from_str(&text).ok()?;
    Some(JobEntry { path: path.to_owned(), ..entry })
}

// A job of another container with the same directory has a process id that means nothing here.
fn answers(entry: &JobEntry) -> bool {
    match UnixStream::connect(entry.socket()) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
    }
}
