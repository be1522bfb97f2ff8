//! A place where jobs run as real processes, with directories for checkpoints and savepoints.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidegate_runtime::control::{
    ControlRequest, ControlResponse, JobEntry, JobStatusReport, list_jobs, request,
};

use crate::programs::programs;

/// Nothing here takes this long; a test that hangs shall say so.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(place.at("conf")).unwrap();
        let yaml = format!(
            "state.checkpoints.dir: file://{}\nstate.savepoints.dir: file://{}\n\
             execution.checkpointing:\n  interval: 30 ms\n  \
             externalized-checkpoint-retention: RETAIN_ON_CANCELLATION\n",
            place.at("checkpoints").display(),
            place.at("savepoints").display(),
        );
        fs::write(place.at("conf").join("tidegate.yaml"), yaml).unwrap();
        place
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .env("TIDEGATE_CONF_DIR", self.at("conf"))
            .env("TIDEGATE_RUNTIME_DIR", self.at("run"))
            .stdin(Stdio::null());
        command
    }

    /// `tidegate` to its end: exit code, standard output, standard error.
    pub(crate) fn tidegate(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command(&programs().join("tidegate"));
        let output = command.args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Runs a job to its end; gives exit code and log.
    pub(crate) fn run(&self, options: &str, job: &str) -> (i32, String) {
        let running = self.start(options, job);
        running.end()
    }

    /// Starts a job in the background: `tidegate run OPTIONS JOB`.
    pub(crate) fn start(&self, options: &str, job: &str) -> Running<'_> {
        let log = self.at("log");
        let _ = fs::remove_file(&log);
        let (program, arguments) = job.split_once(' ').unwrap_or((job, ""));
        let child = self
            .command(&programs().join("tidegate"))
            .arg("run")
            .args(options.split_whitespace())
            .arg(programs().join(program))
            .args(arguments.split_whitespace())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Running { place: self, child, log }
    }

    /// The lines of finished files, each with how often it is there.
    pub(crate) fn lines(&self, directory: &str) -> BTreeMap<String, usize> {
        let mut lines = BTreeMap::new();
        for entry in fs::read_dir(self.at(directory)).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            for line in fs::read_to_string(entry.path()).unwrap().lines() {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
        lines
    }

    /// The only job's directory of checkpoints.
    pub(crate) fn job_directory(&self) -> PathBuf {
        let mut jobs = fs::read_dir(self.at("checkpoints")).unwrap();
        let job = jobs.next().unwrap().unwrap().path();
        assert!(jobs.next().is_none(), "one job, one directory");
        job
    }
}

/// A job in the background; killed when the test is over.
pub(crate) struct Running<'a> {
    place: &'a Place,
    child: Child,
    log: PathBuf,
}

impl Running<'_> {
    /// Waits until the job has completed so many checkpoints in this run.
    pub(crate) fn await_checkpoints(&mut self, count: u64) -> JobStatusReport {
        let mut last = JobStatusReport::default();
        self.wait("checkpoints", |place| {
            let Some(entry) = place.entry() else { return false };
            if let Ok(ControlResponse::Status(status)) = request(&entry, &ControlRequest::Status) {
                last = status;
            }
            last.completed_checkpoints >= count
        });
        last
    }

    pub(crate) fn wait(&mut self, what: &str, mut holds: impl FnMut(&Place) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self.place) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{what}: ended as {ended:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "{what}: not in time\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `tidegate savepoint`; gives the savepoint's directory.
    pub(crate) fn savepoint(&mut self) -> PathBuf {
        self.path_of(&["savepoint", &self.place.job_id()])
    }

    /// `tidegate stop`, and waits until the job has ended well; gives the savepoint's directory.
    pub(crate) fn stop(mut self, drain: bool) -> PathBuf {
        let job = self.place.job_id();
        let mut arguments = vec!["stop", &job];
        arguments.extend(drain.then_some("--drain"));
        let path = self.path_of(&arguments);
        let (code, log) = self.end();
        assert_eq!(code, 0, "a stopped job has FINISHED\n{log}");
        path
    }

    fn path_of(&mut self, arguments: &[&str]) -> PathBuf {
        let (code, out, error) = self.place.tidegate(arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{}", self.log());
        let path = out.strip_prefix("file://").and_then(|path| path.strip_suffix('\n'));
        PathBuf::from(path.expect("the path is all that is printed"))
    }

    /// SIGKILL to the supervisor, and so to the job. Waits until the job is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while self.place.entry().is_some() {
            assert!(Instant::now() < deadline, "the job does not die");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end; gives exit code and log.
    pub(crate) fn end(mut self) -> (i32, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code().unwrap(), self.log());
            }
            assert!(Instant::now() < deadline, "the job does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    fn entry(&self) -> Option<JobEntry> {
        list_jobs(&self.at("run")).unwrap().pop()
    }

    pub(crate) fn job_id(&self) -> String {
        self.entry().expect("the job runs").job_id
    }
}
