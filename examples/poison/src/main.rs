//! Counts lines, and misbehaves when it is told to: to see what becomes of a job and its checkpoints
//! when its code fails, panics, aborts, exits or hangs.
//!
//! ```console
//! $ tidegate run -D execution.checkpointing.interval=100ms -D state.checkpoints.dir=/tmp/checkpoints \
//!     poison --input books --rate 100 --poison /tmp/poison --output /tmp/lines
//! $ echo abort > /tmp/poison
//! ```
//!
//! The file is taken away before it takes effect, so that it does so once. For every line of input
//! there is one line `line,running_count`.
#![forbid(unsafe_code)]

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tidegate::{FileSink, FileSource, Job, UserError};

/// Counts lines, with exactly-once checkpoints, and misbehaves when it is told to.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory of UTF-8 text files.
    #[arg(long, value_name = "DIR")]
    input: PathBuf,
    /// Directory of the result; without it, lines are printed.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Lines to read per second, over all subtasks.
    #[arg(long, value_name = "RECORDS_PER_SECOND")]
    rate: Option<NonZeroU64>,
    /// A file that says what to do with the next line: fail, panic, abort, hang or `exit N`.
    #[arg(long, value_name = "FILE")]
    poison: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tidegate::run("poison", move |job| {
        build(job, arguments);
        Ok(())
    })
}

fn build(job: &Job, arguments: Arguments) {
    let Arguments { input, output, rate, poison } = arguments;
    let lines = job.source("lines", FileSource::lines(input)).rate_limit(rate).stream();
    let counts = lines.key_by(|line: &String| line.clone()).process("count", move |states| {
        let (count, poison) = (states.value::<u64>("count")?, poison.clone());
        Ok(move |line: &String, _, out: &mut tidegate::ProcessContext<'_, _, _>| {
            swallow(&poison)?;
            let seen = count.get()?.unwrap_or(0) + 1;
            count.put(seen)?;
            out.emit(format!("{line},{seen}"));
            Ok(())
        })
    });
    match output {
        Some(directory) => counts.sink("output", FileSink::new(directory)),
        None => counts.print(),
    }
}

/// Does what the file says, if it is there and nobody is faster.
fn swallow(poison: &Path) -> Result<(), UserError> {
    let Ok(wanted) = std::fs::read_to_string(poison) else { return Ok(()) };
    // Empty, it is just being written.
    if wanted.trim().is_empty() || std::fs::remove_file(poison).is_err() {
        return Ok(());
    }
    match wanted.trim() {
        "fail" => Err("poisoned".into()),
        "panic" => panic!("poisoned"),
        "abort" => std::process::abort(),
        "hang" => loop {
            std::thread::park();
        },
        other => match other.strip_prefix("exit ").map(str::parse) {
            Some(Ok(code)) => std::process::exit(code),
            _ => Err(format!("{}: unknown poison {other:?}", poison.display()).into()),
        },
    }
}
