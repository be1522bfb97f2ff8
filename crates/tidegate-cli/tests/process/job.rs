//! A job (`examples/poison`) in a directory of its own, run by the `tidegate` program or alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Lines of the job's input, of which there are few different ones.
const LINES: usize = 2_000;
const DIFFERENT: usize = 7;

pub(crate) struct Place {
    directory: TempDir,
    settings: Vec<(String, String)>,
    pub(crate) rate: Option<u32>,
    pub(crate) has_output: bool,
}

impl Place {
    /// Checkpoints every 20 milliseconds; the two newest are kept.
    pub(crate) fn new(retention: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("input")).unwrap();
        let lines: Vec<_> = (0..LINES).map(|n| format!("line {}", n % DIFFERENT)).collect();
        fs::write(path("input/lines"), lines.join("\n")).unwrap();
        fs::create_dir(path("conf")).unwrap();
        fs::write(path("conf/tidegate.yaml"), "parallelism.default: 2\n").unwrap();
        let place = Self { directory, settings: Vec::new(), rate: Some(200), has_output: true };
        let checkpoints = format!("file://{}", place.checkpoints().display());
        place
            .with("execution.checkpointing.interval", "20 ms")
            .with("execution.checkpointing.num-retained", "2")
            .with("state.checkpoints.dir", &checkpoints)
            .with("execution.checkpointing.externalized-checkpoint-retention", retention)
    }

    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn checkpoints(&self) -> PathBuf {
        self.path("checkpoints")
    }

    /// Starts `tidegate run` with these arguments of its own.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running<'_> {
        let mut command = self.tidegate();
        command.arg("run").args(arguments);
        for (key, value) in &self.settings {
            command.arg("-D").arg(format!("{key}={value}"));
        }
        command.arg(job_program());
        command.arg("--input").arg(self.path("input")).arg("--poison").arg(self.path("poison"));
        if self.has_output {
            command.arg("--output").arg(self.path("output"));
        }
        if let Some(rate) = self.rate {
            command.arg("--rate").arg(rate.to_string());
        }
        let log = fs::read_dir(self.directory.path()).unwrap().count();
        let log = self.path(&format!("log-{log}"));
        command.stderr(File::create(&log).unwrap());
        Running { place: self, child: command.spawn().unwrap(), log }
    }

    pub(crate) fn tidegate(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .env("TIDEGATE_CONF_DIR", self.path("conf"))
            .env("TIDEGATE_RUNTIME_DIR", self.path("run-time"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Has the job do something with its next line.
    pub(crate) fn poison(&self, what: &str) {
        fs::write(self.path("brew"), what).unwrap();
        fs::rename(self.path("brew"), self.path("poison")).unwrap();
    }

    /// The directory of the one job, once there is one.
    pub(crate) fn job_directory(&self) -> Option<PathBuf> {
        let jobs = fs::read_dir(self.checkpoints()).ok()?;
        let jobs: Vec<_> = jobs.map(|job| job.unwrap().path()).collect();
        assert!(jobs.len() <= 1, "one job, one directory: {jobs:?}");
        jobs.into_iter().next()
    }

    /// The numbers of the complete checkpoints, ascending.
    pub(crate) fn complete(&self) -> Vec<u64> {
        let Some(job) = self.job_directory() else { return Vec::new() };
        let mut complete: Vec<u64> = fs::read_dir(job)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("_metadata").exists())
            .map(|path| path.file_name().unwrap().to_str().unwrap()[4..].parse().unwrap())
            .collect();
        complete.sort_unstable();
        complete
    }

    /// Waits until a checkpoint with a number above this one is complete.
    pub(crate) fn wait_for_checkpoint(&self, above: u64) {
        eventually("a checkpoint completes", || self.complete().last() > Some(&above));
    }

    /// What is left in the job's directory, the checkpoints' files and the owner's mark included.
    pub(crate) fn left(&self) -> Vec<String> {
        let Some(job) = self.job_directory() else { return Vec::new() };
        let names = fs::read_dir(job).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    /// The files below the job's directory; directories that are empty do not count.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut directories: Vec<PathBuf> = self.job_directory().into_iter().collect();
        while let Some(directory) = directories.pop() {
            for child in fs::read_dir(directory).unwrap().map(|child| child.unwrap().path()) {
                match child.is_dir() {
                    true => directories.push(child),
                    false => files.push(child.to_str().unwrap().to_owned()),
                }
            }
        }
        files
    }

    /// Whether the newest checkpoint can be resumed from, as `tidegate inspect` sees it.
    pub(crate) fn newest_is_valid(&self) -> bool {
        let mut inspect = self.tidegate();
        inspect.arg("inspect").arg(self.job_directory().unwrap()).stderr(Stdio::null());
        inspect.status().unwrap().success()
    }

    pub(crate) fn list(&self) -> serde_json::Value {
        let mut list = self.tidegate();
        let output = list.args(["list", "--json"]).stdout(Stdio::piped()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Fails unless the output is that of a run that never failed.
    pub(crate) fn check_output(&self) {
        let mut expected: BTreeMap<String, usize> = BTreeMap::new();
        for n in 0..LINES {
            expected.insert(format!("line {},{}", n % DIFFERENT, n / DIFFERENT + 1), 1);
        }
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for entry in fs::read_dir(self.path("output")).unwrap() {
            let entry = entry.unwrap();
            if !entry.file_name().to_string_lossy().starts_with('.') {
                for line in fs::read_to_string(entry.path()).unwrap().lines() {
                    *found.entry(line.to_owned()).or_default() += 1;
                }
            }
        }
        let wrong: Vec<_> =
            found.iter().filter(|(line, n)| expected.get(*line) != Some(n)).collect();
        let missing = expected.keys().filter(|line| !found.contains_key(*line)).count();
        assert!(wrong.is_empty() && missing == 0, "{missing} lines missing; wrong: {wrong:?}");
    }
}

/// A `tidegate run` that was started. Dropped, it is killed.
pub(crate) struct Running<'a> {
    place: &'a Place,
    child: Child,
    log: PathBuf,
}

impl Running<'_> {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The process of the job's program, below `tidegate run`.
    pub(crate) fn job_process(&self) -> Pid {
        let mut found = None;
        let supervisor = i64::from(self.child.id());
        eventually("the job registers", || {
            let jobs = self.place.list();
            let ours = |job: &&serde_json::Value| {
                job["supervisor"]["process_id"].as_i64() == Some(supervisor)
            };
            let id =
                jobs.as_array().unwrap().iter().find(ours).map(|job| job["process_id"].as_i64());
            found = id.flatten().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap()));
            found.is_some()
        });
        found.unwrap()
    }

    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the job ends", || {
            status = self.try_wait();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for the end, which must be with this exit code.
    pub(crate) fn ends_with(mut self, code: i32) -> String {
        let status = self.wait();
        let log = self.log();
        assert_eq!(status.code(), Some(code), "{status}\n{log}");
        log
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until something is said on standard error.
    pub(crate) fn wait_until_told(&self, text: &str) {
        eventually(text, || self.log().contains(text));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds; fails the test if it does not for a minute.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The job's program, built here, so that the test never runs an old one.
fn job_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let tidegate = Path::new(env!("CARGO_BIN_EXE_tidegate"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "poison"]).current_dir(&root);
        let directory = tidegate.parent().unwrap();
        if directory.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the job cannot be built");
        directory.join("poison")
    })
}
