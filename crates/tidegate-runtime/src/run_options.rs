//! What `tidegate run` hands to the job program.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use tidegate_types::{AttemptId, CheckpointId, InvalidId, JobId};

use crate::config::ConfigError;
use crate::process::parent_of;

/// The environment variable that carries [`RunOptions`] as JSON.
pub const RUN_OPTIONS_VARIABLE: &str = "TIDEGATE_RUN_OPTIONS";

/// What `tidegate run` was told and the job program does. Alone, a program runs with the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
// An option that is not understood must not be passed over: it might say what to resume from.
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// `-s`: the checkpoint to resume from; absolute if it is a local path.
    pub restore_path: Option<String>,
    /// `-n`: state that no operator of the job claims is left behind instead of refused.
    pub allow_non_restored: bool,
    /// `--claim-mode`: whose the checkpoint is from now on.
    pub claim_mode: ClaimMode,
    /// `-p`: goes over `parallelism.default`.
    pub parallelism: Option<u16>,
    /// `-D key=value`, in order.
    pub overrides: Vec<(String, String)>,
    /// `--conf-dir`; absolute.
    pub conf_dir: Option<PathBuf>,
    /// `--take-over`: the job's checkpoint directory is taken even from an owner that lives.
    pub take_over: bool,
    /// The run that is to go on, after the program that carried it crashed.
    pub recovery: Option<RunRecovery>,
    /// The `tidegate` process without which the job must not live.
    pub supervisor_process_id: Option<u32>,
}

/// A run whose job program crashed, and which goes on in another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecovery {
    /// The job's id, 32 hexadecimal digits.
    pub job_id: String,
    /// The first number that the run could give to a checkpoint: it and later ones are the run's own.
    pub since_checkpoint: u64,
    /// The first attempt of the run.
    pub since_attempt: u64,
    /// How often the program was started again.
    pub restarts: u32,
}

impl RunRecovery {
    pub(crate) fn job_id(&self) -> Result<JobId, ConfigError> {
        self.job_id.parse().map_err(|error: InvalidId| unreadable(&error))
    }

    pub(crate) fn since(&self) -> CheckpointId {
        CheckpointId::new(self.since_checkpoint).unwrap_or(CheckpointId::FIRST)
    }

    /// At least this many attempts were there before this one.
    pub(crate) fn latest_attempt(&self) -> AttemptId {
        AttemptId::new(self.since_attempt.saturating_add(u64::from(self.restarts.max(1) - 1)))
    }
}

/// Whose a restored checkpoint is from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClaimMode {
    /// Its owner's, as before: it is never deleted, and no new checkpoint depends on it.
    #[default]
    NoClaim,
    /// The job's: it is deleted when newer checkpoints subsume it.
    Claim,
}

impl RunOptions {
    /// The options of this process; the default if it was not started by `tidegate run`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RunOptions`] when the variable is there and not readable.
    pub fn from_env() -> Result<Self, ConfigError> {
        match std::env::var_os(RUN_OPTIONS_VARIABLE) {
            None => Ok(Self::default()),
            Some(value) => Self::from_json(&value.to_string_lossy()),
        }
    }

    /// The options in the form in which they are handed over.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RunOptions`] when a path is no UTF-8.
    pub fn to_json(&self) -> Result<String, ConfigError> {
        serde_json::to_string(self).map_err(|error| unreadable(&error))
    }

    fn from_json(text: &str) -> Result<Self, ConfigError> {
        serde_json::from_str(text).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &dyn std::error::Error) -> ConfigError {
    let reason = error.to_string().into();
    ConfigError::RunOptions { variable: RUN_OPTIONS_VARIABLE, reason }
}

/// Makes sure that this process does not outlive the `tidegate` that supervises it, not even
/// when that is killed by SIGKILL. Ends the process at once if it is gone already.
///
/// The supervisor need not be the parent: a wrapper script may stand between. Each process of the
/// chain then dies with the one above it.
///
/// Call it from the main thread, early: Linux keeps the wish with the thread that asked, and
/// counts as the parent the *thread* that spawned us, which in `tidegate` is the main one too.
pub fn die_with_supervisor(supervisor_process_id: u32) {
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // Looked at after asking: who goes away from now on takes us along.
    if asked.is_err() || !is_ancestor(supervisor_process_id) {
        std::process::exit(128 + Signal::KILL.as_raw());
    }
}

fn is_ancestor(process_id: u32) -> bool {
    let mut ancestor = getppid().map(Pid::as_raw_nonzero).map(|pid| pid.get().unsigned_abs());
    // The bound is for a chain that changes while it is walked.
    for _ in 0..64 {
        match ancestor {
            Some(found) if found == process_id => return true,
            Some(other) => ancestor = parent_of(other),
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_what_they_write_and_nothing_else() {
        let options = RunOptions {
            restore_path: Some("/x/chk-3".to_owned()),
            allow_non_restored: true,
            claim_mode: ClaimMode::Claim,
            parallelism: Some(4),
            overrides: vec![("a".to_owned(), "b = c".to_owned())],
            conf_dir: Some("/etc/tidegate".into()),
            take_over: true,
            recovery: Some(RunRecovery {
                job_id: "ab".repeat(16),
                since_checkpoint: 8,
                since_attempt: 3,
                restarts: 2,
            }),
            supervisor_process_id: Some(17),
        };
        assert_eq!(RunOptions::from_json(&options.to_json().unwrap()).unwrap(), options);
        assert_eq!(RunOptions::from_json("{}").unwrap(), RunOptions::default());
        for text in ["", "7", "{\"parallelism\": 70000}", "{\"later\": 1}"] {
            let error = RunOptions::from_json(text).unwrap_err();
            assert!(error.to_string().contains(RUN_OPTIONS_VARIABLE), "{text}: {error}");
        }
    }

    #[test]
    fn ancestors_are_found_and_strangers_are_not() {
        assert!(is_ancestor(getppid().unwrap().as_raw_nonzero().get().unsigned_abs()));
        assert!(!is_ancestor(std::process::id()), "nobody is an ancestor of their own");
    }
}
