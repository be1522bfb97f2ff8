//! One job of the storm: started with the real programs, killed, resumed from its own directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, StorageError, StoragePath};

use crate::programs::programs;

/// The exit status of a job whose directory another process still owns.
const OWNED: i32 = 4;

pub(crate) struct Job {
    input: PathBuf,
    pub(crate) output: PathBuf,
    checkpoints: Arc<dyn CheckpointStorage>,
    configuration: PathBuf,
    log: PathBuf,
    pub(crate) rate: Option<u64>,
    /// Options of `tidegate run`, such as `-p 3`.
    pub(crate) options: Vec<String>,
    /// The pause after each word, in microseconds.
    pub(crate) output_delay_us: u64,
    /// Settings that go over the configuration file.
    pub(crate) settings: Vec<String>,
    pub(crate) parallelism: u16,
}

pub(crate) enum Outcome {
    Killed { resumed: bool },
    Finished,
}

impl Job {
    pub(crate) fn new(
        checkpoints: Arc<dyn CheckpointStorage>,
        directory: &Path,
        input: &Path,
        interval_ms: u64,
        settings: &str,
    ) -> Self {
        let configuration = directory.join("conf");
        std::fs::create_dir_all(&configuration).unwrap();
        let yaml = format!(
            "state.checkpoints.dir: {}\nparallelism.default: 2\n\
             execution.checkpointing:\n  interval: {interval_ms} ms\n  \
             externalized-checkpoint-retention: RETAIN_ON_CANCELLATION\n{settings}",
            checkpoints.uri()
        );
        std::fs::write(configuration.join("tidegate.yaml"), yaml).unwrap();
        Self {
            input: input.to_owned(),
            output: directory.join("output"),
            checkpoints,
            configuration,
            log: directory.join("log"),
            rate: None,
            options: Vec::new(),
            output_delay_us: 0,
            settings: Vec::new(),
            parallelism: 2,
        }
    }

    /// Runs the job, from its newest checkpoint if it has one, and kills it after a while.
    pub(crate) fn run_and_kill_after(&self, life: Duration, alone: bool) -> Outcome {
        let resume = self.resumable();
        let resumed = resume.is_some();
        if !resumed && self.has_finished() {
            return Outcome::Finished;
        }
        // Without a supervisor there is no `-s`, so only a first run can be alone.
        let mut child = if alone && !resumed { self.start_alone() } else { self.start(resume) };
        let deadline = Instant::now() + life;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().unwrap() {
                match status.code() {
                    Some(0) => return Outcome::Finished,
                    // The one killed before is not quite gone yet.
                    Some(OWNED) => return Outcome::Killed { resumed: false },
                    _ => panic!("the job failed: {status}\n{}", self.log()),
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        match child.wait().unwrap().code() {
            // It was faster than we were.
            Some(0) => Outcome::Finished,
            _ => Outcome::Killed { resumed },
        }
    }

    pub(crate) fn run_to_the_end(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let resume = self.resumable();
            if resume.is_none() && self.has_finished() {
                return;
            }
            let mut child = self.start(resume);
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                if Instant::now() > deadline {
                    child.kill().unwrap();
                    panic!("the job does not end\n{}", self.log());
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            match status.code() {
                Some(0) => return,
                Some(OWNED) => std::thread::sleep(Duration::from_millis(20)),
                _ => panic!("the resumed job failed: {status}\n{}", self.log()),
            }
        }
    }

    /// The job's directory, once there is a completed checkpoint in it. A run that was killed
    /// before its first checkpoint left nothing to resume from; the job then starts anew.
    pub(crate) fn resumable(&self) -> Option<StoragePath> {
        let jobs = self.children(&StoragePath::root());
        let complete = |job: &StoragePath| self.newest(job).is_some();
        let mut resumable: Vec<_> = jobs.into_iter().filter(complete).collect();
        assert!(resumable.len() <= 1, "one job, one directory: {resumable:?}");
        resumable.pop()
    }

    fn children(&self, directory: &StoragePath) -> Vec<StoragePath> {
        let children = self.checkpoints.list(directory).unwrap();
        children.iter().map(|child| directory.join(&child.name).unwrap()).collect()
    }

    /// The directory of the newest completed checkpoint.
    fn newest(&self, job: &StoragePath) -> Option<StoragePath> {
        let number =
            |path: &StoragePath| path.file_name()?.strip_prefix("chk-")?.parse::<u64>().ok();
        let mut checkpoints: Vec<_> = self.children(job);
        checkpoints.retain(|path| number(path).is_some());
        checkpoints.sort_by_key(number);
        let is_complete = |path: &StoragePath| {
            self.checkpoints.list(path).unwrap().iter().any(|child| child.name == "_metadata")
        };
        checkpoints.into_iter().rev().find(is_complete)
    }

    /// What the newest completed checkpoint holds.
    pub(crate) fn newest_metadata(&self) -> Option<CheckpointMetadata> {
        loop {
            let newest = self.newest(&self.resumable()?)?.join("_metadata").unwrap();
            match self.checkpoints.open(&newest).and_then(|reader| reader.read_all(1 << 20)) {
                Ok(bytes) => {
                    let metadata = tidegate_meta::MetadataView::open(&bytes).unwrap();
                    return Some(metadata.to_metadata());
                }
                // A newer one has taken its place since.
                Err(StorageError::Missing { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Whether a job that has no checkpoint is one that came to its end: it deletes them as the last
    /// thing it does, and may be killed between that and its exit. Before its first checkpoint
    /// there is no output either.
    fn has_finished(&self) -> bool {
        let output = std::fs::read_dir(&self.output).into_iter().flatten();
        output.flatten().any(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
    }

    pub(crate) fn start(&self, resume: Option<StoragePath>) -> Child {
        let mut command = Command::new(programs().join("tidegate"));
        command.arg("run").arg("-p").arg(self.parallelism.to_string()).args(&self.options);
        for setting in &self.settings {
            command.arg("-D").arg(setting);
        }
        if let Some(path) = resume {
            command.arg("-s").arg(format!("{}/{path}", self.checkpoints.uri()));
        }
        command.arg(programs().join("wordcount"));
        self.spawn(command)
    }

    fn start_alone(&self) -> Child {
        self.spawn(Command::new(programs().join("wordcount")))
    }

    fn spawn(&self, mut command: Command) -> Child {
        command.arg("--input").arg(&self.input).arg("--output").arg(&self.output);
        if let Some(rate) = self.rate {
            command.arg("--rate").arg(rate.to_string());
        }
        command.arg("--output-delay").arg(self.output_delay_us.to_string());
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        command
            .env("TIDEGATE_CONF_DIR", &self.configuration)
            .env("TIDEGATE_RUNTIME_DIR", self.runtime_directory())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    pub(crate) fn runtime_directory(&self) -> PathBuf {
        self.configuration.join("run")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
