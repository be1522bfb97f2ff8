//! The demo's job: where it runs, how it is started, killed and awaited.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// A directory of one run: output, checkpoints and logs.
pub(super) struct Place {
    programs: PathBuf,
    input: PathBuf,
    directory: PathBuf,
}

impl Place {
    /// An empty place below `demo`; what an earlier demo left is removed.
    pub(super) fn fresh(programs: &Path, demo: &Path, name: &str) -> Result<Self> {
        let directory = demo.join(name);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                bail!("cannot remove {}: {error}", directory.display())
            }
            _ => {}
        }
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        Ok(Self { programs: programs.to_owned(), input: demo.join("input"), directory })
    }

    /// Committed running figures.
    pub(super) fn updates(&self) -> PathBuf {
        self.directory.join("updates")
    }

    /// Committed daily figures: where the job puts them when it is not told.
    pub(super) fn days(&self) -> PathBuf {
        self.directory.join("updates.daily")
    }

    /// `tidegate`, from the repository's root.
    pub(super) fn tidegate(&self) -> Command {
        let mut command = Command::new(self.programs.join("tidegate"));
        command.current_dir(shell::root()).stdin(Stdio::null());
        // The demo shows its own settings, not those of whoever runs it.
        command.env_remove("TIDEGATE_CONF_DIR").env_remove("TIDEGATE_LOG");
        command
    }

    /// `tidegate run` of the flights job at parallelism 2 with a checkpoint every 200 ms.
    pub(super) fn run_command(&self, resume: Option<&Path>, rate: Option<usize>) -> Command {
        let mut command = self.tidegate();
        command.arg("run");
        if let Some(checkpoint) = resume {
            command.arg("-s").arg(checkpoint);
        }
        let checkpoints = format!("file://{}", self.directory.join("checkpoints").display());
        for setting in [
            "execution.checkpointing.interval=200ms".to_owned(),
            format!("state.checkpoints.dir={checkpoints}"),
            "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION"
                .to_owned(),
        ] {
            command.arg("-D").arg(setting);
        }
        command.args(["-p", "2"]).arg(self.programs.join("flights"));
        command.arg("--input").arg(&self.input).arg("--output").arg(self.updates());
        if let Some(rate) = rate {
            command.arg("--rate").arg(rate.to_string());
        }
        command
    }

    /// Complete checkpoints by number, the newest last. A checkpoint is complete when it has its
    /// metadata file.
    pub(super) fn checkpoints(&self) -> Result<Vec<(u64, PathBuf)>> {
        let mut checkpoints = Vec::new();
        for job in directories(&self.directory.join("checkpoints"))? {
            for path in directories(&job)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let number = name.strip_prefix("chk-").and_then(|number| number.parse().ok());
                if let Some(number) = number.filter(|_| path.join("_metadata").exists()) {
                    checkpoints.push((number, path.clone()));
                }
            }
        }
        checkpoints.sort();
        Ok(checkpoints)
    }
}

/// A running job: `tidegate run` and the job process it started.
pub(super) struct Job {
    child: Child,
    log: PathBuf,
    /// Copies standard output to the log. It ends when no process holds the pipe any more, that is
    /// when `tidegate` *and* the job are gone.
    copier: Option<JoinHandle<io::Result<u64>>>,
}

impl Job {
    /// Starts `command`; what it prints goes to the file `log` of the place.
    pub(super) fn start(place: &Place, log: &str, command: &mut Command) -> Result<Self> {
        let log = place.directory.join(log);
        let mut file = File::options().create(true).append(true).open(&log)?;
        // Lines of the log are shown; escape codes for colours would be in the way.
        command.env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(file.try_clone()?);
        let mut child =
            command.spawn().with_context(|| format!("cannot start `{}`", shell::shown(command)))?;
        let mut output = child.stdout.take().expect("standard output is a pipe");
        let copier = std::thread::spawn(move || io::copy(&mut output, &mut file));
        Ok(Self { child, log, copier: Some(copier) })
    }

    /// The exit status, if it has ended.
    pub(super) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot wait for the job")
    }

    /// SIGKILL to `tidegate run`; returns when the job it supervised is gone, too.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill the job")?;
        self.child.wait().context("cannot wait for the killed job")?;
        let started = Instant::now();
        while self.copier.as_ref().is_some_and(|copier| !copier.is_finished()) {
            if started.elapsed() > Duration::from_secs(5) {
                bail!("`tidegate run` was killed, but the job process goes on");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Waits until the job has FINISHED.
    pub(super) fn finish(&mut self, patience: Duration) -> Result<()> {
        let started = Instant::now();
        let status = loop {
            match self.try_wait()? {
                Some(status) => break status,
                None if started.elapsed() > patience => {
                    self.kill()?;
                    bail!("not finished after {} s\n{}", patience.as_secs(), self.log()?);
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        if !status.success() {
            bail!("ended with {status}\n{}", self.log()?);
        }
        if let Some(copier) = self.copier.take() {
            copier.join().expect("copying does not panic")?;
        }
        Ok(())
    }

    /// What the job printed, its last lines.
    pub(super) fn log(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| self.log.display().to_string())?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(200)..].join("\n"))
    }
}

impl Drop for Job {
    /// A demo that fails leaves no process behind.
    fn drop(&mut self) {
        // Of a process that has ended, both report what nobody needs to know.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directories in `parent`; none if it does not exist.
fn directories(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        // A checkpoint may be subsumed, and removed, while it is being looked at.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => bail!("cannot read {}: {error}", parent.display()),
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter(|path| path.is_dir()).collect())
}
