//! One process of a server: started by a script beside its state, known by a file with its id.
//!
//! A process id alone proves nothing, since it comes again; the command line of one of ours names the
//! state's directory. Tests kill a process by its id and start it again by its script.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::place::last_lines;

/// A server that has not come up by then will not; a loaded machine needs a minute.
const PATIENCE: Duration = Duration::from_secs(240);
/// A process that was asked to end and has not by then is killed.
const FAREWELL: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// One process of a server, running or not.
pub(super) struct Process {
    state: PathBuf,
    name: String,
}

impl Process {
    pub(super) fn new(state: &Path, name: &str) -> Self {
        Self { state: state.to_owned(), name: name.to_owned() }
    }

    /// Starts it with this command, which must name the state's directory, unless it runs already. It
    /// goes on when this program ends, and when the terminal does.
    pub(super) fn start(&self, environment: &[(&str, &str)], command: &[String]) -> Result<()> {
        if self.is_alive() {
            return Ok(());
        }
        let [id, log] = ["pid", "log"].map(|file| quoted(&self.file(file).display().to_string()));
        let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        let mut script = vec!["#!/bin/sh".to_owned()];
        script.extend(environment.iter().map(|(n, v)| format!("export {n}={}", quoted(v))));
        // For those who run the script themselves.
        script.push(format!("echo $$ > {id}"));
        script.push(format!("exec {} >> {log} 2>&1 < /dev/null\n", words.join(" ")));
        let script = script.join("\n");
        fs::write(self.file("sh"), script).context("a start script")?;
        self.start_again()
    }

    /// Runs the script of an earlier start.
    pub(super) fn start_again(&self) -> Result<()> {
        if self.is_alive() {
            return Ok(());
        }
        let _ = fs::remove_file(self.file("pid"));
        let mut command = Command::new("sh");
        command.arg(self.file("sh")).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        // As the script does, but before anybody asks.
        fs::write(self.file("pid"), format!("{}\n", child.id())).context("a process id")
    }

    /// Waits until `is_up`; fails when the process ends before, with what it said last.
    pub(super) fn wait_until(&self, is_up: impl Fn() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !is_up() {
            if begun.elapsed() > PATIENCE || (begun.elapsed() > PAUSE * 5 && !self.is_alive()) {
                let log = fs::read(self.file("log")).unwrap_or_default();
                let said = last_lines(&String::from_utf8_lossy(&log), 20);
                let what = if self.is_alive() { "does not answer" } else { "has ended" };
                bail!("{} {what}; the end of {}:\n{said}", self.name, self.file("log").display());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Whether it runs.
    pub(super) fn is_alive(&self) -> bool {
        self.id().is_some()
    }

    /// Ends it, if it runs.
    pub(super) fn stop(&self) -> Result<()> {
        for (signal, patience) in [("TERM", FAREWELL), ("KILL", FAREWELL)] {
            let Some(id) = self.id() else { return Ok(()) };
            // A stopped process does not hear the first until it is continued.
            let signals = format!("kill -{signal} {id}; kill -CONT {id}");
            let _ = Command::new("sh").args(["-c", &signals]).stderr(Stdio::null()).status();
            let begun = Instant::now();
            while self.is_alive() && begun.elapsed() < patience {
                thread::sleep(PAUSE / 5);
            }
        }
        match self.id() {
            None => Ok(()),
            Some(id) => bail!("{} (process {id}) does not end", self.name),
        }
    }

    fn id(&self) -> Option<u32> {
        let id: u32 = fs::read_to_string(self.file("pid")).ok()?.trim().parse().ok()?;
        // Empty of a process that has ended and whose parent has not noticed.
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let state = self.state.display().to_string();
        String::from_utf8_lossy(&line).contains(&state).then_some(id)
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.state.join(format!("{}.{extension}", self.name))
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[test]
fn a_process_is_known_by_its_state_and_ends_when_told() {
    let state = std::env::temp_dir().join(format!("tidegate-process-{}", std::process::id()));
    fs::create_dir_all(&state).unwrap();
    let process = Process::new(&state, "sleeper");
    let tail = ["tail", "-f", "/dev/null", "--", &state.join("sleeper.log").display().to_string()]
        .map(str::to_owned);
    fs::write(state.join("sleeper.log"), "").unwrap();
    process.start(&[("X", "it's")], &tail).unwrap();
    process.wait_until(|| process.is_alive()).unwrap();
    assert!(!Process::new(&state.join("other"), "sleeper").is_alive());
    process.stop().unwrap();
    assert!(!process.is_alive());
    process.start_again().unwrap();
    process.wait_until(|| process.is_alive()).unwrap();
    process.stop().unwrap();
    fs::remove_dir_all(&state).unwrap();
}
