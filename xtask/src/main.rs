//! Developer tasks of Tidegate: `cargo xtask <task>`.
//!
//! One small file per task. The continuous integration calls `cargo xtask ci` and nothing else, so
//! that what runs there runs the same way at home. Automation is Rust, not shell: it is portable,
//! it can be tested, and it needs no second language.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod demo;
mod fuzz;
mod layers;
mod metadata;
mod rocksdb;
mod servers;
mod setup;
mod shell;
mod soak;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  demo                 kill a job in the middle, resume it, compare with a run that never failed
  ci [--skip STEP]…    everything the continuous integration checks; --only STEP for one of its steps
  rocksdb [COMMAND]…   RocksDB as a library in the user's cache; COMMAND with it in its environment,
                       without one it is printed: eval `cargo xtask rocksdb`
  layers               dependencies between crates only go down
  tidy                 what rustfmt and clippy cannot see
  fuzz [SECONDS]       each fuzz target for SECONDS (10)
  bench [ARGUMENT]…    the criterion benchmarks; arguments go to criterion
  servers start|stop   HDFS, an S3 server and Azurite on loopback, for tests; also status, env
  soak [RUNS]          unsafe code under AddressSanitizer; the kill tests with RUNS (500) kills
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match task.as_str() {
        "demo" => demo::run(),
        "ci" => ci::run(&rest),
        "rocksdb" => rocksdb::run(&rest),
        "layers" => layers::run(),
        "tidy" => tidy::run(),
        "fuzz" => fuzz::run(number(&rest, 10)?),
        "bench" => bench::run(&rest),
        "servers" => servers::run(&rest),
        "soak" => soak::run(number(&rest, 500)?),
        "" | "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => bail!("there is no task `{unknown}`\n\n{USAGE}"),
    }
}

/// The only argument of a task as a number, or `default` when there is none.
fn number(arguments: &[String], default: u32) -> Result<u32> {
    match arguments {
        [] => Ok(default),
        [text] => match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("`{text}` is not a number"),
        },
        [_, more, ..] => bail!("unexpected argument `{more}`"),
    }
}
