//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tidegate_runtime::config::{ConfigError, parse_override};
use tidegate_runtime::run_options::ClaimMode;

/// Externalized checkpoints for stream processing: runs jobs and resumes them from a checkpoint.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  FINISHED, or the command did what it was asked
  1  FAILED
  2  the command line or the configuration is not usable, or JOB cannot be started
  3  the checkpoint is damaged, lacks a file, or does not fit the job
  4  the checkpoint or output directory belongs to another job or process
  5  CANCELED
  6  SUSPENDED by SIGTERM: can be resumed
  128 + n  signal n ended the job's program";

#[derive(Subcommand)]
pub(crate) enum Command {
    Run(RunArguments),
    List(ListArguments),
    Cancel(CancelArguments),
    Stop(StopArguments),
    Savepoint(SavepointArguments),
    Config(ConfigArguments),
    Inspect(InspectArguments),
    #[command(hide = true)]
    Supervised(SupervisedArguments),
}

/// Runs a job program in the foreground, anew or from a checkpoint.
///
/// The job has our standard input, output and error, and we end as it does. A program that crashes
/// is started again from its newest checkpoint, as `restart-strategy.*` says. Ctrl-C cancels the job,
/// a second one ends it at once; SIGTERM suspends it. It does not outlive us, whatever ends us.
#[derive(Args)]
#[command(
    after_help = EXIT_CODES,
    override_usage = "tidegate run [OPTIONS] [--] JOB [ARGS]..."
)]
pub(crate) struct RunArguments {
    /// Resume from this checkpoint or savepoint: a `_metadata` file, the directory that holds it, or
    /// a job's directory of checkpoints (the newest usable one is taken).
    #[arg(short = 's', long, value_name = "PATH")]
    pub(crate) from_savepoint: Option<String>,
    /// Leave behind state of the checkpoint that no operator of the job claims.
    #[arg(short = 'n', long)]
    pub(crate) allow_non_restored_state: bool,
    /// Take the job's checkpoint directory even if another process owns it: one that is stopped, or
    /// on a machine that cannot be reached. What that process still writes is of no effect.
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Whose the restored checkpoint is from now on: NO_CLAIM leaves it to its owner and never
    /// deletes it, CLAIM makes it the job's, to be deleted when newer ones subsume it.
    #[arg(long, value_name = "MODE", default_value = "NO_CLAIM", value_parser = claim_mode)]
    pub(crate) claim_mode: ClaimMode,
    /// Parallelism of operators that do not set their own; goes over `parallelism.default`.
    #[arg(short = 'p', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32768))]
    pub(crate) parallelism: Option<u16>,
    /// A setting, over those of the configuration file; may be given several times.
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) overrides: Vec<(String, String)>,
    /// The directory of `tidegate.yaml` [default: $TIDEGATE_CONF_DIR, else ./conf].
    #[arg(long, value_name = "DIR")]
    pub(crate) conf_dir: Option<PathBuf>,
    /// The job program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "JOB [ARGS]")]
    pub(crate) job: Vec<OsString>,
}

