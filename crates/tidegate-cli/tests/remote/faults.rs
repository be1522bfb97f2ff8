//! Servers and processes that go away while a job runs: checkpoints fail, the job does not, and what it
//! committed in the end is exact.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::input::{Random, count_words, write_input};
use crate::job::Job;
use crate::output::{committed_lines, compare};
use crate::place::{Place, server, tidegate};

/// A process of a test server: `{name}.pid` and `{name}.sh` in this directory.
struct Process {
    directory: PathBuf,
    name: &'static str,
    started: Option<Child>,
}

impl Process {
    fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.directory.join(format!("{}.pid", self.name))).unwrap();
        let sent = Command::new("kill").args([signal, pid.trim()]).status().unwrap();
        assert!(sent.success(), "kill {signal} {pid}");
    }

    /// Starts it again. It is the servers' then, and lives on.
    fn start(&mut self) {
        let script = self.directory.join(format!("{}.sh", self.name));
        let mut command = Command::new("sh");
        command.arg(script).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.started = Some(command.spawn().unwrap());
    }
}

/// What a job's entry in `tidegate list --json` says.
fn listed(directory: &Path) -> Option<serde_json::Value> {
    let listed = tidegate(directory, &["list", "--json"]);
    let jobs: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    jobs.get(0).cloned()
}

struct Running<'a> {
    job: &'a Job,
    directory: &'a Path,
    child: Child,
}

impl Running<'_> {
    fn wait(&mut self, what: &str, until: &dyn Fn(&serde_json::Value) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(180);
        while !listed(self.directory).is_some_and(|entry| until(&entry)) {
            assert!(Instant::now() < deadline, "no {what}\n{}", self.job.log());
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: the job ended, {ended:?}\n{}", self.job.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn status(&self, name: &str) -> u64 {
        let entry = listed(self.directory);
        entry.and_then(|entry| entry["status"][name].as_u64()).unwrap_or_default()
    }
}

/// Runs a job to its first checkpoint, lets `fault` happen, waits for a further checkpoint, cancels,
/// resumes, and compares.
fn job_with_fault(place: &Place, fault: &mut dyn FnMut(&mut Running<'_>)) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let input = directory.join("input");
    write_input(&input, &mut Random::new(3));
    let expected = count_words(&input);
    let settings = format!(
        "{}state.cache.dir: {}\nexecution.checkpointing.timeout: 3 s\n\
         execution.checkpointing.tolerable-failed-checkpoints: 1000\n",
        place.settings,
        directory.join("cache").display()
    );
    let storage = Arc::clone(&place.storage);
    let mut job = Job::new(storage, directory, &input, 100, &settings);
    job.rate = Some(20);
    let mut running = Running { job: &job, directory, child: job.start(None) };
    let has = |name: &'static str, above: u64| {
        move |entry: &serde_json::Value| entry["status"][name].as_u64().is_some_and(|n| n > above)
    };
    running.wait("checkpoint", &has("completed_checkpoints", 0));
    fault(&mut running);
    let completed = running.status("completed_checkpoints");
    running.wait("checkpoint after the fault", &has("completed_checkpoints", completed));
    let cancelled = tidegate(directory, &["cancel", "wordcount"]);
    let error = String::from_utf8_lossy(&cancelled.stderr);
    assert!(cancelled.status.success(), "{error}\n{}", job.log());
    assert_eq!(running.child.wait().unwrap().code(), Some(5), "{}", job.log());
    let (_, missing) = place.orphans_and_missing();
    assert!(missing.is_empty(), "{missing:?}");
    job.rate = None;
    job.run_to_the_end();
    compare(&expected, &committed_lines(&job.output), 3, 1);
}

/// The job whose server is stopped by a signal and goes on after `again`.
fn server_away(place: &Place, process: &mut Process, stop: &str, again: fn(&mut Process)) {
    job_with_fault(place, &mut |running| {
        process.signal(stop);
        let failed = running.status("failed_checkpoints");
        running.wait("failed checkpoint", &|entry| {
            entry["status"]["failed_checkpoints"].as_u64().is_some_and(|now| now > failed)
        });
        // The job is well without its server.
        let entry = listed(running.directory).unwrap();
        assert_eq!(
            (&entry["status"]["state"], &entry["status"]["restarts"]),
            (&"running".into(), &0.into())
        );
        again(process);
    });
}

#[test]
fn the_name_node_is_killed_hangs_and_is_back() {
    let test = "the_name_node_is_killed_hangs_and_is_back";
    let Some(directory) = server("TIDEGATE_TEST_HDFS_FAULTS", test).map(PathBuf::from) else {
        return;
    };
    let lock = File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    let place = Place::on_hdfs_that_fails(&directory);
    let mut process = Process { directory, name: "namenode", started: None };
    server_away(&place, &mut process, "-KILL", Process::start);
    let place = Place::on_hdfs_that_fails(&process.directory);
    server_away(&place, &mut process, "-STOP", |process| process.signal("-CONT"));
}

/// The program that `tidegate run` started is killed: it is started again, from the checkpoint on the
/// server, whose directory the dead process still seems to own.
fn program_killed(place: &Place) {
    job_with_fault(place, &mut |running| {
        let process = |entry: &serde_json::Value| entry["process_id"].as_u64();
        let killed = listed(running.directory).and_then(|entry| process(&entry)).unwrap();
        let sent = Command::new("kill").args(["-KILL", &killed.to_string()]).status().unwrap();
        assert!(sent.success());
        running.wait("restart", &|entry| {
            process(entry) != Some(killed)
                && entry["status"]["state"] == "running"
                && entry["status"]["restarts"] == 1
        });
    });
}

#[test]
fn restarted_from_hdfs_by_its_supervisor() {
    if let Some(place) = Place::on_hdfs("restarted_from_hdfs_by_its_supervisor") {
        program_killed(&place);
    }
}

#[test]
fn the_s3_server_is_killed_during_uploads_and_is_back() {
    let test = "the_s3_server_is_killed_during_uploads_and_is_back";
    let Some(place) = Place::on_s3_that_fails(test) else { return };
    let directory = PathBuf::from(std::env::var("TIDEGATE_TEST_SERVERS_DIRECTORY").unwrap());
    let directory = directory.join("s3");
    let lock = File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut process = Process { directory, name: "gateway-faults", started: None };
    server_away(&place, &mut process, "-KILL", Process::start);
    let Some(place) = Place::on_s3_that_fails(test) else { return };
    server_away(&place, &mut process, "-STOP", |process| process.signal("-CONT"));
}

#[test]
fn restarted_from_s3_by_its_supervisor() {
    if let Some(place) = Place::on_s3("restarted_from_s3_by_its_supervisor") {
        program_killed(&place);
    }
}
