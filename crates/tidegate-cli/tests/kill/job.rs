//! One job of the storm: started with the real programs, killed, resumed from its own directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::programs::programs;

/// The exit status of a job whose directory another process still owns.
const OWNED: i32 = 4;

pub(crate) struct Job {
    input: PathBuf,
    pub(crate) output: PathBuf,
    checkpoints: PathBuf,
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
    pub(crate) fn new(directory: &Path, input: &Path, interval_ms: u64, settings: &str) -> Self {
        let checkpoints = directory.join("checkpoints");
        let configuration = directory.join("conf");
        std::fs::create_dir_all(&configuration).unwrap();
        let yaml = format!(
            "state.checkpoints.dir: file://{}\nparallelism.default: 2\n\
             execution.checkpointing:\n  interval: {interval_ms} ms\n  \
             externalized-checkpoint-retention: RETAIN_ON_CANCELLATION\n{settings}",
            checkpoints.display()
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
    fn resumable(&self) -> Option<PathBuf> {
        let jobs = std::fs::read_dir(&self.checkpoints).ok()?;
        let jobs: Vec<PathBuf> = jobs.map(|job| job.unwrap().path()).collect();
        let complete = |job: &PathBuf| {
            let mut checkpoints = std::fs::read_dir(job).ok().into_iter().flatten();
            checkpoints.any(|entry| entry.unwrap().path().join("_metadata").exists())
        };
        let mut resumable: Vec<_> = jobs.into_iter().filter(complete).collect();
        assert!(resumable.len() <= 1, "one job, one directory: {resumable:?}");
        resumable.pop()
    }

    /// Whether a job that has no checkpoint is one that came to its end: it deletes them as the last
    /// thing it does, and may be killed between that and its exit. Before its first checkpoint
    /// there is no output either.
    fn has_finished(&self) -> bool {
        let output = std::fs::read_dir(&self.output).into_iter().flatten();
        output.flatten().any(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
    }

    /// The bytes of the records in flight in the newest checkpoint.
    pub(crate) fn newest_in_flight(&self) -> u64 {
        let Some(metadata) = self.newest_metadata() else { return 0 };
        let subtasks = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
        let channels = subtasks.flat_map(|(_, state)| &state.channels);
        channels.map(|channel| channel.records.length()).sum()
    }

    /// The bytes of the files of keyed state in the newest checkpoint.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn newest_state_bytes(&self) -> u64 {
        let Some(metadata) = self.newest_metadata() else { return 0 };
        let subtasks = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
        let keyed = subtasks.flat_map(|(_, state)| &state.keyed);
        keyed.flat_map(|keyed| &keyed.shared).map(|shared| shared.file.length).sum()
    }

    fn newest_metadata(&self) -> Option<tidegate_meta::CheckpointMetadata> {
        let job = self.resumable()?;
        let checkpoints = std::fs::read_dir(job).unwrap().map(|entry| entry.unwrap().path());
        let number = |path: &PathBuf| path.to_str()?.rsplit_once("chk-")?.1.parse::<u64>().ok();
        let complete = checkpoints.filter(|path| path.join("_metadata").exists());
        let newest = complete.max_by_key(number).expect("a completed checkpoint");
        let bytes = std::fs::read(newest.join("_metadata")).unwrap();
        Some(tidegate_meta::MetadataView::open(&bytes).unwrap().to_metadata())
    }

    fn start(&self, resume: Option<PathBuf>) -> Child {
        let mut command = Command::new(programs().join("tidegate"));
        command.arg("run").arg("-p").arg(self.parallelism.to_string()).args(&self.options);
        for setting in &self.settings {
            command.arg("-D").arg(setting);
        }
        if let Some(path) = resume {
            command.arg("-s").arg(path);
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
            .env("TIDEGATE_RUNTIME_DIR", self.configuration.join("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