/// Lists the running jobs of this user on this machine.
#[derive(Args)]
pub(crate) struct ListArguments {
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Cancels a running job and waits until it has ended.
#[derive(Args)]
pub(crate) struct CancelArguments {
    /// The job's id, the beginning of it, or its name.
    pub(crate) job: String,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Ends a running job with a savepoint, as FINISHED, and prints the savepoint's path.
///
/// Sources read no further than the savepoint, sinks commit all that came before it, and the job
/// can go on from it later: `tidegate run -s PATH`.
#[derive(Args)]
pub(crate) struct StopArguments {
    /// The job's id, the beginning of it, or its name.
    pub(crate) job: String,
    /// The directory in which the savepoint gets one of its own [default: state.savepoints.dir of
    /// the job].
    #[arg(short = 'p', long, value_name = "DIR")]
    pub(crate) savepoint_path: Option<String>,
    /// End event time first, so that all windows and event-time timers fire: for a job that will
    /// not go on.
    #[arg(long)]
    pub(crate) drain: bool,
    #[command(flatten)]
    pub(crate) stores: StoreArguments,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Takes a savepoint of a running job, which goes on, and prints the savepoint's path.
///
/// A savepoint belongs to you: no job deletes it. It can be moved and copied, and resumed from with
/// another parallelism and another state backend.
#[derive(Args)]
#[command(override_usage = "tidegate savepoint [OPTIONS] JOB [DIR]\n       \
                            tidegate savepoint [OPTIONS] --dispose PATH")]
pub(crate) struct SavepointArguments {
    /// The job's id, the beginning of it, or its name.
    #[arg(required_unless_present = "dispose")]
    pub(crate) job: Option<String>,
    /// The directory in which the savepoint gets one of its own [default: state.savepoints.dir of
    /// the job].
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<String>,
    /// Delete this savepoint; what is no savepoint is refused.
    #[arg(short = 'd', long, value_name = "PATH", conflicts_with_all = ["job", "directory"])]
    pub(crate) dispose: Option<String>,
    #[command(flatten)]
    pub(crate) stores: StoreArguments,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows every setting: its value, and the file and line or the flag that it comes from.
///
/// The values are those that `tidegate run` with the same options would give a job.
#[derive(Args)]
pub(crate) struct ConfigArguments {
    /// As of `tidegate run`.
    #[arg(short = 'p', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32768))]
    pub(crate) parallelism: Option<u16>,
    /// As of `tidegate run`.
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) overrides: Vec<(String, String)>,
    /// The directory of `tidegate.yaml` [default: $TIDEGATE_CONF_DIR, else ./conf].
    #[arg(long, value_name = "DIR")]
    pub(crate) conf_dir: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows what a checkpoint holds and whether all of its files are there and undamaged.
#[derive(Args)]
pub(crate) struct InspectArguments {
    /// A `_metadata` file, the directory that holds it, or a job's directory of checkpoints.
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) stores: StoreArguments,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a command that reads checkpoints by itself has the settings of stores from.
#[derive(Args, Default)]
pub(crate) struct StoreArguments {
    /// A setting such as `s3.endpoint`, as of `tidegate run`.
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) overrides: Vec<(String, String)>,
    /// The directory of `tidegate.yaml` [default: $TIDEGATE_CONF_DIR, else ./conf].
    #[arg(long, value_name = "DIR")]
    pub(crate) conf_dir: Option<PathBuf>,
}

/// Between `run` and the job: becomes the job.
#[derive(Args)]
pub(crate) struct SupervisedArguments {
    pub(crate) supervisor_process_id: u32,
    pub(crate) program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

// Flink takes the names of constants in any case, and also with hyphens.
fn claim_mode(text: &str) -> Result<ClaimMode, String> {
    match text.to_ascii_uppercase().replace('-', "_").as_str() {
        "CLAIM" => Ok(ClaimMode::Claim),
        "NO_CLAIM" => Ok(ClaimMode::NoClaim),
        _ => Err("write CLAIM or NO_CLAIM".to_owned()),
    }
}

fn setting(text: &str) -> Result<(String, String), ConfigError> {
    parse_override(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn everything_behind_the_job_is_the_jobs() {
        for (line, job) in [
            ("run -p 3 ./job", &["./job"][..]),
            ("run ./job -p 4 -s x --help", &["./job", "-p", "4", "-s", "x", "--help"]),
            ("run -- ./job --rate 3", &["./job", "--rate", "3"]),
            ("run ./job -- -x", &["./job", "--", "-x"]),
        ] {
            let words = ["tidegate"].into_iter().chain(line.split(' '));
            let Command::Run(run) = Arguments::try_parse_from(words).unwrap().command else {
                panic!("{line}");
            };
            assert_eq!(run.job, job, "{line}");
        }
    }

    #[test]
    fn what_is_not_accepted() {
        for line in [
            "run",
            "run -D x ./job",
            "run -p 0 ./job",
            "run -p 40000 ./job",
            "run --what ./job",
            "run --claim-mode LEGACY ./job",
            "savepoint",
            "savepoint --dispose x job",
            "stop",
        ] {
            let words = ["tidegate"].into_iter().chain(line.split(' '));
            let error = Arguments::try_parse_from(words).err().unwrap();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
